package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"guichet/grant"
	"guichet/store/query"
)

// A search walks the list of its rarest term, which is in the order asked for; the
// requests of a rare beginning of a word are put in order first. It looks at the
// terms of each candidate. What it may look at is bounded.
const (
	fewNumbers   = 10_000 // the beginning of a word with fewer requests is rare
	fewChanges   = 400    // the same, when each has to be asked when it changed
	mostExamined = 4000   // candidates of one page
)

// Search implements grant.Office.
func (g Grant) Search(ctx context.Context, s grant.Search) (found grant.Found, err error) {
	for done := 0; done < indexedInHaste; {
		n, err := g.indexSome(ctx)
		if err != nil {
			return found, err
		}
		if n < indexedAtOnce {
			break
		}
		done += n
	}
	if found.Behind, err = g.s.reader.CountQueued(ctx); err != nil {
		return found, ErrUnavailable.Because(err)
	}
	w := walk{ctx: ctx, q: g.s.reader, s: s, most: int(limit(s.Limit))}
	if err := w.prepare(); err != nil {
		return found, err
	}
	if err := w.run(); err != nil {
		return found, err
	}
	now := micros(g.s.clock.Now())
	for _, c := range w.page {
		row, err := g.s.reader.ListedRequest(ctx, query.ListedRequestParams{Now: now, ID: c.id})
		if err != nil {
			return found, ErrUnavailable.Because(err)
		}
		r, err := requestOf(row.Request)
		if err != nil {
			return found, err
		}
		found.Requests = append(found.Requests, grant.Listed{Request: r, Live: int(row.Live), Alerted: row.Alerted > 0})
	}
	found.Next = w.next
	return found, nil
}

// walk is one search under way.
type walk struct {
	ctx  context.Context
	q    *query.Queries
	s    grant.Search
	most int

	exact    []string // terms that a request must have
	prefixes []string // and beginnings of terms
	low, top int64    // numbers between, both included
	at       int64    // in the order of changes: where the page begins
	id       string

	rarest string  // the exact term to walk along
	few    []int64 // or all candidates, when they are few; nil: they are not
	rare   bool

	page []candidate
	next string
}

type candidate struct {
	n, at int64
	id    string
}

// prepare turns the question into terms, and finds the rarest.
func (w *walk) prepare() error {
	s := w.s
	w.low, w.top, w.at = math.MinInt64, math.MaxInt64, latest
	if !s.From.IsZero() {
		w.low = micros(s.From)
	}
	if !s.To.IsZero() {
		w.top = micros(s.To) - 1
	}
	if err := w.begin(); err != nil {
		return err
	}
	switch {
	case s.Provider != "" && s.Status != "":
		w.exact = append(w.exact, "ps:"+oneWord(s.Provider)+"/"+oneWord(string(s.Status)))
	case s.Provider != "":
		w.exact = append(w.exact, "p:"+oneWord(s.Provider))
	case s.Status != "":
		w.exact = append(w.exact, "s:"+oneWord(string(s.Status)))
	}
	if s.Scope != "" {
		w.exact = append(w.exact, "c:"+oneWord(s.Scope))
	}
	if s.Archived || s.Status == grant.Archived {
		w.exact = append(w.exact, "a:")
	} else {
		w.exact = append(w.exact, "v:")
	}
	// What is typed with dots or spaces between digits is one SIRET.
	for _, word := range wordsAsked(s.Words + " " + strings.Join(strings.Fields(s.SIRET), "") + " " + s.Email) {
		w.prefixes = append(w.prefixes, "w:"+word)
	}
	return w.choose()
}

