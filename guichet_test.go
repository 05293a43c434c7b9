package guichet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"guichet"
)

// Ids made one after the other sort so, and are what ParseID accepts.
func TestIDs(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 999_990_000, time.UTC)
	clock := guichet.SystemClock()
	clock.Now = func() time.Time { at = at.Add(time.Microsecond); return at }
	ids := make([]guichet.ID, 5000)
	for i := range ids {
		ids[i] = clock.NewID()
		if parsed, err := guichet.ParseID(string(ids[i])); err != nil || parsed != ids[i] || ids[i][14] != '7' || !strings.Contains("89ab", string(ids[i][19])) {
			t.Fatalf("%s: %v", ids[i], err)
		}
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort in the order they were made")
	}
}

func TestParseIDAcceptsOneSpelling(t *testing.T) {
	good := guichet.SystemClock().NewID().String()
	for _, bad := range []string{"", good[1:], good + "0", strings.ToUpper(good), "{" + good[1:35] + "}", strings.Replace(good, "-", "_", 1), "' OR 1=1 --", good[:35] + "g"} {
		if _, err := guichet.ParseID(bad); guichet.KindOf(err) != guichet.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A secret prints itself nowhere, whatever the verb and wherever it is put.
func TestSecretsNeverPrint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[A-Za-z0-9]{8,20}`).Draw(t, "secret")
		s := guichet.Secret(value)
		holder := struct {
			Field guichet.Secret
			Map   map[string]guichet.Secret
			Ptr   *guichet.Secret
		}{s, map[string]guichet.Secret{"a": s}, &s}
		var log strings.Builder
		logger := slog.New(slog.NewJSONHandler(&log, nil))
		logger.Info("x", "secret", s, "holder", holder.Map, "error", &guichet.Error{Code: "c", Reason: "r", Cause: fmt.Errorf("with %v", s)})
		asJSON, err := json.Marshal(holder)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{
			fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %X %d %T", s, s, s, s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", holder, holder, holder.Field),
			string(asJSON), log.String(), fmt.Sprintf("%s", []guichet.Secret{s}),
		} {
			if strings.Contains(out, value) || strings.Contains(out, fmt.Sprintf("%x", value)) {
				t.Fatalf("printed in %s", out)
			}
		}
		if s.Reveal() != value {
			t.Fatal("Reveal does not give the value")
		}
	})
}

func TestErrors(t *testing.T) {
	sentinel := &guichet.Error{Kind: guichet.NotFound, Code: "unknown_thing", Reason: "There is no such thing."}
	cause := errors.New("no rows")
	err := fmt.Errorf("while looking: %w", sentinel.Because(cause))
	if !errors.Is(err, sentinel) || !errors.Is(err, cause) || guichet.KindOf(err) != guichet.NotFound || guichet.CodeOf(err) != "unknown_thing" {
		t.Errorf("%v is not recognised", err)
	}
	if sentinel.Cause != nil {
		t.Error("Because changed the sentinel")
	}
	if guichet.KindOf(cause) != guichet.Internal || guichet.CodeOf(cause) != "internal" || guichet.KindOf(nil) != "" {
		t.Error("what is not ours is internal")
	}
}

// What tests hear of costs nobody else anything: a Secret is revealed in the time of
// one comparison.
func BenchmarkReveal(b *testing.B) {
	secret, n := guichet.Secret("a secret of everyday"), 0
	for b.Loop() {
		n += len(secret.Reveal())
	}
}
