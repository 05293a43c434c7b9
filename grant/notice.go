package grant

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"guichet"
)

// A NoticeType is something that the systems of a provider are told of.
type NoticeType string

// The types of notifications.
const (
	NoticeTokenIssued    NoticeType = "token.issued"
	NoticeTokenBlocked   NoticeType = "token.blocked"
	NoticeRequestRevoked NoticeType = "request.revoked"
)

// NoticeTypes lists them all.
func NoticeTypes() []NoticeType {
	return []NoticeType{NoticeTokenIssued, NoticeTokenBlocked, NoticeRequestRevoked}
}

// A Notice is one notification: its body is made once, with the deed it tells of,
// and is the same bytes at every attempt. It has identifiers and instants, and
// nothing about people.
type Notice struct {
	ID         guichet.ID      `json:"id"`
	Provider   string          `json:"provider"`
	Type       NoticeType      `json:"type"`
	ExternalID string          `json:"external_id"`
	MadeAt     time.Time       `json:"made_at"`
	Body       json.RawMessage `json:"body"`
}

// noticeBody is what the systems of a provider receive: docs/notifications.md.
type noticeBody struct {
	Type      NoticeType `json:"type"`
	Timestamp time.Time  `json:"timestamp"`
	Data      noticeData `json:"data"`
}

type noticeData struct {
	Provider  string       `json:"provider"`
	Request   string       `json:"request"`
	Token     guichet.ID   `json:"token,omitempty"`
	Tokens    []guichet.ID `json:"tokens,omitempty"`
	IssuedAt  *time.Time   `json:"issued_at,omitempty"`
	ExpiresAt *time.Time   `json:"expires_at,omitempty"`
	BlockedAt *time.Time   `json:"blocked_at,omitempty"`
	RevokedAt *time.Time   `json:"revoked_at,omitempty"`
}

// notify records a notification in the transaction of the deed: one job, and
// nothing at all for a provider that asks for none.
func (d *Desk) notify(tx Tx, kind NoticeType, now time.Time, data noticeData) error {
	if !slices.Contains(d.Providers[data.Provider].Notify, kind) {
		return nil
	}
	body, err := json.Marshal(noticeBody{Type: kind, Timestamp: now, Data: data})
	if err != nil {
		return err
	}
	n := Notice{ID: d.Clock.NewID(), Provider: data.Provider, Type: kind, ExternalID: data.Request, MadeAt: now, Body: body}
	job, err := n.job(now)
	if err != nil {
		return err
	}
	return tx.Enqueue(job)
}

// job is the work of delivering the notice. Giving up is decided by the rounds of
// attempts, not by the queue: a worker that dies must not cost the notice.
func (n Notice) job(at time.Time) (guichet.Job, error) {
	args, err := json.Marshal(n)
	return guichet.Job{Kind: "notice", Key: n.ID.String(), Args: args, RunAt: at, MaxAttempts: 1000}, err
}

func (d *Desk) notifyIssued(tx Tx, r Request, t Token) error {
	return d.notify(tx, NoticeTokenIssued, t.IssuedAt, noticeData{
		Provider: r.Provider, Request: r.ExternalID, Token: t.ID, IssuedAt: &t.IssuedAt, ExpiresAt: &t.ExpiresAt,
	})
}

func (d *Desk) notifyBlocked(tx Tx, r Request, tokens []guichet.ID, now time.Time) error {
	for _, id := range tokens {
		err := d.notify(tx, NoticeTokenBlocked, now, noticeData{Provider: r.Provider, Request: r.ExternalID, Token: id, BlockedAt: &now})
		if err != nil {
			return err
		}
	}
	return nil
}

// notifyDecision tells what a decision did: a request that is now revoked, and
// each token that was blocked with it.
func (d *Desk) notifyDecision(tx Tx, before, after Request, decision Decision, now time.Time) error {
	if before.RevokedAt.IsZero() && !after.RevokedAt.IsZero() {
		err := d.notify(tx, NoticeRequestRevoked, now, noticeData{
			Provider: after.Provider, Request: after.ExternalID, Tokens: decision.Block, RevokedAt: &after.RevokedAt,
		})
		if err != nil {
			return err
		}
	}
	return d.notifyBlocked(tx, after, decision.Block, now)
}

// A NoticeState is how far a notification came.
type NoticeState string

// The states of a notification.
const (
	NoticeWaiting   NoticeState = "waiting"   // the queue tries it, at NextAt
	NoticeDelivered NoticeState = "delivered" // over
	NoticeFailed    NoticeState = "failed"    // given up: an operator was told, and may send it again
)

// NoticeStates lists them all.
func NoticeStates() []NoticeState {
	return []NoticeState{NoticeWaiting, NoticeDelivered, NoticeFailed}
}

// A SentNotice is a notification with what became of it.
type SentNotice struct {
	Notice
	State       NoticeState
	Attempts    int       // of all rounds
	Round       int       // of the present round: sending again begins another one
	NextAt      time.Time // of a waiting one
	DeliveredAt time.Time
	Code        int // of the last answer; 0: there was none
	Problem     string
	Tries       []NoticeTry // the latest first; only of one that is looked at alone
}

// A NoticeTry is one attempt.
type NoticeTry struct {
	N       int
	BeganAt time.Time
	EndedAt time.Time // zero: it goes on, or its process died
	Code    int
	Problem string
}

// A NoticeFilter narrows a list of notifications; zero fields do not.
type NoticeFilter struct {
	Provider string
	State    NoticeState
	Before   guichet.ID
	Limit    int
}

