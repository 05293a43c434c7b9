// Package gateway is the edge of Guichet: it stands beside an API, far from any
// database, and tells of each token whether it may be used now. It verifies
// signatures itself, and holds a replica of the blocklist under a lease.
//
// The promise: a token whose block was committed before instant t is refused from
// t + the bound (StaleAfter) on, whatever happens to the gateway, to Guichet and to
// what lies between; and within moments while nothing does. See
// docs/gateways/protocol.md.
//
// [Replica] is the rules, without socket, clock or disk; [Gateway] is the rest.
package gateway

import (
	"errors"
	"slices"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/keyring"
)

// A Reading is what the clocks of the machine say at one instant.
type Reading struct {
	Boot time.Duration // since the machine started, sleep included
	Wall time.Time     // what people set; it decides only whether a token has ended
}

// ErrCutOff is what a gateway answers to everything when it has not heard from
// Guichet for too long: not knowing is refusing.
var ErrCutOff = &guichet.Error{
	Kind: guichet.Unavailable, Code: "gateway_cut_off",
	Reason: "This gateway has not heard from Guichet for too long to know which tokens were taken back.",
}

var errUnknownIndex = keyring.ErrNoToken.Because(errors.New("its index is beyond the status list"))

// An Outcome is what became of a message, and what the gateway does next.
type Outcome string

// The outcomes.
const (
	Renewed      Outcome = "renewed"       // the lease runs anew
	Applied      Outcome = "applied"       // a line was added; wait for the next
	Stray        Outcome = "stray"         // an answer to no question, or a line we have; nothing changed
	Behind       Outcome = "behind"        // lines are missing: ask again
	NeedSnapshot Outcome = "need_snapshot" // the whole list is needed
	WentBack     Outcome = "went_back"     // Guichet knows less than we have seen: refused, a person must look
)

const (
	mostAsked  = 16
	mostRecent = 512
)

// A question that was sent and not answered.
type question struct {
	nonce string
	sent  time.Duration     // by the clock of leases
	floor blocklist.Version // the highest we had seen: no true answer is older
}

// A Replica is what a gateway knows and for how long it may rely on it: the rules
// of the protocol, one message after the other. It is not safe for concurrent use;
// readers are given a View.
type Replica struct {
	bound   time.Duration
	set     *blocklist.Set
	highest blocklist.Version // ever seen, also of lists we could not get; never goes down
	keys    string            // the set of keys that is in use
	lease   Lease
	asked   []question       // the oldest first
	recent  []blocklist.Head // where the stream brought us past, the oldest first
}

// A Lease is the instant from which the gateway may rely on what it has, for as
// long as the bound. It is kept on the disk, where a restart finds it as it was.
type Lease struct {
	Held bool              `json:"held"`
	From time.Duration     `json:"from"` // by the clock of leases
	Of   blocklist.Version `json:"of"`   // what it was given for
}

// NewReplica is a gateway that never heard from anyone.
func NewReplica(bound time.Duration) *Replica {
	return &Replica{bound: bound, set: blocklist.Empty(0)}
}

// Restore gives a replica what an earlier process kept. A lease of another start
// of the machine is none, for its clock began again, and so is one when more was
// seen than was kept: somebody put an older list in its place.
func (r *Replica) Restore(set *blocklist.Set, highest blocklist.Version, keys string, lease Lease, sameBoot bool) {
	r.set, r.highest, r.keys = set, highest, keys
	r.raise(set.Version())
	if lease.Held && sameBoot && lease.Of.Epoch == set.Version().Epoch && !set.Version().Before(r.highest) {
		r.lease = lease
	}
}

func (r *Replica) raise(v blocklist.Version) {
	if r.highest.Before(v) {
		r.highest = v
	}
}

// Ask notes that a question is sent now, under a nonce of our own that nobody can
// guess. It returns what the question says we have.
func (r *Replica) Ask(now Reading, nonce string) (have blocklist.Version, keys string) {
	if len(r.asked) == mostAsked {
		r.asked = slices.Delete(r.asked, 0, 1)
	}
	r.asked = append(r.asked, question{nonce, leaseClock(now), r.highest})
	return r.set.Version(), r.keys
}

