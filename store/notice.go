package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Notices is the store of what providers' systems are told.
type Notices struct{ s *Store }

// Notices gives the store of notifications.
func (s *Store) Notices() Notices { return Notices{s} }

// Begin implements grant.NoticeStore.
func (n Notices) Begin(ctx context.Context, notice grant.Notice, at time.Time) (begun grant.SentNotice, err error) {
	err = n.s.update(ctx, func(t *tx) error {
		row, err := t.q.BeginNotice(t.ctx, query.BeginNoticeParams{
			ID: string(notice.ID), Provider: notice.Provider, Type: string(notice.Type), ExternalID: notice.ExternalID,
			Body: string(notice.Body), MadeAt: micros(notice.MadeAt),
		})
		if errors.Is(err, sql.ErrNoRows) {
			return grant.ErrNoticeOver
		}
		if err != nil {
			return err
		}
		begun = noticeOf(row)
		return t.q.BeginNoticeAttempt(t.ctx, query.BeginNoticeAttemptParams{NoticeID: row.ID, N: row.Attempts, BeganAt: micros(at)})
	})
	return begun, err
}

// End implements grant.NoticeStore.
func (n Notices) End(ctx context.Context, s grant.SentNotice, at time.Time, alert *guichet.Alert) error {
	return n.s.update(ctx, func(t *tx) error {
		err := errors.Join(
			t.q.EndNoticeAttempt(t.ctx, query.EndNoticeAttemptParams{
				NoticeID: string(s.ID), N: int64(s.Attempts), EndedAt: micros(at), Code: int64(s.Code), Problem: s.Problem,
			}),
			t.q.EndNotice(t.ctx, query.EndNoticeParams{
				ID: string(s.ID), Attempts: int64(s.Attempts), State: string(s.State), NextAt: micros(s.NextAt),
				DeliveredAt: micros(s.DeliveredAt), Code: int64(s.Code), Problem: s.Problem,
			}))
		if err != nil || alert == nil {
			return err
		}
		return t.Alert(*alert)
	})
}

// Notices implements grant.NoticeStore.
func (n Notices) Notices(ctx context.Context, f grant.NoticeFilter) ([]grant.SentNotice, error) {
	rows, err := n.s.reader.Notices(ctx, query.NoticesParams{
		Provider: f.Provider, State: string(f.State), BeforeID: string(f.Before), MaxRows: limit(f.Limit),
	})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.Notice) (grant.SentNotice, error) { return noticeOf(r), nil })
}

// Notice implements grant.NoticeStore.
func (n Notices) Notice(ctx context.Context, id guichet.ID) (grant.SentNotice, error) {
	row, err := n.s.reader.NoticeByID(ctx, string(id))
	if errors.Is(err, sql.ErrNoRows) {
		return grant.SentNotice{}, grant.ErrNoNotice
	}
	if err != nil {
		return grant.SentNotice{}, ErrUnavailable.Because(err)
	}
	tries, err := n.s.reader.NoticeAttempts(ctx, string(id))
	if err != nil {
		return grant.SentNotice{}, ErrUnavailable.Because(err)
	}
	s := noticeOf(row)
	for _, t := range tries {
		s.Tries = append(s.Tries, grant.NoticeTry{N: int(t.N), BeganAt: instant(t.BeganAt), EndedAt: instant(t.EndedAt), Code: int(t.Code), Problem: t.Problem})
	}
	return s, nil
}

// Unattempted implements grant.NoticeStore.
func (n Notices) Unattempted(ctx context.Context, provider string) (int64, error) {
	count, err := n.s.reader.UnattemptedNotices(ctx, `%"provider":`+asJSON(provider)+`,%`)
	if err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	return count, nil
}

// Again implements grant.NoticeStore.
func (n Notices) Again(ctx context.Context, s grant.SentNotice, job guichet.Job, deed guichet.AuditEntry) error {
	return n.s.update(ctx, func(t *tx) error {
		if err := t.q.AgainNotice(t.ctx, query.AgainNoticeParams{ID: string(s.ID), NextAt: micros(s.NextAt)}); err != nil {
			return err
		}
		hurried, err := t.q.HurryNotice(t.ctx, query.HurryNoticeParams{JobKey: job.Key, RunAt: micros(job.RunAt)})
		if err != nil {
			return err
		}
		t.touch(JobsReady)
		if hurried == 0 {
			job.Key = "" // one that runs right now may be about to end: it does not stand for this one
			if err := t.Enqueue(job); err != nil {
				return err
			}
		}
		return t.Audit(deed)
	})
}

// Forget removes notifications that are over and were made before an instant.
func (n Notices) Forget(ctx context.Context, before time.Time) error {
	return n.s.update(ctx, func(t *tx) error {
		return errors.Join(t.q.ForgetNoticeAttempts(t.ctx, micros(before)), t.q.ForgetNotices(t.ctx, micros(before)))
	})
}

func noticeOf(r query.Notice) grant.SentNotice {
	return grant.SentNotice{
		Notice: grant.Notice{
			ID: guichet.ID(r.ID), Provider: r.Provider, Type: grant.NoticeType(r.Type), ExternalID: r.ExternalID, MadeAt: instant(r.MadeAt),
			Body: json.RawMessage(r.Body),
		},
		State: grant.NoticeState(r.State), Attempts: int(r.Attempts), Round: int(r.Round), NextAt: instant(r.NextAt),
		DeliveredAt: instant(r.DeliveredAt), Code: int(r.Code), Problem: r.Problem,
	}
}

// A SecretUse is what is known of one secret of a provider, by its mark.
type SecretUse struct {
	Provider, Mark      string
	LastUsedAt, EndedAt time.Time
	EndedBy             string
}

// Secrets is the book of the providers' secrets.
type Secrets struct{ s *Store }

// Secrets gives the book of the providers' secrets.
func (s *Store) Secrets() Secrets { return Secrets{s} }

// All gives what is known of every secret that was used or ended.
func (b Secrets) All(ctx context.Context) ([]SecretUse, error) {
	rows, err := b.s.reader.ProviderSecrets(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.ProviderSecret) (SecretUse, error) {
		return SecretUse{r.Provider, r.Mark, instant(r.LastUsedAt), instant(r.EndedAt), r.EndedBy}, nil
	})
}

// NoteUses notes when secrets were last used, all in one transaction.
func (b Secrets) NoteUses(ctx context.Context, uses []SecretUse) error {
	if len(uses) == 0 {
		return nil
	}
	return b.s.update(ctx, func(t *tx) error {
		for _, u := range uses {
			if err := t.q.NoteSecretUse(t.ctx, query.NoteSecretUseParams{Provider: u.Provider, Mark: u.Mark, LastUsedAt: micros(u.LastUsedAt)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// End ends a secret for ever; doing it twice changes nothing.
func (b Secrets) End(ctx context.Context, by guichet.Actor, provider, mark string) error {
	return b.s.update(ctx, func(t *tx) error {
		now := t.store.clock.Now()
		n, err := t.q.EndSecret(t.ctx, query.EndSecretParams{Provider: provider, Mark: mark, EndedAt: micros(now), EndedBy: by.Name})
		if err != nil || n == 0 {
			return err
		}
		return t.Audit(guichet.AuditEntry{
			ID: t.store.clock.NewID(), At: now, Actor: by, Deed: "provider.secret_ended", Subject: "provider/" + provider,
			Detail: asJSON(map[string]string{"secret": mark}),
		})
	})
}
