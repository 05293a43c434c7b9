package grant

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet"
)

// An ImportReport counts what an import did, or would do.
type ImportReport struct {
	Tokens   int `json:"tokens"`   // new here
	Known    int `json:"known"`    // here already
	Requests int `json:"requests"` // made, because nobody had told of them
	Blocked  int `json:"blocked"`  // refused from now on
	Foreseen int `json:"foreseen"` // to be blocked at a date
}

// errDry ends the transaction of a dry run.
var errDry = errors.New("a dry run")

// Import takes over tokens that another service issued, so that their holders keep
// the strings they have. All of it happens or nothing does. A token that is known
// is left as it is, but for a block: the same file again adds nothing, and a block
// in it is never undone here.
func (d *Desk) Import(ctx context.Context, by guichet.Actor, provider string, tokens []IssuedToken, dry bool) (report ImportReport, err error) {
	if _, known := d.Providers[provider]; !known {
		return report, ErrNoProvider
	}
	if err := d.findElsewhere(ctx, provider, tokens); err != nil {
		return report, err
	}
	lines := map[string][]IssuedToken{}
	for _, t := range tokens {
		lines[t.Request] = append(lines[t.Request], t)
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		in := importing{d: d, tx: tx, by: by, now: d.Clock.Now(), blocks: map[time.Time][]guichet.ID{}}
		// In the order of their numbers, so that two imports wait for each other
		// rather than both for ever.
		for _, number := range slices.Sorted(maps.Keys(lines)) {
			if err := in.request(provider, number, lines[number]); err != nil {
				return err
			}
		}
		for _, at := range slices.SortedFunc(maps.Keys(in.blocks), time.Time.Compare) {
			n, err := tx.Block(in.blocks[at], at, "imported")
			if err != nil {
				return err
			}
			in.report.Blocked += n
		}
		report = in.report
		if dry {
			return errDry
		}
		return nil
	})
	if dry && errors.Is(err, errDry) {
		err = nil
	}
	return report, err
}

// findElsewhere refuses a token that belongs to another request here: one of the
// two is wrong, and its owner would be lost.
func (d *Desk) findElsewhere(ctx context.Context, provider string, tokens []IssuedToken) error {
	for _, t := range tokens {
		have, err := d.Store.Standing(ctx, t.ID)
		switch {
		case errors.Is(err, ErrNoToken):
		case err != nil:
			return err
		case have.Provider != provider || have.ExternalID != t.Request:
			return badLine(t.Line, "request", "This token is known here as another request's.")
		}
	}
	return nil
}

// importing is one import inside its transaction.
type importing struct {
	d      *Desk
	tx     Tx
	by     guichet.Actor
	now    time.Time
	blocks map[time.Time][]guichet.ID
	report ImportReport
}

// request takes over the tokens of one request. Whoever has a token was validated
// once: that is all the file says of the request, and a request that is known keeps
// what it knows.
func (in *importing) request(provider, number string, lines []IssuedToken) error {
	slices.SortStableFunc(lines, func(a, b IssuedToken) int {
		return cmp.Or(a.IssuedAt.Compare(b.IssuedAt), strings.Compare(a.ID.String(), b.ID.String()))
	})
	body, err := json.Marshal(lines)
	if err != nil {
		return err
	}
	identity := sha256.Sum256(append([]byte(provider+"\n"), body...))
	request, _, err := in.tx.Find(provider, number, identity)
	if err != nil {
		return err
	}
	have := map[guichet.ID]Token{}
	for _, t := range request.Tokens {
		have[t.ID] = t
	}
	fresh := slices.DeleteFunc(slices.Clone(lines), func(l IssuedToken) bool { return have[l.ID].ID != "" })
	before := request.Status
	if len(fresh) > 0 {
		if request, err = in.save(request, fresh); err != nil {
			return err
		}
	}
	in.report.Known += len(lines) - len(fresh)
	in.report.Tokens += len(fresh)
	for _, l := range fresh {
		if have[l.ID], err = in.issue(request, l); err != nil {
			return err
		}
	}
	blocked, foreseen, err := in.block(request, lines, have)
	if err != nil || len(fresh)+len(blocked)+foreseen == 0 {
		return err
	}
	in.report.Foreseen += foreseen
	done := Delivery{
		ID: in.d.Clock.NewID(), Provider: provider, Format: TokenFile, ExternalID: number, Event: "import", FiredAt: in.now, ReceivedAt: in.now,
		Identity: identity, Body: body, BodyHash: sha256.Sum256(body), Effect: Applied, Note: NoteImported, Before: before, After: request.Status,
		Blocked: len(blocked), Actor: in.by,
	}
	if err := in.tx.Append(&done); err != nil {
		return err
	}
	return in.d.audit(in.tx, in.by, "request.imported", request.Subject(), map[string]string{
		"delivery": done.ID.String(), "tokens": strconv.Itoa(len(fresh)), "blocked": strings.Join(idStrings(blocked), " "),
	})
}

// save makes the request, or notes that it was validated. A request that is
// revoked or archived stays so.
func (in *importing) save(r Request, fresh []IssuedToken) (Request, error) {
	newest, tokens := fresh[len(fresh)-1], r.Tokens
	if r.ID == "" {
		in.report.Requests++
		r.ID, r.CreatedAt, r.Status = in.d.Clock.NewID(), in.now, Validated
		r.Title, r.Scopes = newest.Title, newest.Scopes
		for _, l := range slices.Backward(fresh) {
			if !slices.ContainsFunc(r.Contacts, func(c Contact) bool { return c.Email == l.Owner }) {
				r.Contacts = append(r.Contacts, Contact{Role: Applicant, Email: l.Owner})
			}
		}
	}
	if r.Situation() == NeverValidated {
		r.Status = Validated
	}
	if r.ValidatedAt.IsZero() || r.ValidatedAt.After(fresh[0].IssuedAt) {
		r.ValidatedAt = fresh[0].IssuedAt
	}
	r.PurgeAt, r.PurgedAt, r.UpdatedAt = time.Time{}, time.Time{}, in.now
	err := in.tx.Save(&r)
	r.Tokens = tokens
	return r, err
}

func (in *importing) issue(r Request, l IssuedToken) (Token, error) {
	t := Token{ID: l.ID, RequestID: r.ID, Scopes: l.Scopes, Title: cmp.Or(l.Title, r.Title), IssuedAt: l.IssuedAt, ExpiresAt: l.ExpiresAt}
	err := in.tx.Issue(&t)
	return t, err
}

// block notes which tokens are refused once all are there: those that the file
// blocks, and every one of a request that is revoked.
func (in *importing) block(r Request, lines []IssuedToken, have map[guichet.ID]Token) (blocked []guichet.ID, foreseen int, err error) {
	for _, l := range lines {
		t, at := have[l.ID], l.BlockedAt
		if r.Status == Revoked && (at.IsZero() || at.After(in.now)) {
			at = in.now
		}
		switch {
		case at.IsZero() || !t.BlockedAt.IsZero():
		case at.After(in.now):
			if t.BlockAt.IsZero() {
				t.BlockAt, t.BlockReason = at, "imported"
				foreseen++
				if err := in.tx.Amend(&t); err != nil {
					return nil, 0, err
				}
			}
		default:
			blocked = append(blocked, t.ID)
			in.blocks[at] = append(in.blocks[at], t.ID)
		}
	}
	return blocked, foreseen, nil
}
