package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"guichet/grant"
	"guichet/store/query"
)

// The index of requests. A term is one thing that a request can be found by, as
// bytes: what it is of, a colon, and the value. Each request has:
//
//	a:                  every request
//	v:                  every one that lists show without being asked
//	p: s: ps:           provider, status, both
//	c:                  a scope
//	w:                  a word of its search text
//
// It is brought up to date after the fact (see the queue of the migration), in
// transactions of a few requests each: if we die in one, its requests are still
// in the queue.
const (
	indexedAtOnce  = 100 // in one transaction
	indexedInHaste = 400 // before a search
	mostWords      = 80  // of one request
	longestWord    = 64  // in bytes
)

// Index implements grant.Office.
func (g Grant) Index(ctx context.Context) (requests int, err error) {
	for {
		n, err := g.indexSome(ctx)
		requests += n
		if err != nil || n == 0 {
			return requests, err
		}
	}
}

// indexSome brings some of the queue into the index.
func (g Grant) indexSome(ctx context.Context) (n int, err error) {
	queued, err := g.s.reader.Queued(ctx, indexedAtOnce)
	if err != nil || len(queued) == 0 {
		return 0, unavailable(err)
	}
	err = g.s.update(ctx, func(t *tx) error {
		for _, id := range queued {
			// First out of the queue, then read: whoever changes the request
			// meanwhile either is waited for here, or puts it back.
			mine, err := t.q.Unqueue(t.ctx, id)
			if err != nil {
				return err
			}
			if mine == 0 {
				continue // another process was faster
			}
			if err := t.index(id); err != nil {
				return err
			}
		}
		return nil
	})
	return len(queued), err
}

func (t *tx) index(id string) error {
	row, err := t.q.RequestToIndex(t.ctx, id)
	if err != nil {
		return err
	}
	terms, err := termsOf(row)
	if err != nil {
		return err
	}
	text := "\n" + strings.Join(terms, "\n") + "\n"
	had, err := t.q.IndexedRequest(t.ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		had.N, err = t.firstIndexed(row, text)
	} else if err == nil {
		err = t.q.UpdateIndexed(t.ctx, query.UpdateIndexedParams{
			N: had.N, Provider: row.Provider, Status: row.Status, SubmittedAt: row.FirstSubmittedAt, ValidatedAt: row.ValidatedAt,
			RevokedAt: row.RevokedAt, Terms: text,
		})
	}
	if err != nil {
		return err
	}
	old := strings.Fields(had.Terms)
	for _, term := range old {
		if _, kept := slices.BinarySearch(terms, term); !kept {
			if err := t.q.DeleteTerm(t.ctx, query.DeleteTermParams{Term: []byte(term), N: had.N}); err != nil {
				return err
			}
		}
	}
	for _, term := range terms {
		if _, there := slices.BinarySearch(old, term); !there {
			if err := t.q.InsertTerm(t.ctx, query.InsertTermParams{Term: []byte(term), N: had.N}); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstIndexed gives the request its place: the microsecond it came, or behind the
// last place that is taken in the second after it. All requests of an import came at
// once: to try one place after the other would take each of them as many tries as
// there are others, and the one writer from everybody else.
func (t *tx) firstIndexed(row query.RequestToIndexRow, terms string) (n int64, err error) {
	const second = int64(time.Second / time.Microsecond)
	for n = row.CreatedAt; ; n++ {
		rows, err := t.q.InsertIndexed(t.ctx, query.InsertIndexedParams{
			N: n, RequestID: row.ID, Provider: row.Provider, Status: row.Status, SubmittedAt: row.FirstSubmittedAt,
			ValidatedAt: row.ValidatedAt, RevokedAt: row.RevokedAt, Terms: terms,
		})
		if err != nil || rows == 1 {
			return n, err
		}
		if n, err = t.q.LastIndexed(t.ctx, query.LastIndexedParams{Lowest: n, Below: n + second}); err != nil {
			return 0, err
		}
	}
}

// termsOf lists what a request can be found by, sorted, each once.
func termsOf(r query.RequestToIndexRow) ([]string, error) {
	terms := []string{"a:", "p:" + oneWord(r.Provider), "s:" + r.Status, "ps:" + oneWord(r.Provider) + "/" + r.Status}
	if r.Status != string(grant.Archived) || r.ValidatedAt != 0 || r.RevokedAt != 0 {
		terms = append(terms, "v:")
	}
	scopes, err := fromJSON[[]string](r.Scopes)
	if err != nil {
		return nil, err
	}
	for _, s := range scopes {
		terms = append(terms, "c:"+oneWord(s))
	}
	words := wordsOf(r.SearchText)
	for _, w := range words[:min(len(words), mostWords)] {
		terms = append(terms, "w:"+w)
	}
	slices.Sort(terms)
	return slices.Compact(terms), nil
}

// oneWord keeps what was sent from looking like two terms.
func oneWord(s string) string { return strings.Join(strings.Fields(s), "_") }

// wordsOf splits a normalized text. An e-mail is one word, and its parts too.
func wordsOf(text string) (words []string) {
	add := func(w string) {
		if len(w) > longestWord {
			w = strings.ToValidUTF8(w[:longestWord], "")
		}
		if w != "" {
			words = append(words, w)
		}
	}
	for _, field := range strings.Fields(text) {
		if strings.Contains(field, "@") {
			add(field)
		}
		for _, part := range strings.FieldsFunc(field, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }) {
			add(part)
		}
	}
	return words
}

// unavailable is a failure of the database, if there is one.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return ErrUnavailable.Because(err)
}
