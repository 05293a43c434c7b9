package grant_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	persons "guichet/people"
	"guichet/store"
)

func (d desk) office() store.Grant { return d.db.Grant() }

func (d desk) held(t *testing.T) guichet.ID {
	t.Helper()
	list, err := d.Store.Deliveries(t.Context(), grant.DeliveryFilter{Open: true, Limit: 10})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].ID
}

func code(t *testing.T, err error, want *guichet.Error) {
	t.Helper()
	if guichet.CodeOf(err) != want.Code {
		t.Errorf("got %v, want %s", err, want.Code)
	}
}

// An approval after a revocation is held; accepted, it gives a new token and the
// old ones stay blocked, once.
func TestAcceptHeldApproval(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		old := d.send("approve", noon, 1)
		d.send("revoke", noon+1, 1)
		d.send("approve", noon+2, 1)
		id := d.held(t)
		preview, err := d.DryRun(t.Context(), id)
		if err != nil || !preview.Accepted || !preview.Decision.Issue || preview.Decision.Request.Status != grant.Validated {
			t.Fatalf("the preview says %+v, %v", preview, err)
		}
		if r := d.request(1); r.Status != grant.Revoked || len(r.Tokens) != 1 {
			t.Error("looking changed something")
		}
		_, err = d.Accept(t.Context(), operator, id, "")
		code(t, err, grant.ErrNeedsReason)
		var wait sync.WaitGroup
		results := make([]error, 4)
		for i := range results {
			wait.Go(func() { _, results[i] = d.Accept(t.Context(), operator, id, "convention renewed") })
		}
		wait.Wait()
		accepted := 0
		for _, err := range results {
			if err == nil {
				accepted++
			} else {
				code(t, err, grant.ErrSettled)
			}
		}
		r := d.request(1)
		if accepted != 1 || r.Status != grant.Validated || len(r.Tokens) != 2 || !r.RevokedAt.IsZero() {
			t.Fatalf("%d accepted, %+v", accepted, r)
		}
		if d.token(old).BlockedAt.IsZero() || !d.token(r.Tokens[1].ID).BlockedAt.IsZero() {
			t.Error("the wrong token lives")
		}
		if again := d.send("approve", noon+2, 1); again != r.Tokens[1].ID {
			t.Errorf("the same event is answered %q", again)
		}
		_, err = d.Accept(t.Context(), operator, id, "again")
		code(t, err, grant.ErrSettled)
	})
}

// A revocation that came after the held approval wins over whoever accepts it.
func TestAcceptLosesToALaterRevoke(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.send("approve", noon, 1)
		d.send("revoke", noon+1, 1)
		d.send("approve", noon+2, 1)
		d.send("revoke", noon+3, 1)
		_, err := d.Accept(t.Context(), operator, d.held(t), "yes")
		code(t, err, grant.ErrOvertaken)
		if r := d.request(1); r.Status != grant.Revoked || len(r.Live()) != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestDismiss(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.send("approve", noon, 1)
		d.send("revoke", noon+1, 1)
		d.send("approve", noon+2, 1)
		id := d.held(t)
		code(t, d.Dismiss(t.Context(), operator, id, ""), grant.ErrNeedsReason)
		if err := d.Dismiss(t.Context(), operator, id, "a mistake of the source"); err != nil {
			t.Fatal(err)
		}
		code(t, d.Dismiss(t.Context(), operator, id, "again"), grant.ErrSettled)
		if r := d.request(1); r.Status != grant.Revoked {
			t.Error("dismissing changed the request")
		}
		deeds, err := d.Store.Deeds(t.Context(), "api_entreprise/1")
		if last := deeds[len(deeds)-1]; err != nil || last.Deed != "delivery.dismissed" || !strings.Contains(last.Detail, "mistake") || last.Actor != operator {
			t.Errorf("%+v %v", last, err)
		}
	})
}

