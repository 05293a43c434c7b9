package gateway

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guichet"

	"guichet/blocklist"
	"guichet/keyring"
)

const (
	mostRegular   = mostAsked              // questions on their way at once
	mostHurried   = mostAsked / 2          // when another is asked between two regular ones
	again         = 200 * time.Millisecond // before asking again for what is missing
	streamSilence = 15 * time.Second       // Guichet says something every five
	complainEvery = 10 * time.Second
	keepAfter     = 100 * time.Millisecond
	mostAnswer    = 8 << 20
)

// askEvery leaves room for several questions to be lost before the lease ends.
func (g *Gateway) askEvery() time.Duration {
	return min(max(g.config.StaleAfter/5, time.Second), 10*time.Second)
}

// A link is one run of a gateway: one goroutine owns the replica, and others that
// wait for the network hand it what they heard, as something to do.
type link struct {
	*Gateway
	ctx    context.Context
	client *http.Client
	do     chan func()

	asking      int  // questions on their way
	snapshot    bool // one is on its way
	retry       *time.Timer
	unkept      atomic.Pointer[toKeep]
	write       chan struct{} // says that something is unkept
	cutOff      bool
	complained  time.Duration
	lastProblem error
}

// Run keeps the gateway up to date until ctx is done. It never gives up: cut off,
// it goes on asking, and refuses everything meanwhile.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &link{
		Gateway: g, ctx: ctx, client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, ForceAttemptHTTP2: true}},
		do: make(chan func()), retry: time.NewTimer(0), write: make(chan struct{}, 1), cutOff: true,
	}
	var writing sync.WaitGroup
	kept := g.replica.set
	writing.Go(func() { l.writer(kept) })
	defer writing.Wait()
	defer close(l.write)
	writing.Go(l.report)
	go l.stream()
	every, look := time.NewTicker(g.askEvery()), time.NewTicker(100*time.Millisecond)
	defer every.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			l.keep()
			return nil
		case <-every.C:
			l.question(mostRegular)
		case <-l.retry.C:
			l.question(mostHurried)
		case <-g.poke:
			l.question(mostHurried)
		case f := <-l.do:
			f()
		case <-look.C:
		}
		l.complain()
	}
}

// later has the owner do something; it is forgotten when the gateway stops.
func (l *link) later(f func()) {
	select {
	case l.do <- f:
	case <-l.ctx.Done():
	}
}

// complain says loudly that everything is refused, and when that is over.
func (l *link) complain() {
	now := l.clocks()
	off := l.view.Load().Left(now) == 0
	switch {
	case off && (!l.cutOff || l.complained == 0 || now.Boot-l.complained >= complainEvery):
		l.complained = now.Boot
		l.config.Log.Error("cut off from Guichet: every token is refused", "upstream", l.config.Upstream, "stale_after", l.config.StaleAfter.String(), "error", l.lastProblem)
	case !off && l.cutOff:
		l.config.Log.Info("connected to Guichet: tokens are verified", "upstream", l.config.Upstream, "version", l.replica.set.Version().String(), "blocked", l.replica.set.Count())
	}
	l.cutOff = off
}

// question asks where the list stands, unless so many questions wait already. On a
// wire that was cut each waits as long as the bound, and the regular ones never fill
// what they have room for: the first after it is mended goes through.
func (l *link) question(most int) {
	if l.asking >= most {
		return
	}
	l.asking++
	nonce := newNonce(l.config.Clock)
	have, keys := l.replica.Ask(l.clocks(), nonce)
	q := url.Values{"epoch": {strconv.FormatInt(have.Epoch, 10)}, "after": {strconv.FormatInt(have.Seq, 10)}, "keys": {keys}, "nonce": {nonce}}
	go func() {
		answer, err := l.fetchAnswer(q)
		l.later(func() { l.asking--; l.take(answer, err) })
	}()
}

