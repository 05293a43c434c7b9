package store

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"guichet"
	"guichet/store/query"
)

// micros stores an instant: microseconds since 1970, and 0 for never.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant reads what micros stored.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// asJSON stores a list or a map; it cannot fail on the types it is given.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: " + err.Error())
	}
	return string(b)
}

// fromJSON reads what asJSON stored.
func fromJSON[T any](s string) (v T, err error) {
	if s == "" || s == "null" {
		return v, nil
	}
	return v, json.Unmarshal([]byte(s), &v)
}

// Alert opens an alert, and asks for a mail to the operators about it.
func (t *tx) Alert(a guichet.Alert) error {
	return t.do(func(t *tx) error {
		n, err := t.q.InsertAlert(t.ctx, query.InsertAlertParams{
			ID: string(a.ID), Kind: a.Kind, Subject: a.Subject, Detail: a.Detail, Once: a.Once, OpenedAt: micros(a.OpenedAt),
		})
		if err != nil || n == 0 { // 0: said once already
			return err
		}
		return t.Enqueue(guichet.Job{Kind: "alert", Key: string(a.ID), Args: []byte(asJSON(map[string]string{"alert": string(a.ID)})), RunAt: a.OpenedAt, MaxAttempts: alertAttempts})
	})
}

// alertAttempts are four days of trying: the mail server may be what is broken.
const alertAttempts = 100

// Audit writes an audit entry.
func (t *tx) Audit(e guichet.AuditEntry) error {
	row := query.InsertAuditParams{
		ID: string(e.ID), At: micros(e.At), ActorKind: string(e.Actor.Kind), ActorID: string(e.Actor.ID), ActorName: e.Actor.Name,
		Deed: e.Deed, Subject: e.Subject, Detail: e.Detail,
	}
	return t.do(func(t *tx) error { return t.q.InsertAudit(t.ctx, row) })
}

// Enqueue adds a job; one of the same kind and key that waits or runs already
// stands for it.
func (t *tx) Enqueue(j guichet.Job) error {
	attempts := int64(j.MaxAttempts)
	if attempts == 0 {
		attempts = 20
	}
	row := query.EnqueueJobParams{
		ID: string(t.store.clock.NewID()), Kind: j.Kind, JobKey: j.Key, Args: string(j.Args), RunAt: micros(j.RunAt),
		MaxAttempts: attempts, CreatedAt: micros(t.store.clock.Now()),
	}
	return t.do(func(t *tx) error {
		t.touch(JobsReady)
		_, err := t.q.EnqueueJob(t.ctx, row)
		return err
	})
}

// latest is the cursor of a first page.
const latest = math.MaxInt64

// before turns the end of a page into the two values that queries compare.
func before(at time.Time, id guichet.ID) (int64, string) {
	if at.IsZero() {
		return latest, ""
	}
	return micros(at), string(id)
}

func limit(n int) int32 {
	if n <= 0 {
		return 50
	}
	return int32(min(n, 1000))
}

// Alerts is the book of alerts, of all windows.
type Alerts struct{ s *Store }

// Alerts gives the book of alerts.
func (s *Store) Alerts() Alerts { return Alerts{s} }

// List gives alerts, the newest first.
func (a Alerts) List(ctx context.Context, f guichet.AlertFilter) ([]guichet.Alert, error) {
	at, id := before(f.BeforeAt, f.BeforeID)
	open := int64(0)
	if f.Open {
		open = 1
	}
	rows, err := a.s.reader.Alerts(ctx, query.AlertsParams{Open: open, Subject: f.Subject, BeforeAt: at, BeforeID: id, MaxRows: limit(f.Limit)})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	out := make([]guichet.Alert, len(rows))
	for i, r := range rows {
		out[i] = alertOf(r)
	}
	return out, nil
}

// Get gives one alert.
func (a Alerts) Get(ctx context.Context, id guichet.ID) (guichet.Alert, error) {
	row, err := a.s.reader.AlertByID(ctx, string(id))
	row, err = one(row, err, guichet.ErrNoAlert)
	return alertOf(row), err
}

// Acknowledge notes that a person has seen the alert. Doing it twice is no error
// and changes nothing.
func (a Alerts) Acknowledge(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	return a.s.update(ctx, func(t *tx) error {
		row, err := t.q.AlertByID(t.ctx, string(id))
		if row, err = one(row, err, guichet.ErrNoAlert); err != nil {
			return err
		}
		now := t.store.clock.Now()
		n, err := t.q.AcknowledgeAlert(t.ctx, query.AcknowledgeAlertParams{ID: string(id), AcknowledgedAt: micros(now), AcknowledgedBy: by.Name})
		if err != nil || n == 0 {
			return err
		}
		return t.Audit(guichet.AuditEntry{
			ID: t.store.clock.NewID(), At: now, Actor: by, Deed: "alert.acknowledged", Subject: row.Subject,
			Detail: asJSON(map[string]string{"alert": string(id), "kind": row.Kind}),
		})
	})
}

func alertOf(r query.Alert) guichet.Alert {
	return guichet.Alert{
		ID: guichet.ID(r.ID), Kind: r.Kind, Subject: r.Subject, Detail: r.Detail, Once: r.Once, OpenedAt: instant(r.OpenedAt),
		AcknowledgedAt: instant(r.AcknowledgedAt), AcknowledgedBy: r.AcknowledgedBy, AssignedTo: r.AssignedTo,
	}
}