// What a quarantined delivery would do is told before it is replayed.
func TestDryRunOfQuarantine(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.send("approve", int(d.db.Clock.Now().Add(time.Hour).Unix()), 1)
		id := d.held(t)
		p, err := d.DryRun(t.Context(), id)
		if err != nil || p.Problem == "" {
			t.Fatalf("%+v %v", p, err)
		}
		d.db.Clock.Advance(2 * time.Hour)
		p, err = d.DryRun(t.Context(), id)
		if err != nil || p.Problem != "" || !p.Decision.Issue || p.Before.ID != "" {
			t.Fatalf("%+v %v", p, err)
		}
		if _, err := d.Replay(t.Context(), operator, id); err != nil {
			t.Fatal(err)
		}
		code(t, d.Dismiss(t.Context(), operator, id, "late"), grant.ErrSettled)
	})
}

func (d desk) letters(template string) (all []guichet.Letter) {
	d.t.Helper()
	for _, args := range d.db.Column("SELECT args FROM jobs WHERE kind = 'mail' ORDER BY id") {
		var post guichet.Post
		if err := json.Unmarshal([]byte(args), &post); err != nil {
			d.t.Fatal(err)
		}
		for _, l := range post.Letters {
			if l.Template == template {
				l.Data = post.Data
				all = append(all, l)
			}
		}
	}
	return all
}

// Each reminder once, whatever the hours at which it runs and however often; what
// was missed is never sent late.
func TestRemindersOnceEach(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		end := d.token(id).ExpiresAt
		for hours := 24 * 100; hours > -48; hours -= 5 {
			d.db.Clock.Advance(end.Add(-time.Duration(hours) * time.Hour).Sub(d.db.Clock.Now()))
			for range 2 {
				if _, err := d.Remind(t.Context(), d.office()); err != nil {
					t.Fatal(err)
				}
			}
		}
		var days []string
		for _, l := range d.letters("token_expires") {
			days = append(days, l.Data["days"])
			if l.To[0].Address != "claire@valmont.fr" || !strings.HasSuffix(l.Data["url"], id.String()) {
				t.Errorf("%+v", l)
			}
		}
		if got := strings.Join(days, " "); got != "90 60 30 14 7 1 0" {
			t.Errorf("reminders: %s", got)
		}
	})
}

func TestRemindersNeverFor(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		blocked, planned, archived, revoked := d.send("approve", noon, 1), d.send("approve", noon, 2), d.send("approve", noon, 3), d.send("approve", noon, 4)
		_, alive := archived, d.send("approve", noon, 5)
		if _, err := d.Block(t.Context(), operator, blocked, grant.Blocking{Reason: "leak"}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Block(t.Context(), operator, planned, grant.Blocking{Reason: "leak", At: d.token(planned).ExpiresAt.Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		d.send("archive", noon+1, 3)
		d.send("revoke", noon+1, 4)
		if d.token(revoked).BlockedAt.IsZero() {
			t.Fatal("not revoked")
		}
		d.db.Clock.Advance(d.token(alive).ExpiresAt.AddDate(0, 0, -45).Sub(d.db.Clock.Now()))
		n, err := d.Remind(t.Context(), d.office())
		if err != nil || n != 1 {
			t.Fatalf("%d letters, %v", n, err)
		}
		if l := d.letters("token_expires"); !strings.HasSuffix(l[0].Data["url"], alive.String()) || l[0].Data["days"] != "45" {
			t.Errorf("%+v", l)
		}
	})
}

// Prolonged by the source, a token is announced again from the beginning.
func TestRemindersBeginAgain(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		for i := range 2 {
			d.db.Clock.Advance(d.token(id).ExpiresAt.AddDate(0, 0, -80).Sub(d.db.Clock.Now()))
			if n, err := d.Remind(t.Context(), d.office()); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			d.send("approve", noon+10+i, 1)
		}
	})
}