// wordsAsked are the words of a question: an e-mail is looked for whole.
func wordsAsked(text string) (words []string) {
	text = searchText(text)
	if digits := strings.ReplaceAll(text, " ", ""); (len(digits) == 9 || len(digits) == 14) && strings.Trim(digits, "0123456789") == "" {
		return []string{digits} // a SIREN or a SIRET, typed in groups
	}
	for _, field := range strings.Fields(text) {
		if strings.Contains(field, "@") {
			words = append(words, field[:min(len(field), longestWord)])
			continue
		}
		words = append(words, wordsOf(field)...)
	}
	return words[:min(len(words), 12)]
}

// begin reads where the page begins.
func (w *walk) begin() error {
	if w.s.After == "" {
		return nil
	}
	if at, id, changed := strings.Cut(w.s.After, "."); changed && w.s.Order == grant.ByChanged {
		var err error
		if w.at, err = strconv.ParseInt(at, 36, 64); err != nil {
			return grant.ErrBadCursor
		}
		w.id = id
		return nil
	}
	n, err := strconv.ParseInt(w.s.After, 36, 64)
	switch {
	case err != nil || w.s.Order == grant.ByChanged || n == math.MinInt64 || n == math.MaxInt64:
		return grant.ErrBadCursor
	case w.s.Order == grant.ByOldest:
		w.low = max(w.low, n+1)
	default:
		w.top = min(w.top, n-1)
	}
	return nil
}

// choose finds what to walk along.
func (w *walk) choose() error {
	few := int32(fewNumbers)
	if w.s.Order == grant.ByChanged {
		few = fewChanges
	}
	for _, prefix := range w.prefixes {
		numbers, err := w.q.PrefixNumbers(w.ctx, query.PrefixNumbersParams{
			FirstTerm: []byte(prefix), LastTerm: append([]byte(prefix), 0xff), Most: few + 1,
		})
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		if len(numbers) <= int(few) && (!w.rare || len(numbers) < len(w.few)) {
			w.few, w.rare = numbers, true
		}
	}
	least := int64(math.MaxInt64)
	for _, term := range w.exact {
		count, err := w.q.CountTerm(w.ctx, query.CountTermParams{Term: []byte(term), Lowest: w.low, Highest: w.top, Most: few + 1})
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		if count < least {
			least, w.rarest = count, term
		}
	}
	if w.rare && int64(len(w.few)) <= least {
		return nil
	}
	w.few, w.rare = nil, false
	if least <= int64(few) && w.s.Order == grant.ByChanged {
		rows, err := w.q.TermNewest(w.ctx, query.TermNewestParams{Term: []byte(w.rarest), Lowest: w.low, Highest: w.top, Most: few})
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		for _, r := range rows {
			w.few = append(w.few, r.N)
		}
		w.rare = true
	}
	return nil
}

func (w *walk) run() error {
	switch {
	case w.rare:
		return w.alongFew()
	case w.s.Order == grant.ByChanged:
		return w.alongChanges()
	}
	return w.alongTerm()
}

// alongFew looks at the candidates in the order asked for, until the page is full.
func (w *walk) alongFew() error {
	slices.Sort(w.few)
	w.few = slices.Compact(w.few)
	if w.s.Order == grant.ByChanged {
		return w.byChange()
	}
	if w.s.Order == grant.ByNewest {
		slices.Reverse(w.few)
	}
	examined, last := 0, int64(0)
	for _, n := range w.few {
		if n < w.low || n > w.top {
			continue
		}
		if examined++; examined > mostExamined {
			w.next = strconv.FormatInt(last, 36)
			return nil
		}
		c, fits, err := w.look(n)
		switch {
		case err != nil:
			return err
		case fits && w.full():
			return nil
		case fits:
			w.page = append(w.page, c)
		}
		last = n
	}
	return nil
}

// look reads one candidate and tells whether it is asked for.
func (w *walk) look(n int64) (c candidate, fits bool, err error) {
	row, err := w.q.IndexedByNumber(w.ctx, n)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, ErrUnavailable.Because(err)
	}
	return candidate{n: n, id: row.RequestID}, w.fits(row.Terms), nil
}

