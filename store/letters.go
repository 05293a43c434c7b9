package store

import (
	"context"

	"guichet/store/query"
)

// Letters remembers which messages the mail server has taken.
type Letters struct{ s *Store }

// Letters gives the register of sent messages.
func (s *Store) Letters() Letters { return Letters{s} }

// Taken implements mail.Register.
func (l Letters) Taken(ctx context.Context, messageID string) (bool, error) {
	n, err := l.s.reader.LetterTaken(ctx, messageID)
	if err != nil {
		return false, ErrUnavailable.Because(err)
	}
	return n > 0, nil
}

// Note implements mail.Register.
func (l Letters) Note(ctx context.Context, messageID string) error {
	return l.s.update(ctx, func(t *tx) error {
		return t.q.NoteLetter(t.ctx, query.NoteLetterParams{MessageID: messageID, SentAt: micros(t.store.clock.Now())})
	})
}