// A NoticeStore keeps notifications that were attempted. Before its first attempt
// a notification is only a job of the queue. Each method is durable when it
// returns nil.
type NoticeStore interface {
	// Begin notes that an attempt begins, before anything leaves, and gives the
	// notification as it is then, this attempt counted. One that does not wait any
	// more is left as it is: ErrNoticeOver.
	Begin(ctx context.Context, n Notice, at time.Time) (SentNotice, error)
	// End notes how the attempt s.Attempts ended, with the state it leads to, and
	// opens the alert, if any. An attempt that another one followed changes its own
	// line only.
	End(ctx context.Context, s SentNotice, at time.Time, alert *guichet.Alert) error
	Notices(ctx context.Context, f NoticeFilter) ([]SentNotice, error)
	// Notice gives one with its attempts, or ErrNoNotice.
	Notice(ctx context.Context, id guichet.ID) (SentNotice, error)
	// Unattempted counts those of a provider that no attempt was made of yet.
	Unattempted(ctx context.Context, provider string) (int64, error)
	// Again makes the queue try the notification now, in a new round.
	Again(ctx context.Context, n SentNotice, job guichet.Job, deed guichet.AuditEntry) error
}

// ErrNoticeOver is returned for a notification that was delivered or given up.
var ErrNoticeOver = &guichet.Error{Kind: guichet.Conflict, Code: "notification_over", Reason: "This notification was delivered or given up already."}

// ErrNoNotice is returned for a notification that nobody knows.
var ErrNoNotice = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_notification", Reason: "No notification has this identifier, or it was not attempted yet."}

// Notices is the desk of what is told to providers' systems.
type Notices struct {
	Store NoticeStore
	Clock guichet.Clock
	// Deliver gives the body to the systems of a provider once. code is that of the
	// answer, 0 when there was none; any error means that it must be tried again,
	// but one that is guichet.Gone.
	Deliver func(ctx context.Context, provider string, id guichet.ID, body []byte) (code int, err error)
}

// noticePauses are the waits after each failed attempt of a round: three days and
// a few hours in all, and then a person is told.
var noticePauses = []time.Duration{
	5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// AlertNoticeFailed tells operators that a notification was given up.
const AlertNoticeFailed AlertKind = "notification_failed"

// Attempt delivers the notification of a job, once. It returns how long to wait
// before the next attempt, or that there is none. The attempt is in the database
// before anything leaves: if we die between the answer of the other side and our
// note of it, it is delivered once more under the same identifier.
func (d *Notices) Attempt(ctx context.Context, args []byte) (wait time.Duration, again bool, err error) {
	var n Notice
	if err := json.Unmarshal(args, &n); err != nil {
		return 0, false, err
	}
	s, err := d.Store.Begin(ctx, n, d.Clock.Now())
	if errors.Is(err, ErrNoticeOver) { // we died after the note and before the queue knew
		return 0, false, nil
	}
	if err != nil {
		return noticePauses[0], true, err
	}
	s.Code, err = d.Deliver(ctx, n.Provider, n.ID, n.Body)
	now := d.Clock.Now()
	var alert *guichet.Alert
	switch {
	case err == nil:
		s.State, s.DeliveredAt, s.Problem, s.NextAt = NoticeDelivered, now, "", time.Time{}
	case guichet.KindOf(err) != guichet.Gone && s.Round <= len(noticePauses):
		wait, again = noticePauses[s.Round-1], true
		wait += time.Duration(d.Clock.Intn(int64(wait)/5 + 1)) // so that many do not come back together
		s.State, s.Problem, s.NextAt = NoticeWaiting, guichet.CodeOf(err), now.Add(wait)
	default:
		s.State, s.Problem, s.NextAt = NoticeFailed, guichet.CodeOf(err), time.Time{}
		alert = &guichet.Alert{
			ID: d.Clock.NewID(), Kind: string(AlertNoticeFailed), Subject: n.Provider + "/" + n.ExternalID, OpenedAt: now,
			Detail: jsonOf(map[string]string{"notification": n.ID.String(), "event": string(n.Type), "problem": s.Problem}),
		}
	}
	// The other side has answered: what it said is noted even while we stop.
	if noted := d.Store.End(context.WithoutCancel(ctx), s, now, alert); noted != nil {
		return noticePauses[0], true, noted
	}
	return wait, again, err
}

// SendAgain makes a notification be delivered once more, under the identifier it
// has: whoever received it already knows it by that.
func (d *Notices) SendAgain(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	s, err := d.Store.Notice(ctx, id)
	if err != nil {
		return err
	}
	now := d.Clock.Now()
	job, err := s.job(now)
	if err != nil {
		return err
	}
	s.NextAt = now
	return d.Store.Again(ctx, s, job, guichet.AuditEntry{
		ID: d.Clock.NewID(), At: now, Actor: by, Deed: "notification.sent_again", Subject: s.Provider + "/" + s.ExternalID,
		Detail: jsonOf(map[string]string{"notification": id.String()}),
	})
}

// ErrNoEndpoint is returned when the configuration of a provider names no address
// for its notifications any more.
var ErrNoEndpoint = &guichet.Error{Kind: guichet.Unavailable, Code: "no_notification_address", Reason: "The configuration of this provider names no address for notifications."}

// A SecretStanding is how one secret of a provider stands. The secret itself is
// known to the configuration only.
type SecretStanding struct {
	Mark       string    // tells it from the others, and nothing about it
	Until      time.Time // zero: for ever
	EndedAt    time.Time // zero: not ended by hand
	LastUsedAt time.Time // to the minute; zero: never
	InForce    bool
}

// ErrNoSecret is returned for a secret that no provider has.
var ErrNoSecret = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_secret", Reason: "This provider has no secret with this mark."}
