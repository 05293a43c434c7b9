package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guichet"
	"guichet/keyring"
	"guichet/usage"
)

// The bound, as it may be chosen: the shortest leaves room for questions that take
// their time.
const (
	StandardStaleAfter = time.Minute
	LeastStaleAfter    = 5 * time.Second
)

// Config is what a gateway must be told.
type Config struct {
	Upstream   string         // address of Guichet
	Credential guichet.Secret // what "guichet gateway add" printed
	StaleAfter time.Duration  // the bound; StandardStaleAfter when zero
	StateDir   string         // where it keeps its list; empty: nowhere, and a restart begins with nothing
	Shared     []keyring.Key  // of providers with HS256: no server publishes those
	Limits     Limits
	ClientIP   string // header with the caller's address, set by the proxy before us; empty: whoever connects
	Version    string // of the program, told to Guichet
	// ReportEvery is how often Guichet is told how tokens were used; a minute when zero.
	ReportEvery time.Duration
	Clock       guichet.Clock
	Log         *slog.Logger
}

// A Gateway verifies tokens beside the API they open. Make one with Open, give it
// a Run, and ask it through Handler, Middleware or Check.
type Gateway struct {
	config   Config
	clocks   func() Reading
	folder   folder
	verifier *keyring.CachedVerifier
	view     atomic.Pointer[View]
	meter    meter
	rates    rates
	uses     *usage.Counter

	poke chan struct{} // asks for a question to be sent now
	mu   sync.Mutex
	last time.Duration // when somebody poked
	next chan struct{} // closed when the next answer was taken

	replica *Replica // Run's own
	keys    state    // Keys and JWKS are those of the verifier; Run's own
}

// cachedSignatures is how many verified signatures are remembered: about 30 MB.
// A verdict is never remembered.
const cachedSignatures = 20_000

// Open makes a gateway with what an earlier one kept in its folder. It refuses
// everything until it has heard from Guichet, unless the earlier one heard so
// lately that its lease still runs.
func Open(c Config) (*Gateway, error) {
	if c.StaleAfter == 0 {
		c.StaleAfter = StandardStaleAfter
	}
	if c.StaleAfter < LeastStaleAfter {
		return nil, &guichet.Error{
			Kind: guichet.Invalid, Code: "stale_after_too_short", Field: "stale-after", Reason: "A gateway cannot do with less than " + LeastStaleAfter.String() + ".",
		}
	}
	g := &Gateway{
		config: c, folder: folder(c.StateDir), poke: make(chan struct{}, 1), next: make(chan struct{}), replica: NewReplica(c.StaleAfter),
		clocks: func() Reading { return Reading{Boot: bootClock(), Wall: c.Clock.Now()} }, meter: newMeter(), rates: newRates(),
		uses: usage.NewCounter(c.Clock),
	}
	set, kept, err := g.folder.load()
	if err != nil {
		return nil, err
	}
	v, err := g.verifierOf(kept.JWKS)
	if err != nil {
		return nil, stateError(err)
	}
	g.verifier = keyring.NewCachedVerifier(v, cachedSignatures)
	boot := bootID()
	g.replica.Restore(set, kept.Highest, kept.Keys, kept.Lease, boot != "" && kept.Boot == boot)
	g.keys = state{Boot: boot, Keys: kept.Keys, JWKS: kept.JWKS}
	g.publish()
	return g, nil
}

// verifierOf takes the public keys of a set, and those we share.
func (g *Gateway) verifierOf(jwks []byte) (*keyring.Verifier, error) {
	keys := slices.Clone(g.config.Shared)
	if len(jwks) > 0 {
		public, err := keyring.ParseJWKS(jwks)
		if err != nil {
			return nil, err
		}
		keys = append(keys, public...)
	}
	return keyring.NewVerifier(keys...)
}

// publish shows readers what the replica has now.
func (g *Gateway) publish() { g.view.Store(g.replica.View()) }

// An Identity is whom a token stands for.
type Identity struct {
	Token   string // its id
	Request string // provider/number, when the token says it
	Scopes  []string
}

// Check tells whether the token may be used now for all of the scopes. Its
// signature may have been verified before; whether it is blocked is looked up at
// every call.
func (g *Gateway) Check(ctx context.Context, token string, scopes []string, from netip.Addr) (Identity, error) {
	who, err := g.decide(token, func() (Identity, error) { return g.judge(token, scopes, from) })
	// A token that was just issued may have a key or an index we have not heard of:
	// ask once, and no more often than that helps.
	if (keyring.UnknownKey(err) || isUnknownIndex(err)) && g.hurry(ctx) {
		who, err = g.decide(token, func() (Identity, error) { return g.judge(token, scopes, from) })
	}
	g.meter.verdict(err)
	if err == nil {
		g.uses.Use(who.Token)
	}
	return who, err
}

func (g *Gateway) judge(token string, scopes []string, from netip.Addr) (Identity, error) {
	claims, err := g.verifier.Verify(token)
	if err != nil {
		// Cut off is told first: a key that we do not have may be a good one.
		if g.view.Load().Left(g.clocks()) == 0 {
			if err := inDoubt(ErrCutOff); err != nil {
				return Identity{}, err
			}
		}
		return Identity{}, keyring.ErrNoToken.Because(err)
	}
	view := g.view.Load() // before the clocks are read
	if err := view.Refusal(claims, g.clocks()); err != nil {
		return Identity{}, err
	}
	for _, s := range scopes {
		if !slices.Contains(claims.Scopes, s) {
			return Identity{}, keyring.ErrScope
		}
	}
	if err := g.limited(claims, from); err != nil {
		return Identity{}, err
	}
	who := Identity{Token: claims.ID, Request: requestOf(claims.ExtraInfo), Scopes: claims.Scopes}
	if provider, _, named := strings.Cut(who.Request, "/"); named && !claims.MayBeOf(provider) {
		return Identity{}, keyring.ErrNoToken // its key signs for another provider
	}
	return who, nil
}

// hurry has a question sent and waits for its answer, at most once a second
// whoever asks; it tells whether something was heard.
func (g *Gateway) hurry(ctx context.Context) bool {
	g.mu.Lock()
	now := g.clocks().Boot
	if g.last != 0 && now-g.last < time.Second {
		g.mu.Unlock()
		return false
	}
	g.last = now
	heard := g.next
	g.mu.Unlock()
	select {
	case g.poke <- struct{}{}:
	default: // one is on its way
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	select {
	case <-heard:
		return true
	case <-ctx.Done():
		return false
	}
}

// heard lets those go on who hurried.
func (g *Gateway) heard() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.next)
	g.next = make(chan struct{})
}

// Left is how long the gateway may go on without hearing from Guichet.
func (g *Gateway) Left() time.Duration { return g.view.Load().Left(g.clocks()) }

// Memory is about what the list takes.
func (g *Gateway) Memory() int64 { return g.view.Load().set.Memory() }

// requestOf finds the request in what a token says beside its claims.
func requestOf(extra []byte) string {
	const name = `"request":"`
	_, rest, ok := bytes.Cut(extra, []byte(name))
	value, _, whole := bytes.Cut(rest, []byte(`"`))
	if ok && whole && !bytes.ContainsRune(value, '\\') { // as Guichet writes it
		return string(value)
	}
	return textMember(extra, "request")
}
