package keyring

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCacheSaysWhatTheVerifierSays(t *testing.T) {
	r := newRing(t)
	const entries = 256
	cached := NewCachedVerifier(r.verifier, entries)
	k := r.keys[HS256]
	for round := range 3 {
		for i := range 4 * entries {
			c := someClaims()
			c.ID = fmt.Sprint(i)
			token := mustSign(t, k, c)
			got, err := cached.Verify(token)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, got); diff != "" {
				t.Fatalf("round %d, token %d (-signed +read):\n%s", round, i, diff)
			}
			if _, err := cached.Verify(token + "x"); !errors.Is(err, ErrInvalidToken) {
				t.Fatalf("a changed token: %v", err)
			}
		}
		if n := cached.Len(); n == 0 || n > entries {
			t.Fatalf("%d tokens remembered, want up to %d", n, entries)
		}
	}
}

// A signature that is remembered makes nothing else good, and whoever tries takes
// nothing away from its own token.
func TestCacheTiesTheSignatureToWhatItSigned(t *testing.T) {
	r := newRing(t)
	cached := NewCachedVerifier(r.verifier, 1000)
	for _, k := range r.keys {
		a, b := someClaims(), someClaims()
		a.ID, b.ID = "a", "b"
		one, other := mustSign(t, k, a), mustSign(t, k, b)
		dot := strings.LastIndexByte
		mixed := other[:dot(other, '.')] + one[dot(one, '.'):]
		for range 2 {
			if got, err := cached.Verify(one); err != nil || got.ID != "a" {
				t.Fatalf("%s: %v %v", k.Algorithm, got, err)
			}
			for _, forged := range []string{mixed, "." + one[dot(one, '.')+1:], one[dot(one, '.'):], one[dot(one, '.')+1:], one + ".", "x" + one} {
				if _, err := cached.Verify(forged); !errors.Is(err, ErrInvalidToken) {
					t.Errorf("%s: a known signature under something else: %v", k.Algorithm, err)
				}
			}
		}
	}
}

// A token in use stays remembered while others pass.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	r := newRing(t)
	cached := NewCachedVerifier(r.verifier, 4*2*shardCount)
	k := r.keys[HS256]
	used := mustSign(t, k, someClaims())
	if _, err := cached.Verify(used); err != nil {
		t.Fatal(err)
	}
	before, err := cached.Verify(used)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		if _, err := cached.Verify(mustSign(t, k, Claims{ID: fmt.Sprint(i)})); err != nil {
			t.Fatal(err)
		}
		if i%4 != 0 { // even if all four fall into its shard, they fill no more than a generation
			continue
		}
		after, err := cached.Verify(used)
		if err != nil {
			t.Fatal(err)
		}
		// The same memory: it was not verified again.
		if &before.Scopes[0] != &after.Scopes[0] {
			t.Fatalf("forgotten after %d other tokens", i+1)
		}
	}
}

func TestCacheForgetsWithdrawnKeys(t *testing.T) {
	r := newRing(t)
	cached := NewCachedVerifier(r.verifier, 1000)
	burnt, kept := mustSign(t, r.keys[EdDSA], someClaims()), mustSign(t, r.keys[ES256], someClaims())
	without, err := NewVerifier(r.keys[ES256].Key())
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = cached.Verify(burnt)
				}
			}
		})
	}
	for range 50 {
		cached.Use(r.verifier)
		if _, err := cached.Verify(burnt); err != nil {
			t.Error(err)
		}
		cached.Use(without)
		for range 20 { // whatever was under way must not bring it back
			if _, err := cached.Verify(burnt); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("a token of a withdrawn key: %v", err)
			}
		}
		if _, err := cached.Verify(kept); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkVerify(b *testing.B) {
	r := newRing(b)
	for _, algorithm := range []Algorithm{EdDSA, ES256, HS256} {
		token := mustSign(b, r.keys[algorithm], someClaims())
		b.Run(string(algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.verifier.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	cached := NewCachedVerifier(r.verifier, 1000)
	token := mustSign(b, r.keys[EdDSA], someClaims())
	b.Run("seen before", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cached.Verify(token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