// The mail of a block says which token, and what replaces it; the replacement
// lives.
func TestBlockTellsAndReplaces(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		at := d.db.Clock.Now().Add(48 * time.Hour)
		replacement, err := d.Block(t.Context(), operator, id, grant.Blocking{Reason: "published by mistake", At: at, Replace: true})
		if err != nil || replacement == "" {
			t.Fatal(replacement, err)
		}
		l := d.letters("token_blocked")
		if len(l) != 1 || l[0].Data["replaced"] != "yes" || !strings.Contains(l[0].Data["url"], replacement.String()) || l[0].Data["token"] == "" {
			t.Fatalf("%+v", l)
		}
		if n := d.token(replacement); !n.BlockAt.IsZero() || !n.BlockedAt.IsZero() {
			t.Errorf("the replacement was born blocked: %+v", n)
		}
		d.db.Clock.Advance(49 * time.Hour)
		if blocked, _, err := d.Sweep(t.Context()); err != nil || blocked != 1 {
			t.Fatal(blocked, err)
		}
		if d.token(id).BlockedAt.IsZero() || !d.token(replacement).BlockedAt.IsZero() {
			t.Error("the wrong token is blocked")
		}
		if n := len(d.letters("token_blocked")); n != 1 {
			t.Errorf("%d letters for one block", n)
		}
	})
}

// A limit is kept, noted, passed on to the token that replaces this one, and taken
// away again; a blocked token has no use to narrow.
func TestLimit(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		limit, err := guichet.ParseLimit([]string{"192.0.2.0/24"}, 60)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Limit(t.Context(), operator, id, limit); err != nil || d.token(id).Limit.String() != "192.0.2.0/24 60/min" {
			t.Fatalf("%+v, %v", d.token(id), err)
		}
		d.send("approve", noon+1, 1)
		if got := d.token(id).Limit; got.String() != limit.String() {
			t.Errorf("approved again: %v", got)
		}
		deeds, err := d.office().Deeds(t.Context(), "api_entreprise/1")
		if err != nil || !slices.ContainsFunc(deeds, func(e guichet.AuditEntry) bool {
			return e.Deed == "token.limited" && strings.Contains(e.Detail, "192.0.2.0/24 60/min") && e.Actor == operator
		}) {
			t.Errorf("%+v, %v", deeds, err)
		}
		replacement, err := d.Block(t.Context(), operator, id, grant.Blocking{Reason: "leaked", Replace: true})
		if err != nil || d.token(replacement).Limit.String() != limit.String() {
			t.Errorf("the replacement: %+v, %v", d.token(replacement), err)
		}
		code(t, d.Limit(t.Context(), operator, id, guichet.Limit{}), grant.ErrTokenBlocked)
		if err := d.Limit(t.Context(), operator, replacement, guichet.Limit{}); err != nil || !d.token(replacement).Limit.IsZero() {
			t.Errorf("%+v, %v", d.token(replacement), err)
		}
	})
}

var (
	claire   = guichet.Actor{Kind: guichet.ByPerson, ID: "c", Name: "claire@valmont.fr"}
	stranger = guichet.Actor{Kind: guichet.ByPerson, ID: "s", Name: "someone@else.fr"}
)

