package keyring

import (
	"crypto/sha256"
	"strings"
	"sync"
	"sync/atomic"
)

// A CachedVerifier is a Verifier that remembers which tokens it has already
// verified, and what they say: what was signed, and the SHA-256 of the signature,
// so that whoever reads its memory finds no token. It remembers no verdict:
// whether a token has ended or is blocked is asked at every use, elsewhere.
// Only good signatures are remembered, so nobody without a key can fill it.
// Safe for concurrent use.
type CachedVerifier struct {
	current atomic.Pointer[verified]
	missing atomic.Pointer[func()]
}

// verified ties what is remembered to the keys that verified it: when the keys
// change both are replaced at once, and a verification that is under way
// remembers its result where nobody looks any more.
type verified struct {
	verifier *Verifier
	shards   [shardCount]shard
}

const shardCount = 64

// A shard keeps two generations. A token that is used moves to the young one;
// when that is full it becomes the old one, and the old one is forgotten. So
// the size is bounded and what is in use stays, without a list to maintain.
type shard struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]*remembered
	limit      int // of each generation
}

// remembered is a token without its signature.
type remembered struct {
	signed string
	claims Claims
}

// NewCachedVerifier remembers up to about entries tokens, of some 1.5 KB each.
func NewCachedVerifier(v *Verifier, entries int) *CachedVerifier {
	c := &CachedVerifier{}
	c.current.Store(newVerified(v, max(1, entries/(2*shardCount))))
	return c
}

func newVerified(v *Verifier, limit int) *verified {
	state := &verified{verifier: v}
	for i := range state.shards {
		state.shards[i].limit = limit
	}
	return state
}

// Use replaces the keys and forgets all that the former ones verified. A token
// verified after Use returns is verified by the new keys.
func (c *CachedVerifier) Use(v *Verifier) {
	c.current.Store(newVerified(v, c.current.Load().shards[0].limit))
}

// OnUnknownKey sets what is called when a token names a key we do not have: it may
// look whether there is one by now, and give it to Use, before it returns. Anyone
// can make up such a token, so it must bear being called often.
func (c *CachedVerifier) OnUnknownKey(look func()) { c.missing.Store(&look) }

// Verify is Verifier.Verify, faster for a token seen before.
func (c *CachedVerifier) Verify(token string) (Claims, error) {
	if len(token) > MaxTokenBytes {
		return Claims{}, errTooLong
	}
	state := c.current.Load()
	claims, err := state.verify(token)
	look := c.missing.Load()
	if err == nil || look == nil || !UnknownKey(err) {
		return claims, err
	}
	if (*look)(); c.current.Load() == state {
		return Claims{}, err
	}
	return c.current.Load().verify(token)
}

func (state *verified) verify(token string) (Claims, error) {
	// A token is known when its signature is and what was signed is the same, to the
	// letter. To hash all of it would say no more and take four times as long.
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return Claims{}, errForm
	}
	signed, signature := token[:dot], token[dot+1:]
	var room [128]byte // spares the copy of a signature the heap
	sum := sha256.Sum256(append(room[:0], signature...))
	s := &state.shards[sum[0]%shardCount]
	if known := s.get(sum); known != nil && known.signed == signed {
		return known.claims, nil
	}
	claims, err := state.verifier.Verify(token)
	if err != nil {
		return Claims{}, err
	}
	s.put(sum, &remembered{strings.Clone(signed), claims}) // a clone, not all of the request it is part of
	return claims, nil
}

// Len tells how many tokens are remembered.
func (c *CachedVerifier) Len() int {
	state, n := c.current.Load(), 0
	for i := range state.shards {
		s := &state.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}

func (s *shard) get(sum [sha256.Size]byte) *remembered {
	s.mu.RLock()
	known, young := s.young[sum]
	if !young {
		known = s.old[sum]
	}
	s.mu.RUnlock()
	if known != nil && !young {
		s.put(sum, known)
	}
	return known
}

func (s *shard) put(sum [sha256.Size]byte, known *remembered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.young[sum]; !there && len(s.young) >= s.limit {
		s.old, s.young = s.young, nil
	}
	if s.young == nil {
		s.young = make(map[[sha256.Size]byte]*remembered)
	}
	s.young[sum] = known
	delete(s.old, sum)
}