// Take is the answer to a question. Only here a lease begins: the answer was
// computed after the question was sent, so it has all that was committed before.
// The keys it names must be in use before the View that follows is shown.
func (r *Replica) Take(now Reading, a blocklist.Answer) Outcome {
	at := slices.IndexFunc(r.asked, func(q question) bool { return q.nonce == a.Nonce })
	if at < 0 || a.Nonce == "" || a.Keys != r.keys && len(a.JWKS) == 0 {
		return Stray
	}
	q := r.asked[at]
	// Older questions are over too: their answers could bring old keys back.
	r.asked = slices.Delete(r.asked, 0, at+1)
	head := a.Version
	if head.Before(q.floor) {
		return WentBack
	}
	r.raise(head)
	switch {
	case head.Epoch < r.set.Version().Epoch: // a line of a new epoch overtook it
		return Stray
	case head.Epoch > r.set.Version().Epoch, a.Reset:
		return NeedSnapshot
	}
	set, err := r.set.Apply(a.Lines...)
	if err != nil {
		return NeedSnapshot
	}
	r.set = set.Resize(a.Size)
	switch have := r.set.Version(); {
	case have.Seq < head.Seq && len(a.Lines) == 0:
		return NeedSnapshot
	case have.Seq < head.Seq:
		return Behind
	}
	switch sum, known := r.sumAt(head.Seq); {
	case !known: // the stream was far ahead of the answer
		return Behind
	case sum != a.Sum: // as long as ours was, and another
		return NeedSnapshot
	}
	r.keys = a.Keys
	if from := leaseFrom(q.sent, leaseClock(now)); !r.lease.Held || from > r.lease.From {
		r.lease = Lease{Held: true, From: from}
	}
	r.lease.Of = head
	return Renewed
}

// sumAt is the sum our list had when it ended at seq. An answer that the stream has
// overtaken is compared with it: what we added since may continue another past.
func (r *Replica) sumAt(seq int64) (sum string, known bool) {
	if head := r.set.Head(); head.Seq == seq {
		return head.Sum, true
	}
	for _, h := range r.recent {
		if h.Epoch == r.set.Version().Epoch && h.Seq == seq {
			return h.Sum, true
		}
	}
	return "", false
}

// TakeLine is a line of the stream. It hurries a revocation; the lease does not
// depend on it.
func (r *Replica) TakeLine(epoch int64, l blocklist.Line) Outcome {
	have, line := r.set.Version(), blocklist.Version{Epoch: epoch, Seq: l.Seq}
	switch {
	case line.Before(have) || line == have:
		return Stray
	case epoch > have.Epoch:
		r.raise(line)
		return NeedSnapshot
	}
	set, err := r.set.Apply(l)
	switch {
	case guichet.CodeOf(err) == blocklist.ErrGap.Code:
		r.raise(line)
		return Behind
	case err != nil:
		return NeedSnapshot
	}
	if len(r.recent) == mostRecent {
		r.recent = slices.Delete(r.recent, 0, mostRecent/2)
	}
	r.recent = append(r.recent, r.set.Head())
	r.set = set
	r.raise(set.Version())
	return Applied
}

// Highest is the highest version ever seen: no true snapshot that is asked for now
// is older.
func (r *Replica) Highest() blocklist.Version { return r.highest }

// Load is a snapshot that was asked for when floor was the highest we had seen.
// What we refused before it we go on refusing: a restored database may know nothing
// of it. It brings no lease; the next answer does.
func (r *Replica) Load(s *blocklist.Set, floor blocklist.Version) Outcome {
	if s.Version().Before(floor) {
		return WentBack
	}
	r.set, r.recent = s.Union(r.set), nil
	r.raise(s.Version())
	return Behind
}

// A View is what readers see of a replica at one instant: it never changes.
type View struct {
	set   *blocklist.Set
	lease Lease
	bound time.Duration
}

// View is the replica as it is now.
func (r *Replica) View() *View { return &View{r.set, r.lease, r.bound} }

// Left is how much of the lease is left; nothing, when there is none.
func (v *View) Left(now Reading) time.Duration {
	if !v.lease.Held {
		return 0
	}
	at := leaseClock(now)
	if at < v.lease.From { // not our clock: a lease cannot begin in the future
		return 0
	}
	return max(0, v.lease.From+v.bound-at)
}

// Refusal tells why a token must not be used now, or nil. Take the reading after
// the view.
func (v *View) Refusal(c keyring.Claims, now Reading) error {
	if v.Left(now) == 0 {
		if err := inDoubt(ErrCutOff); err != nil {
			return err
		}
	}
	if c.Status.URI == "" { // it does not say which bit is its own
		if v.set.Token(guichet.ID(c.ID)) {
			return keyring.ErrTokenRevoked
		}
	} else {
		index, ok := c.Status.Global()
		blocked, known := v.set.Index(index)
		switch {
		case !ok || !known:
			return errUnknownIndex
		case blocked:
			return keyring.ErrTokenRevoked
		}
	}
	if c.Expired(now.Wall) {
		return keyring.ErrTokenExpired
	}
	return nil
}