// refusedWhileDisabled uses a link of claire's while she may not sign in, and
// again when she may.
func (d desk) refusedWhileDisabled(link guichet.Secret) {
	d.t.Helper()
	who, line := &persons.Desk{Store: d.db.People(), Clock: d.Clock}, guichet.System("command line")
	p, err := who.AddPerson(d.t.Context(), line, persons.NewPerson{Email: claire.Name, Role: persons.Member})
	if err == nil {
		err = who.Disable(d.t.Context(), line, p.ID)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	_, _, err = d.TakeOver(d.t.Context(), link)
	code(d.t, err, grant.ErrHandover)
	if err := who.Enable(d.t.Context(), line, p.ID); err != nil {
		d.t.Fatal(err)
	}
	if _, _, err := d.TakeOver(d.t.Context(), link); err != nil {
		d.t.Errorf("let in again: %v", err)
	}
}

// A link gives the token once, within four hours, to one of those who come
// together; it dies with the token, and with the access of who gave it.
func TestHandOver(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		_, err := d.HandOver(t.Context(), stranger, id, "")
		code(t, err, grant.ErrNoToken)
		link := func() guichet.Secret {
			secret, err := d.HandOver(t.Context(), claire, id, "dev@editor.fr")
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
		first := link()
		var wait sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for range 5 {
			wait.Go(func() {
				s, jwt, err := d.TakeOver(t.Context(), first)
				mu.Lock()
				defer mu.Unlock()
				if err == nil && s.ID == id && jwt.Reveal() != "" {
					taken++
				} else if guichet.CodeOf(err) != grant.ErrHandover.Code {
					t.Errorf("%v", err)
				}
			})
		}
		wait.Wait()
		if taken != 1 {
			t.Errorf("taken %d times", taken)
		}
		old := link()
		d.db.Clock.Advance(4*time.Hour + time.Minute)
		_, _, err = d.TakeOver(t.Context(), old)
		code(t, err, grant.ErrHandover)
		d.refusedWhileDisabled(link())
		dies := link()
		d.send("revoke", noon+1, 1)
		_, _, err = d.TakeOver(t.Context(), dies)
		code(t, err, grant.ErrHandover)
		_, err = d.HandOver(t.Context(), claire, id, "")
		code(t, err, grant.ErrTokenBlocked)
		_, _, err = d.TakeOver(t.Context(), "guess")
		code(t, err, grant.ErrHandover)
		d.db.Clock.Advance(48 * time.Hour)
		if err := d.office().Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := d.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM handovers"); n != "0" {
			t.Errorf("%s links are kept", n)
		}
		if log := strings.Join(d.db.Column("SELECT detail FROM audit_entries"), ""); strings.Contains(log, first.Reveal()) || !strings.Contains(log, "dev@editor.fr") {
			t.Error("the audit says too much or too little")
		}
	})
}

// All as it was prolongs, by a last click; whoever is not in charge any more, or
// whose project changed, cannot.
func TestProlong(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		answer := func(step grant.Step, value string) error {
			return d.AnswerProlongation(t.Context(), claire, d.office(), id, step, value)
		}
		step := func() grant.Step {
			p, err := d.office().Prolongation(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return p.Step()
		}
		code(t, answer(grant.AskInCharge, grant.Yes), grant.ErrTooSoon)
		end := d.token(id).ExpiresAt
		d.db.Clock.Advance(end.AddDate(0, 0, -30).Sub(d.db.Clock.Now()))
		code(t, d.AnswerProlongation(t.Context(), stranger, d.office(), id, grant.AskInCharge, grant.Yes), grant.ErrNoToken)
		code(t, answer(grant.AskInCharge, "perhaps"), grant.ErrUnanswered)
		code(t, answer(grant.AskPurpose, grant.Soon), grant.ErrUnanswered)
		for _, c := range []struct {
			step  grant.Step
			value string
			then  grant.Step
		}{
			{grant.AskInCharge, grant.No, grant.StepLeave},
			{grant.AskInCharge, grant.Soon, grant.AskPurpose},
			{grant.AskPurpose, grant.No, grant.StepChanged},
			{grant.AskPurpose, grant.Yes, grant.AskContacts},
			{grant.AskContacts, grant.Yes, grant.AskConfirm},
		} {
			if c.then == grant.StepLeave || c.then == grant.StepChanged || c.then == grant.AskConfirm {
				code(t, d.Prolong(t.Context(), claire, d.office(), id), grant.ErrNotToProlong)
			}
			if err := answer(c.step, c.value); err != nil || step() != c.then {
				t.Fatalf("%s %s: %v, then %s", c.step, c.value, err, step())
			}
		}
		if !d.token(id).ExpiresAt.Equal(end) {
			t.Error("prolonged before the last click")
		}
		if err := d.Prolong(t.Context(), claire, d.office(), id); err != nil || step() != grant.StepDone {
			t.Fatal(err, step())
		}
		if got, want := d.token(id).ExpiresAt, grant.ExpiryFrom(d.db.Clock.Now()); want.Sub(got).Abs() > time.Second {
			t.Errorf("ends %s, want %s", got, want)
		}
		code(t, d.Prolong(t.Context(), claire, d.office(), id), grant.ErrTooSoon)
		d.send("revoke", noon+9, 1)
		code(t, answer(grant.AskInCharge, grant.Yes), grant.ErrTokenBlocked)
	})
}

