package grant_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/storetest"
)

type desk struct {
	*grant.Desk
	db *storetest.DB
	t  *testing.T
}

func each(t *testing.T, test func(t *testing.T, d desk)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		test(t, desk{&grant.Desk{
			Store: db.Grant(), Clock: db.Clock.Clock(), URL: "http://guichet.test", PurgeAfter: 720 * time.Hour, PurgeRefusedAfter: -1,
			Providers: map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise", Title: "API Entreprise", Mails: true}},
			Mint:      func(s grant.Standing) (guichet.Secret, error) { return guichet.Secret("jwt of " + s.ID), nil },
		}, db, t})
	})
}

const noon = 1777880000

func (d desk) send(name string, firedAt, id int) guichet.ID {
	d.t.Helper()
	body := fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_id":%d,"data":{"state":"draft","data":{"intitule":"Marchés de Valmont",
"description":"secret de personne","scopes":["a"]},"applicant":{"email":"claire@valmont.fr","family_name":"Morel"}}}`, name, firedAt, id)
	answer, err := d.Receive(d.t.Context(), "api_entreprise", grant.V2, []byte(body))
	if err != nil {
		d.t.Fatalf("%s: %v", name, err)
	}
	return answer.TokenID
}

func (d desk) request(id int) grant.Request {
	d.t.Helper()
	r, err := d.Store.Request(d.t.Context(), "api_entreprise", fmt.Sprint(id))
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d desk) token(id guichet.ID) grant.Standing {
	d.t.Helper()
	s, err := d.Store.Standing(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d desk) alerts() string {
	return d.db.Value("SELECT COALESCE(MIN(kind), '') || ' ' || CAST(COUNT(*) AS TEXT) FROM alerts")
}

var operator = guichet.Actor{Kind: guichet.ByPerson, ID: "p", Name: "nora@guichet.test"}

// O1: a revocation takes every token of every generation, one foreseen for later
// included.
func TestRevokeTakesAllTokens(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		first := d.send("approve", noon, 1)
		second, err := d.Issue(t.Context(), operator, "api_entreprise", "1")
		if err != nil {
			t.Fatal(err)
		}
		third, err := d.Issue(t.Context(), operator, "api_entreprise", "1")
		if err != nil {
			t.Fatal(err)
		}
		at := d.Clock.Now().Add(48 * time.Hour)
		if _, err := d.Block(t.Context(), operator, second, grant.Blocking{At: at}); err != nil {
			t.Fatal(err)
		}
		d.send("revoke", noon+1, 1)
		for _, id := range []guichet.ID{first, second, third} {
			if d.token(id).BlockedAt.IsZero() {
				t.Errorf("%s lives", id)
			}
		}
		if _, err := d.Issue(t.Context(), operator, "api_entreprise", "1"); !errors.Is(err, grant.ErrNotValidated) {
			t.Errorf("a token for a revoked request: %v", err)
		}
	})
}

// A block foreseen for a date happens at that date, by a job; its replacement is
// not born blocked.
func TestBlockAtADate(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		if _, err := d.Block(t.Context(), operator, id, grant.Blocking{At: d.Clock.Now().Add(-time.Minute)}); !errors.Is(err, grant.ErrPast) {
			t.Errorf("in the past: %v", err)
		}
		at := d.Clock.Now().Add(48 * time.Hour)
		replacement, err := d.Block(t.Context(), operator, id, grant.Blocking{At: at, Reason: "leaked", Replace: true})
		if err != nil || replacement == "" || !d.token(replacement).BlockedAt.IsZero() || !d.token(replacement).BlockAt.IsZero() {
			t.Fatalf("%s, %v", replacement, err)
		}
		if blocked, _, err := d.Sweep(t.Context()); err != nil || blocked != 0 || !d.token(id).BlockedAt.IsZero() {
			t.Errorf("before its date: %d, %v", blocked, err)
		}
		d.db.Clock.Advance(49 * time.Hour)
		if blocked, _, err := d.Sweep(t.Context()); err != nil || blocked != 1 || d.token(id).BlockedAt.IsZero() {
			t.Errorf("at its date: %d, %v", blocked, err)
		}
		if blocked, _, err := d.Sweep(t.Context()); err != nil || blocked != 0 {
			t.Errorf("swept twice: %d, %v", blocked, err)
		}
		if _, err := d.Block(t.Context(), operator, id, grant.Blocking{}); !errors.Is(err, grant.ErrBlocked) {
			t.Errorf("blocked twice: %v", err)
		}
		if d.token(id).BlockReason != "leaked" {
			t.Errorf("reason %q", d.token(id).BlockReason)
		}
	})
}

// If the only token is blocked, an approval issues another; else it prolongs the
// live one and moves nothing back.
func TestApprovalAfterABlock(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		first := d.send("approve", noon, 1)
		if again := d.send("approve", noon+1, 1); again != first {
			t.Errorf("a second approval gave %s beside %s", again, first)
		}
		if _, err := d.Block(t.Context(), operator, first, grant.Blocking{Reason: "leaked"}); err != nil {
			t.Fatal(err)
		}
		second := d.send("approve", noon+2, 1)
		if second == first || second == "" || d.token(first).BlockedAt.IsZero() {
			t.Errorf("after a block: %s", second)
		}
	})
}

func TestHandRevocation(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		d.send("archive", noon+1, 1)
		if d.alerts() != "archive_without_revoke 1" || !d.token(id).BlockedAt.IsZero() {
			t.Fatalf("archive of a validated request: %s", d.alerts())
		}
		if n, err := d.Revoke(t.Context(), operator, "api_entreprise", "1", "lost"); err != nil || n != 1 || d.token(id).BlockedAt.IsZero() {
			t.Fatalf("%d, %v", n, err)
		}
		if r := d.request(1); r.Status != grant.Revoked || r.RevokedAt.IsZero() || r.ArchivedAt.IsZero() {
			t.Errorf("%+v", r)
		}
		if n, err := d.Revoke(t.Context(), operator, "api_entreprise", "1", "again"); err != nil || n != 0 {
			t.Errorf("revoked twice: %d, %v", n, err)
		}
		if _, err := d.Revoke(t.Context(), operator, "api_entreprise", "2", "x"); !errors.Is(err, grant.ErrNoRequest) {
			t.Errorf("of nothing: %v", err)
		}
		d.send("approve", int(d.Clock.Now().Add(5*time.Minute).Unix()), 1)
		if d.db.Value("SELECT effect FROM deliveries ORDER BY n DESC LIMIT 1") != "held" {
			t.Error("an approval after a revocation by hand is not held")
		}
	})
}

// An archive that overtakes its revoke does not save the tokens.
func TestArchiveOvertakesRevoke(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		d.send("archive", noon+2, 1)
		d.send("revoke", noon+1, 1)
		if d.token(id).BlockedAt.IsZero() {
			t.Error("the token lives")
		}
		if r := d.request(1); r.Status != grant.Archived || r.RevokedAt.IsZero() {
			t.Errorf("%s, revoked at %s", r.Status, r.RevokedAt)
		}
	})
}

// 1.4: what never had a token is forgotten after a while, the tombstone stays,
// and an event brings it back.
func TestPurge(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.send("create", noon, 1)
		d.send("archive", noon+1, 1)
		d.send("approve", noon, 2)
		d.send("revoke", noon+1, 2)
		d.send("archive", noon+2, 2)
		if _, purged, err := d.Sweep(t.Context()); err != nil || purged != 0 {
			t.Fatalf("too early: %d, %v", purged, err)
		}
		d.db.Clock.Advance(721 * time.Hour)
		if _, purged, err := d.Sweep(t.Context()); err != nil || purged != 1 {
			t.Fatalf("%d purged, %v", purged, err)
		}
		r := d.request(1)
		if r.Title != "" || len(r.Contacts) != 0 || r.PurgedAt.IsZero() || r.Status != grant.Archived {
			t.Errorf("%+v", r)
		}
		if n := d.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE chain = 'api_entreprise/1' AND body IS NOT NULL"); n != "0" {
			t.Errorf("%s bodies are left", n)
		}
		if kept := d.request(2); kept.Title == "" || len(kept.Tokens) != 1 {
			t.Error("a request that had a token is kept for ever")
		}
		d.send("update", noon+3, 1)
		if r := d.request(1); r.Title == "" || !r.PurgedAt.IsZero() || !strings.Contains(d.alerts(), "event_after_archive") {
			t.Errorf("an event did not bring it back: %s, %s", r.Status, d.alerts())
		}
	})
}

func TestPurgeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.PurgeAfter = 0
		d.send("create", noon, 1)
		d.send("archive", noon+1, 1)
		if r := d.request(1); r.Title != "" || r.PurgedAt.IsZero() {
			t.Errorf("%+v", r)
		}
		if n := d.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE body IS NOT NULL"); n != "0" {
			t.Errorf("%s bodies are left", n)
		}
		d.PurgeAfter = -1
		d.send("create", noon, 2)
		d.send("archive", noon+1, 2)
		d.db.Clock.Advance(10_000 * time.Hour)
		if _, purged, err := d.Sweep(t.Context()); err != nil || purged != 0 {
			t.Errorf("never: %d, %v", purged, err)
		}
	})
}

// A refused request that was purged and comes back knows people again: the
// invariants are checked when the test ends.
func TestPurgedRefusalComesBack(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.PurgeRefusedAfter = 0
		for id, name := range []string{"approve", "update", "transfer", "archive"} {
			d.send("refuse", noon, id)
			if d.request(id).PurgedAt.IsZero() {
				t.Fatal("not purged at once")
			}
			d.send(name, noon+1, id)
			if r := d.request(id); !r.PurgedAt.IsZero() {
				t.Errorf("after %s it is still said to be purged", name)
			}
		}
	})
}

// What was quarantined can be replayed after a repair, once.
func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		ahead := int(d.Clock.Now().Add(time.Hour).Unix())
		if d.send("approve", ahead, 1) != "" {
			t.Fatal("from the future")
		}
		waiting, err := d.Store.Deliveries(t.Context(), grant.DeliveryFilter{Open: true})
		if err != nil || len(waiting) != 1 {
			t.Fatal(waiting, err)
		}
		d.db.Clock.Advance(2 * time.Hour)
		done, err := d.Replay(t.Context(), operator, waiting[0].ID)
		if err != nil || done.Effect != grant.Applied || done.TokenID == "" {
			t.Fatalf("%+v, %v", done, err)
		}
		again, err := d.Replay(t.Context(), operator, waiting[0].ID)
		if err != nil || again.Effect != grant.Duplicate || again.TokenID != done.TokenID {
			t.Errorf("replayed twice: %s, %v", again.Effect, err)
		}
		if open, err := d.Store.Deliveries(t.Context(), grant.DeliveryFilter{Open: true}); err != nil || len(open) != 0 {
			t.Errorf("still waiting: %v, %v", open, err)
		}
	})
}

// Showing a token is a deed.
func TestRevealIsAudited(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		if _, jwt, err := d.Reveal(t.Context(), operator, id); err != nil || jwt == "" {
			t.Fatal(err)
		}
		deeds, err := d.Store.Deeds(t.Context(), "api_entreprise/1")
		if err != nil || deeds[len(deeds)-1].Deed != "token.revealed" || deeds[len(deeds)-1].Actor.Name != operator.Name {
			t.Errorf("%v, %v", deeds, err)
		}
		if strings.Contains(fmt.Sprint(deeds), "jwt of") {
			t.Error("the audit holds the token")
		}
	})
}

// Lists: pages follow one another without a gap, and filters narrow.
func TestLists(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		for id := range 25 {
			d.send("approve", noon, id+1)
			if id%5 == 0 {
				d.send("revoke", noon+1, id+1)
			}
		}
		d.send("archive", noon, 99)
		seen, cursor := map[string]bool{}, grant.Cursor{}
		for {
			page, err := d.Store.Requests(t.Context(), grant.RequestFilter{Limit: 7, Before: cursor})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				if seen[r.ExternalID] {
					t.Fatalf("%s twice", r.ExternalID)
				}
				seen[r.ExternalID] = true
				cursor = grant.Cursor{At: r.UpdatedAt, ID: r.ID}
			}
		}
		if len(seen) != 25 || seen["99"] {
			t.Errorf("%d requests; an archived one that never had a token is hidden", len(seen))
		}
		for f, want := range map[*grant.RequestFilter]int{
			{Status: grant.Revoked}: 5, {Search: "MARCHES  de valmont"}: 25, {Search: "claire@"}: 25, {Search: "100%"}: 0, {Scope: "a"}: 25, {Scope: "b"}: 0,
			{Provider: "other"}: 0, {Archived: true}: 26, {Search: "_"}: 0,
		} {
			f.Limit = 100
			if page, err := d.Store.Requests(t.Context(), *f); err != nil || len(page) != want {
				t.Errorf("%+v: %d instead of %d, %v", *f, len(page), want, err)
			}
		}
		for state, want := range map[string]int{"": 25, "live": 20, "blocked": 5, "expired": 0} {
			if page, err := d.Store.Tokens(t.Context(), grant.TokenFilter{State: state, Now: d.Clock.Now(), Limit: 100}); err != nil || len(page) != want {
				t.Errorf("%q: %d tokens instead of %d, %v", state, len(page), want, err)
			}
		}
	})
}