// byChange asks every candidate when it changed: their numbers do not tell.
func (w *walk) byChange() error {
	var all []candidate
	for _, n := range w.few {
		if n < w.low || n > w.top {
			continue
		}
		c, fits, err := w.look(n)
		if err != nil {
			return err
		}
		if !fits {
			continue
		}
		if c.at, err = w.q.ChangedAt(w.ctx, c.id); err != nil {
			return ErrUnavailable.Because(err)
		}
		if c.at < w.at || c.at == w.at && c.id < w.id {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.id, a.id)) })
	for _, c := range all {
		if w.full() {
			return nil
		}
		w.page = append(w.page, c)
	}
	return nil
}

// alongTerm walks the list of one term, a piece at a time: the first piece is
// most often enough.
func (w *walk) alongTerm() error {
	for examined, piece := 0, w.most+1; examined < mostExamined; piece = min(4*piece, mostExamined-examined) {
		rows, err := w.piece(piece)
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		for _, r := range rows {
			c := candidate{n: r.N, id: r.RequestID}
			if w.fits(r.Terms) {
				if w.full() {
					return nil
				}
				w.page = append(w.page, c)
			}
			if w.s.Order == grant.ByOldest {
				w.low = r.N + 1
			} else {
				w.top = r.N - 1
			}
		}
		if len(rows) < piece {
			return nil
		}
		if examined += len(rows); examined >= mostExamined {
			w.next = strconv.FormatInt(rows[len(rows)-1].N, 36)
		}
	}
	return nil
}

func (w *walk) piece(most int) ([]query.TermNewestRow, error) {
	p := query.TermNewestParams{Term: []byte(w.rarest), Lowest: w.low, Highest: w.top, Most: int32(most)}
	if w.s.Order != grant.ByOldest {
		return w.q.TermNewest(w.ctx, p)
	}
	rows, err := w.q.TermOldest(w.ctx, query.TermOldestParams(p))
	out := make([]query.TermNewestRow, len(rows))
	for i, r := range rows {
		out[i] = query.TermNewestRow(r)
	}
	return out, err
}

// alongChanges walks all requests, the latest change first.
func (w *walk) alongChanges() error {
	for examined, piece := 0, w.most+1; examined < mostExamined; piece = min(4*piece, mostExamined-examined) {
		rows, err := w.q.RecentlyChanged(w.ctx, query.RecentlyChangedParams{BeforeAt: w.at, BeforeID: w.id, Most: int32(piece)})
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		for _, r := range rows {
			c := candidate{n: r.N, at: r.UpdatedAt, id: r.ID}
			if r.N >= w.low && r.N <= w.top && w.fits(r.Terms) {
				if w.full() {
					return nil
				}
				w.page = append(w.page, c)
			}
			w.at, w.id = c.at, c.id
		}
		if len(rows) < piece {
			return nil
		}
		if examined += len(rows); examined >= mostExamined {
			w.next = w.cursor(candidate{at: w.at, id: w.id})
		}
	}
	return nil
}

// full ends the page when there is one candidate too many.
func (w *walk) full() bool {
	if len(w.page) < w.most {
		return false
	}
	w.next = w.cursor(w.page[len(w.page)-1])
	return true
}

func (w *walk) cursor(c candidate) string {
	if w.s.Order == grant.ByChanged {
		return strconv.FormatInt(c.at, 36) + "." + c.id
	}
	return strconv.FormatInt(c.n, 36)
}

// fits looks at the terms of a candidate, each between line ends.
func (w *walk) fits(terms string) bool {
	for _, t := range w.exact {
		if !strings.Contains(terms, "\n"+t+"\n") {
			return false
		}
	}
	for _, p := range w.prefixes {
		if !strings.Contains(terms, "\n"+p) {
			return false
		}
	}
	return true
}

// The store is the back office's.
var _ interface {
	grant.Store
	grant.Office
} = Grant{}