// A contact whom the source removed has no access from the next event on.
func TestRemovedContact(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		body := fmt.Sprintf(`{"event":"transfer","fired_at":%d,"model_id":1,"data":{"state":"validated","data":{"intitule":"x"},"applicant":{"email":"nora@valmont.fr"}}}`, noon+1)
		if _, err := d.Receive(t.Context(), "api_entreprise", grant.V2, []byte(body)); err != nil {
			t.Fatal(err)
		}
		_, err := d.HandOver(t.Context(), claire, id, "")
		code(t, err, grant.ErrNoToken)
		if r := d.request(1); r.MaySee(claire.Name) || !r.MayHold("nora@valmont.fr") || r.MayHold("") {
			t.Errorf("%+v", r.Contacts)
		}
	})
}

// A business contact sees the request, and never its token.
func TestRolesOfContacts(t *testing.T) {
	r := grant.Request{Contacts: []grant.Contact{{Role: grant.Applicant, Email: "a@x"}, {Role: grant.TechnicalContact, Email: "t@x"}, {Role: grant.BusinessContact, Email: "b@x"}, {Role: grant.TechnicalContact}}}
	for email, want := range map[string][2]bool{"a@x": {true, true}, "t@x": {true, true}, "b@x": {true, false}, "c@x": {false, false}, "": {false, false}} {
		if got := [2]bool{r.MaySee(email), r.MayHold(email)}; got != want {
			t.Errorf("%q: %v", email, got)
		}
	}
}

func TestFigures(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		begun := d.db.Clock.Now()
		d.send("submit", int(begun.Unix())-7200, 1)
		d.send("approve", int(begun.Unix())-3600, 1)
		d.send("create", noon, 2)
		d.send("refuse", noon+1, 2)
		d.db.Clock.Advance(8 * 24 * time.Hour)
		d.send("approve", noon, 3)
		d.send("revoke", noon+1, 3)
		if _, err := d.office().Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		f, err := d.office().Figures(t.Context(), "", begun, d.db.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Weeks) != 3 && len(f.Weeks) != 2 || f.Weeks[0].Begins.Weekday() != time.Monday {
			t.Fatalf("%+v", f.Weeks)
		}
		var sum grant.Week
		for _, w := range f.Weeks {
			sum.Received, sum.Validated, sum.Refused, sum.Revoked = sum.Received+w.Received, sum.Validated+w.Validated, sum.Refused+w.Refused, sum.Revoked+w.Revoked
		}
		if sum.Received != 3 || sum.Validated != 2 || sum.Refused != 1 || sum.Revoked != 1 || f.Median != time.Hour || f.Validated != 1 {
			t.Errorf("%+v %+v", sum, f)
		}
		if len(f.Tokens) != 1 || f.Tokens[0] != (grant.TokenFigure{Provider: "api_entreprise", Alive: 1, Blocked: 1}) || len(f.Scopes) != 1 || f.Scopes[0].Tokens != 1 {
			t.Errorf("%+v %+v", f.Tokens, f.Scopes)
		}
		if none, err := d.office().Figures(t.Context(), "other", begun, d.db.Clock.Now()); err != nil || none.Weeks[0].Received != 0 || len(none.Tokens) != 0 {
			t.Errorf("%+v %v", none, err)
		}
	})
}