// newNonce is 128 bits for which nobody can have an answer already. It is no secret.
func newNonce(clock guichet.Clock) string {
	var b [16]byte
	if _, err := io.ReadFull(clock.Rand, b[:]); err != nil {
		panic("gateway: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b[:])
}

func (l *link) request(ctx context.Context, path, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(l.config.Upstream, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+l.config.Credential.Reveal())
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", "guichet-gateway/"+l.config.Version)
	r.Header.Set("Guichet-Stale-After", strconv.Itoa(int(l.config.StaleAfter.Seconds())))
	if accept == "text/event-stream" {
		r.Header.Set("Last-Event-ID", l.view.Load().set.Version().String())
	}
	response, err := l.client.Do(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("guichet answered %s", response.Status)
	}
	return response, nil
}

func (l *link) fetchAnswer(q url.Values) (a blocklist.Answer, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.config.StaleAfter) // later it would bring nothing
	defer cancel()
	response, err := l.request(ctx, "/blocklist?"+q.Encode(), "application/json")
	if err != nil {
		return a, err
	}
	defer func() { _ = response.Body.Close() }()
	return a, json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(&a)
}

// take is an answer, or that there was none. Keys are put to use before the lease
// that depends on them is shown; if we die before it is kept, the one that is kept
// ends earlier.
func (l *link) take(a blocklist.Answer, err error) {
	var v *keyring.Verifier
	if err == nil && len(a.JWKS) > 0 {
		v, err = l.verifierOf(a.JWKS)
	}
	if err != nil {
		l.failed(err)
		return
	}
	outcome := l.replica.Take(l.clocks(), a)
	l.meter.outcomes[outcome].Add(1)
	switch outcome {
	case Renewed:
		if v != nil {
			l.verifier.Use(v)
			l.keys.Keys, l.keys.JWKS = a.Keys, a.JWKS
		}
		l.publish()
		l.heard()
		l.lastProblem = nil
		l.keep()
	case Behind:
		l.publish()
		l.askAgain()
	case NeedSnapshot:
		l.publish()
		l.wholeList()
	case WentBack:
		l.wentBack(a.Version)
	}
}

func (l *link) failed(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.meter.failures.Add(1)
	l.lastProblem = err
	l.config.Log.Warn("no usable answer from Guichet", "upstream", l.config.Upstream, "left", l.Left().String(), "error", err)
	l.askAgain()
}

func (l *link) askAgain() { l.retry.Reset(again) }

func (l *link) wentBack(v blocklist.Version) {
	l.lastProblem = fmt.Errorf("guichet has the blocklist %s, and we have seen %s: was its database restored without raising the epoch?", v, l.replica.Highest())
	l.config.Log.Error("the blocklist went back", "error", l.lastProblem)
}

// wholeList fetches a snapshot.
func (l *link) wholeList() {
	if l.snapshot {
		return
	}
	l.snapshot = true
	floor := l.replica.Highest()
	go func() {
		set, err := l.fetchSnapshot()
		l.later(func() {
			l.snapshot = false
			if err != nil {
				l.failed(err)
				return
			}
			outcome := l.replica.Load(set, floor)
			l.meter.outcomes[outcome].Add(1)
			if outcome == WentBack {
				l.wentBack(set.Version())
				return
			}
			l.publish()
			l.question(mostHurried) // the lease comes with its answer
		})
	}()
}

func (l *link) fetchSnapshot() (*blocklist.Set, error) {
	ctx, cancel := context.WithTimeout(l.ctx, 5*time.Minute)
	defer cancel()
	response, err := l.request(ctx, "/blocklist/snapshot", blocklist.MediaType)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return blocklist.ReadSnapshot(response.Body)
}

// keep has what a restart must find written to the disk, by another goroutine: a
// slow disk must not hold up a revocation. Only the latest is written; until it is,
// the older lease stands there, which is given for less. A disk that fails does not
// stop the gateway: a restart would refuse sooner.
func (l *link) keep() {
	l.keys.Lease, l.keys.Highest = l.replica.lease, l.replica.highest
	next := &toKeep{l.replica.set, l.keys}
	if l.unkept.Swap(next) == nil {
		l.write <- struct{}{}
	}
}

// toKeep is the list and the rest, of one instant.
type toKeep struct {
	set   *blocklist.Set
	state state
}

// writer writes what is to be kept until the gateway stops. It begins with what is
// on the disk. It waits a moment first: gateways that share a machine hear of a
// revocation together, and what the one writes must not keep the next from hearing.
func (l *link) writer(kept *blocklist.Set) {
	for range l.write {
		select {
		case <-time.After(keepAfter):
		case <-l.ctx.Done():
		}
		next := l.unkept.Swap(nil)
		err := error(nil)
		if next.set != kept {
			if err = l.folder.saveList(next.set); err == nil {
				kept = next.set
			}
		}
		if err == nil {
			err = l.folder.saveState(next.state)
		}
		if err != nil {
			l.config.Log.Error("what this gateway knows cannot be kept", "error", err)
		}
	}
}

// stream listens to blocks as they are committed. It only hurries: whatever is
// lost on it comes with the next answer.
func (l *link) stream() {
	for wait := again; l.ctx.Err() == nil; wait = min(2*wait, streamSilence) {
		began := l.clocks().Boot
		err := l.listen()
		l.meter.connected.Store(false)
		if l.clocks().Boot-began > streamSilence {
			wait = again
		}
		l.config.Log.Debug("the stream ended", "error", err)
		select {
		case <-l.ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (l *link) listen() error {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	silence := time.AfterFunc(streamSilence, cancel)
	defer silence.Stop()
	response, err := l.request(ctx, "/blocklist", "text/event-stream")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	l.meter.connected.Store(true)
	lines := bufio.NewScanner(io.LimitReader(response.Body, 1<<40))
	var e event
	for lines.Scan() {
		silence.Reset(streamSilence)
		if !e.add(lines.Text()) {
			continue
		}
		if err := l.hear(e); err != nil {
			return err
		}
		e = event{}
	}
	return errors.Join(lines.Err(), io.EOF)
}

// An event of the stream, as far as it was read.
type event struct{ id, name, data string }

// add takes one line; it tells when the event is whole.
func (e *event) add(line string) (whole bool) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case line == "":
		return e.data != ""
	case name == "id":
		e.id = value
	case name == "event":
		e.name = value
	case name == "data":
		e.data += value
	}
	return false
}

func (l *link) hear(e event) error {
	at, ok := blocklist.ParseVersion(e.id)
	if !ok {
		return blocklist.ErrUnreadable
	}
	if e.name == "blocked" {
		var line blocklist.Line
		if err := json.Unmarshal([]byte(e.data), &line); err != nil || line.Seq != at.Seq {
			return blocklist.ErrUnreadable.Because(err)
		}
		l.later(func() { l.takeLine(at.Epoch, line) })
		return nil
	}
	var pulse blocklist.Pulse
	if err := json.Unmarshal([]byte(e.data), &pulse); err != nil {
		return blocklist.ErrUnreadable.Because(err)
	}
	l.later(func() { l.feel(pulse) })
	return nil
}

func (l *link) takeLine(epoch int64, line blocklist.Line) {
	outcome := l.replica.TakeLine(epoch, line)
	l.meter.outcomes[outcome].Add(1)
	switch outcome {
	case Applied:
		l.publish()
		l.keep()
	case Behind:
		l.question(mostHurried)
	case NeedSnapshot:
		l.wholeList()
	}
}

// feel compares what Guichet says it has with what we have, and asks when they
// differ.
func (l *link) feel(p blocklist.Pulse) {
	head := l.replica.set.Head()
	if l.replica.set.Version() != p.Version || p.Keys != l.replica.keys || p.Size > head.Size {
		l.question(mostHurried)
	}
}
