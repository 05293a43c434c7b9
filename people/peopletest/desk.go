package peopletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/people"
)

func (w *world) code(t *testing.T) guichet.Secret {
	t.Helper()
	code, needed, err := w.desk.SetupCode(t.Context())
	if err != nil || !needed || len(code) < 20 {
		t.Fatalf("setup code of %d characters, needed %v, %v", len(code), needed, err)
	}
	return w.keep(code)
}

func setupFromCodeToOperator(t *testing.T, w *world) {
	ctx := t.Context()
	old := w.code(t)
	w.pass(time.Minute)
	code := w.code(t) // the next start
	n := people.NewPerson{Email: " Claire@Valmont.example ", Name: "Claire Morel", Language: "en", Password: password}
	if _, err := w.desk.SetUp(ctx, old, n); !errors.Is(err, people.ErrSetupCode) {
		t.Errorf("the code of the start before: %v", err)
	}
	w.pass(time.Minute)
	p, err := w.desk.SetUp(ctx, code, n)
	if err != nil {
		t.Fatal(err)
	}
	want := people.Person{
		ID: p.ID, Email: "claire@valmont.example", Name: "Claire Morel", Role: people.Operator, Language: "en",
		PasswordHash: p.PasswordHash, PasswordSetAt: w.at(), CreatedAt: w.at(), Version: p.Version,
	}
	same(t, "the first person", want, p)
	kept, err := w.store.Person(ctx, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the first person, as kept", p, kept)
	w.expect(t, "setup.code_made", "setup.code_made", "person.added")

	n.Email = "other@valmont.example"
	if _, err := w.desk.SetUp(ctx, code, n); !errors.Is(err, people.ErrSetupOver) {
		t.Errorf("the code again: %v", err)
	}
	if code, needed, err := w.desk.SetupCode(ctx); err != nil || needed || code != "" {
		t.Errorf("a code once somebody exists: needed %v, %v", needed, err)
	}
	w.expect(t)
	if s, err := w.store.Setup(ctx); err != nil || !s.Done || s.Hash != [32]byte{} {
		t.Errorf("the setup is %+v, %v", s, err)
	}
}

func setupRefusals(t *testing.T, w *world) {
	ctx := t.Context()
	n := people.NewPerson{Email: "claire@valmont.example", Password: password}
	for _, code := range []guichet.Secret{"", "x"} {
		if _, err := w.desk.SetUp(ctx, code, n); !errors.Is(err, people.ErrSetupCode) {
			t.Errorf("code %q before one was made: %v", code.Reveal(), err)
		}
	}
	code := w.code(t)
	for _, wrong := range []guichet.Secret{"", "x", code + "x", code[1:], guichet.Secret(strings.ToUpper(code.Reveal()))} {
		if _, err := w.desk.SetUp(ctx, wrong, n); !errors.Is(err, people.ErrSetupCode) {
			t.Errorf("a wrong code: %v", err)
		}
	}
	for _, bad := range []struct {
		n    people.NewPerson
		want error
	}{
		{people.NewPerson{Email: "claire@valmont.example"}, people.ErrShortPassword},
		{people.NewPerson{Email: "claire@valmont.example", Password: "password1234"}, people.ErrCommonPassword},
		{people.NewPerson{Email: "claire", Password: password}, people.ErrBadEmail},
		{people.NewPerson{Email: "claire@valmont.example", Password: password, Name: "a\nb"}, people.ErrBadName},
	} {
		if _, err := w.desk.SetUp(ctx, code, bad.n); !errors.Is(err, bad.want) {
			t.Errorf("%+v: %v, want %v", bad.n, err, bad.want)
		}
	}
	w.expect(t, "setup.code_made")
	if _, err := w.desk.SetUp(ctx, code, n); err != nil {
		t.Errorf("after all these mistakes: %v", err)
	}
	// Somebody added at the command line ends the setup as well.
	if s, err := w.store.Setup(ctx); err != nil || !s.Done {
		t.Errorf("%+v, %v", s, err)
	}
}

// Many have the code and use it at once: one of them is the first person.
func setupLetsOneThrough(t *testing.T, w *world) {
	code := w.code(t)
	emails := []string{"a@valmont.example", "b@valmont.example", "c@valmont.example", "d@valmont.example", "e@valmont.example"}
	errs := make([]error, len(emails))
	var wg sync.WaitGroup
	for i, email := range emails {
		wg.Go(func() {
			_, errs[i] = w.desk.SetUp(context.WithoutCancel(t.Context()), code, people.NewPerson{Email: email, Password: password})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, people.ErrSetupOver):
			t.Errorf("one who was late: %v", err)
		}
	}
	all, err := w.store.People(t.Context())
	if won != 1 || len(all) != 1 || err != nil {
		t.Errorf("%d were let through, %d people, %v", won, len(all), err)
	}
	w.expect(t, "setup.code_made", "person.added")
}

func addPerson(t *testing.T, w *world) {
	ctx := t.Context()
	code := w.code(t)
	operator := w.add(t, "claire@valmont.example", people.Operator)
	if _, err := w.desk.SetUp(ctx, code, people.NewPerson{Email: "x@valmont.example", Password: password}); !errors.Is(err, people.ErrSetupOver) {
		t.Errorf("the setup after somebody was added: %v", err)
	}
	member, err := w.desk.AddPerson(ctx, operator.Actor(), people.NewPerson{Email: "Idir@Valmont.example", Role: people.Member, Language: "de"})
	if err != nil {
		t.Fatal(err)
	}
	if member.Email != "idir@valmont.example" || member.Language != "fr" || member.PasswordHash != "" || !member.PasswordSetAt.IsZero() {
		t.Errorf("a member without a password: %+v", member)
	}
	w.expect(t, "setup.code_made", "person.added", "person.added")
	for _, bad := range []struct {
		n    people.NewPerson
		want error
	}{
		{people.NewPerson{Email: "IDIR@valmont.example", Role: people.Member}, people.ErrEmailTaken},
		{people.NewPerson{Email: "new@valmont.example", Role: "king"}, people.ErrBadRole},
		{people.NewPerson{Email: "new@valmont.example"}, people.ErrBadRole},
		{people.NewPerson{Email: "new", Role: people.Member}, people.ErrBadEmail},
		{people.NewPerson{Email: "new@valmont.example", Role: people.Member, Password: "short"}, people.ErrShortPassword},
	} {
		if _, err := w.desk.AddPerson(ctx, operator.Actor(), bad.n); !errors.Is(err, bad.want) {
			t.Errorf("%+v: %v, want %v", bad.n, err, bad.want)
		}
	}
	w.expect(t)
	all, err := w.desk.List(ctx)
	if err != nil || len(all) != 2 || all[0].Email != "claire@valmont.example" || all[1].Email != "idir@valmont.example" {
		t.Errorf("everybody: %+v, %v", all, err)
	}
	got, err := w.desk.Person(ctx, member.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the member", member, got)
}

// Each verb, asked by each kind of actor.
func whoMayDoWhat(t *testing.T, w *world) {
	ctx := t.Context()
	operator, member, other := w.add(t, "o@valmont.example", people.Operator), w.add(t, "m@valmont.example", people.Member), w.add(t, "x@valmont.example", people.Member)
	gone := w.add(t, "gone@valmont.example", people.Operator)
	if err := w.desk.Disable(ctx, commandLine, gone.ID); err != nil {
		t.Fatal(err)
	}
	actors := map[string]guichet.Actor{
		"operator": operator.Actor(), "member": member.Actor(), "other": other.Actor(), "disabled operator": gone.Actor(),
		"command line": commandLine, "system": guichet.System("test"), "source": {Kind: guichet.BySource, Name: "api_entreprise"},
		"nobody": {}, "nameless": {Kind: guichet.ByPerson}, "unknown": {Kind: guichet.ByPerson, ID: w.desk.Clock.NewID(), Name: "z"},
		"source with an id": {Kind: guichet.BySource, ID: operator.ID, Name: "z"}, "source as member": {Kind: guichet.BySource, ID: member.ID, Name: "z"},
	}
	manage := []string{"operator", "command line", "system"}
	for verb, c := range map[string]struct {
		do  func(guichet.Actor) error
		may []string
	}{
		"AddPerson": {func(by guichet.Actor) error {
			_, err := w.desk.AddPerson(ctx, by, people.NewPerson{Email: string(w.desk.Clock.NewID()) + "@valmont.example", Role: people.Member})
			return err
		}, manage},
		"SetPassword": {func(by guichet.Actor) error { return w.desk.SetPassword(ctx, by, member.ID, otherPassword) }, append(manage, "member")},
		"SetProfile":  {func(by guichet.Actor) error { return w.desk.SetProfile(ctx, by, member.ID, "M", "en") }, append(manage, "member")},
		"SetRole":     {func(by guichet.Actor) error { return w.desk.SetRole(ctx, by, member.ID, people.Member) }, manage},
		"Disable":     {func(by guichet.Actor) error { return w.desk.Disable(ctx, by, gone.ID) }, manage},
		"IssueAPIToken": {func(by guichet.Actor) error {
			_, _, err := w.desk.IssueAPIToken(ctx, by, member.ID, "x")
			return err
		}, []string{"command line", "system", "member"}},
		"RevokeAPIToken": {func(by guichet.Actor) error {
			token, text, err := w.desk.IssueAPIToken(ctx, commandLine, member.ID, "x")
			if err != nil {
				t.Fatal(err)
			}
			w.keep(text)
			return w.desk.RevokeAPIToken(ctx, by, token.ID)
		}, append(manage, "member")},
	} {
		for name, by := range actors {
			err := c.do(by)
			may := false
			for _, m := range c.may {
				may = may || m == name
			}
			refused := errors.Is(err, people.ErrNotAllowed) || errors.Is(err, people.ErrYourself)
			if may && err != nil || !may && !refused {
				t.Errorf("%s by %s: %v, allowed is %v", verb, name, err, may)
			}
		}
	}
	for verb, err := range map[string]error{
		"SetRole": w.desk.SetRole(ctx, operator.Actor(), operator.ID, people.Member),
		"Disable": w.desk.Disable(ctx, operator.Actor(), operator.ID),
		"Enable":  w.desk.Enable(ctx, gone.Actor(), gone.ID),
	} {
		if !errors.Is(err, people.ErrYourself) {
			t.Errorf("%s of oneself: %v", verb, err)
		}
	}
	if err := w.desk.SetRole(ctx, commandLine, member.ID, "king"); !errors.Is(err, people.ErrBadRole) {
		t.Errorf("a role that is none: %v", err)
	}
	if err := w.desk.SetPassword(ctx, gone.Actor(), gone.ID, otherPassword); !errors.Is(err, people.ErrNotAllowed) {
		t.Errorf("SetPassword of oneself, disabled: %v", err)
	}
	if err := w.desk.SetRole(ctx, commandLine, w.desk.Clock.NewID(), people.Member); !errors.Is(err, people.ErrNoPerson) {
		t.Errorf("SetRole of nobody: %v", err)
	}
	if p, err := w.desk.Person(ctx, member.ID); err != nil || p.Name != "M" || p.Language != "en" {
		t.Errorf("the profile is %+v, %v", p, err)
	}
}

// Two operators turn on each other: while the one is about to commit, the other
// begins. One of them is left.
func operatorsAgainstEachOther(t *testing.T, w *world) {
	ctx := context.WithoutCancel(t.Context())
	for name, turn := range map[string]func(guichet.Actor, guichet.ID) error{
		"disabling": func(by guichet.Actor, id guichet.ID) error { return w.desk.Disable(ctx, by, id) },
		"degrading": func(by guichet.Actor, id guichet.ID) error { return w.desk.SetRole(ctx, by, id, people.Member) },
	} {
		for _, swapped := range []bool{false, true} { // whoever is older
			a := w.add(t, fmt.Sprint(name, swapped, "a@valmont.example"), people.Operator)
			b := w.add(t, fmt.Sprint(name, swapped, "b@valmont.example"), people.Operator)
			if swapped {
				a, b = b, a
			}
			second := make(chan error, 1)
			var once sync.Once
			w.store.fail = func(string) error {
				once.Do(func() {
					ended := make(chan struct{})
					go func() { second <- turn(b.Actor(), a.ID); close(ended) }()
					select { // the other ends, if nothing holds it
					case <-ended:
					case <-time.After(200 * time.Millisecond):
					}
				})
				return nil
			}
			errs := []error{turn(a.Actor(), b.ID), <-second}
			w.store.fail = nil
			if errs[0] != nil || !errors.Is(errs[1], people.ErrNotAllowed) {
				t.Errorf("%s: %v; want one to succeed and the other to be refused", name, errs)
			}
		}
	}
}

func passwordSet(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	w.deeds()
	w.pass(time.Hour)
	if err := w.desk.SetPassword(ctx, p.Actor(), p.ID, "short"); !errors.Is(err, people.ErrShortPassword) {
		t.Errorf("a short one: %v", err)
	}
	if err := w.desk.SetPassword(ctx, p.Actor(), p.ID, guichet.Secret(p.Email)); !errors.Is(err, people.ErrEmailPassword) {
		t.Errorf("the e-mail: %v", err)
	}
	if err := w.desk.SetPassword(ctx, p.Actor(), w.desk.Clock.NewID(), otherPassword); !errors.Is(err, people.ErrNoPerson) {
		t.Errorf("nobody's: %v", err)
	}
	w.expect(t)
	if err := w.desk.SetPassword(ctx, p.Actor(), p.ID, otherPassword); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "person.password_set")
	got, err := w.desk.Person(ctx, p.ID)
	if err != nil || !got.PasswordSetAt.Equal(w.at()) || got.PasswordHash == p.PasswordHash {
		t.Errorf("after: %+v, %v", got, err)
	}
	if _, err := w.desk.SignIn(ctx, p.Email, password, home); !errors.Is(err, people.ErrSignIn) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := w.desk.SignIn(ctx, p.Email, otherPassword, home); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if len(w.store.jobs) != 1 || w.store.jobs[0].Kind != "mail" {
		t.Fatalf("jobs: %+v; want one letter", w.store.jobs)
	}
	var letter guichet.Letter
	if err := json.Unmarshal(w.store.jobs[0].Args, &letter); err != nil {
		t.Fatal(err)
	}
	same(t, "letter", guichet.Letter{
		Template: "password_changed",
		To:       []guichet.Mailbox{{Name: "Claire Morel", Address: p.Email, Language: "fr"}},
		Data:     map[string]string{"email": p.Email, "at": w.at().Format(time.RFC3339), "url": "https://guichet.example"},
	}, letter)
}

func apiTokens(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	w.deeds()
	token, text, err := w.desk.IssueAPIToken(ctx, p.Actor(), p.ID, " my script ")
	if err != nil || token.Name != "my script" || !strings.HasPrefix(text.Reveal(), "gch_") || len(text) < 30 {
		t.Fatalf("%+v, %d characters, %v", token, len(text), err)
	}
	w.keep(text)
	w.keep(text[4:])
	w.expect(t, "api_token.issued")
	got, err := w.desk.PersonByAPIToken(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "its person", p, got)
	for _, wrong := range []guichet.Secret{"", "gch_", text + "x", text[:len(text)-1], text[4:], "GCH_" + text[4:], "gch_" + guichet.Secret(strings.Repeat("x", 32)), guichet.Secret(strings.Repeat("gch_", 1000))} {
		if p, err := w.desk.PersonByAPIToken(ctx, wrong); !errors.Is(err, people.ErrBadAPICall) {
			t.Errorf("%q: %+v, %v", wrong.Reveal(), p, err)
		}
	}
	// The last use is kept to the hour.
	lastUse := func() time.Time {
		list, err := w.desk.APITokens(ctx, p.ID)
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		return list[0].LastUsedAt
	}
	first := w.at()
	for _, c := range []struct {
		after time.Duration
		want  time.Time
	}{{0, first}, {59 * time.Minute, first}, {time.Minute, first.Add(time.Hour)}} {
		w.pass(c.after)
		if _, err := w.desk.PersonByAPIToken(ctx, text); err != nil {
			t.Fatal(err)
		}
		if got := lastUse(); !got.Equal(c.want) {
			t.Errorf("last use %v, want %v", got, c.want)
		}
	}
	w.expect(t)
	for range 2 { // twice is once
		if err := w.desk.RevokeAPIToken(ctx, p.Actor(), token.ID); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(t, "api_token.revoked")
	if _, err := w.desk.PersonByAPIToken(ctx, text); !errors.Is(err, people.ErrBadAPICall) {
		t.Errorf("revoked: %v", err)
	}
	if err := w.desk.RevokeAPIToken(ctx, p.Actor(), w.desk.Clock.NewID()); !errors.Is(err, people.ErrNoToken) {
		t.Errorf("one that is not there: %v", err)
	}
	for _, name := range []string{"", "  ", "a\nb", strings.Repeat("x", 101)} {
		if _, _, err := w.desk.IssueAPIToken(ctx, p.Actor(), p.ID, name); !errors.Is(err, people.ErrBadName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// When the audit entry cannot be written, the deed does not happen.
func nothingHappensWithoutItsAudit(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	token, text, err := w.desk.IssueAPIToken(ctx, p.Actor(), p.ID, "x")
	if err != nil {
		t.Fatal(err)
	}
	before, err := w.store.Person(ctx, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the audit is broken")
	for _, method := range []string{"Audit", "Enqueue"} {
		w.store.fail = func(m string) error {
			if m == method {
				return broken
			}
			return nil
		}
		verbs := map[string]error{"SetPassword": w.desk.SetPassword(ctx, p.Actor(), p.ID, otherPassword)}
		if method == "Audit" {
			_, verbs["AddPerson"] = w.desk.AddPerson(ctx, commandLine, people.NewPerson{Email: "x@valmont.example", Role: people.Member})
			_, _, verbs["IssueAPIToken"] = w.desk.IssueAPIToken(ctx, p.Actor(), p.ID, "y")
			_, verbs["SignIn"] = w.desk.SignIn(ctx, p.Email, password, home)
			verbs["NoteExport"] = w.desk.NoteExport(ctx, commandLine, p.ID)
			verbs["Disable"] = w.desk.Disable(ctx, commandLine, p.ID)
			verbs["RevokeAPIToken"] = w.desk.RevokeAPIToken(ctx, p.Actor(), token.ID)
		}
		for verb, err := range verbs {
			if !errors.Is(err, broken) {
				t.Errorf("%s with a broken %s: %v", verb, method, err)
			}
		}
		w.store.fail = nil
	}
	after, err := w.store.Person(ctx, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the person", before, after)
	if all, err := w.store.People(ctx); err != nil || len(all) != 1 {
		t.Errorf("%d people, %v", len(all), err)
	}
	if list, err := w.store.APITokens(ctx, p.ID); err != nil || len(list) != 1 || !list[0].RevokedAt.IsZero() {
		t.Errorf("API tokens %+v, %v", list, err)
	}
	if _, err := w.desk.PersonByAPIToken(ctx, text); err != nil {
		t.Errorf("the API token: %v", err)
	}
}
