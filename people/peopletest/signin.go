package peopletest

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/people"
)

// Where people sign in from.
var (
	home   = netip.MustParseAddr("192.0.2.7")
	office = netip.MustParseAddr("2001:db8:1:2::7")
)

func signIn(t *testing.T, w *world) {
	p := w.add(t, "claire@valmont.example", people.Member)
	w.deeds()
	for _, from := range []netip.Addr{home, office, {}} {
		for _, email := range []string{"claire@valmont.example", " CLAIRE@valmont.example "} {
			got, err := w.desk.SignIn(t.Context(), email, password, from)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "who signed in", p, got)
			w.expect(t, "person.signed_in")
		}
	}
	last := w.store.audits[len(w.store.audits)-1]
	if last.Actor != p.Actor() || last.Subject != "person/"+string(p.ID) {
		t.Errorf("recorded as %+v", last)
	}
}

// Whatever is wrong, the answer is the same.
func signInTellsNothing(t *testing.T, w *world) {
	ctx := t.Context()
	w.add(t, "claire@valmont.example", people.Member)
	disabled := w.add(t, "gone@valmont.example", people.Member)
	if err := w.desk.Disable(ctx, commandLine, disabled.ID); err != nil {
		t.Fatal(err)
	}
	without, err := w.desk.AddPerson(ctx, commandLine, people.NewPerson{Email: "idir@valmont.example", Role: people.Member})
	if err != nil {
		t.Fatal(err)
	}
	w.deeds()
	answers := map[string]bool{}
	const pasted = "my secret is hunter22" // in the wrong field
	w.keep(pasted)
	for _, c := range []struct {
		email    string
		password guichet.Secret
	}{
		{"claire@valmont.example", "wrong"},
		{"claire@valmont.example", ""},
		{"claire@valmont.example", guichet.Secret(make([]byte, 1<<20))},
		{"gone@valmont.example", password},
		{"gone@valmont.example", "wrong"},
		{without.Email, ""},
		{without.Email, password},
		{"nobody@valmont.example", password},
		{"", ""},
		{pasted, password},
	} {
		_, err := w.desk.SignIn(ctx, c.email, c.password, netip.Addr{})
		if !errors.Is(err, people.ErrSignIn) || guichet.KindOf(err) != guichet.Unauthorized {
			t.Errorf("%q: %v", c.email, err)
		} else {
			answers[err.Error()] = true
		}
		w.expect(t, "person.sign_in_refused")
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %v", answers)
	}
}

// wait fails to sign in and gives how long it is asked to wait; 0 when the
// password was looked at.
func (w *world) wait(t *testing.T, email string, from netip.Addr) time.Duration {
	t.Helper()
	_, err := w.desk.SignIn(t.Context(), email, "wrong", from)
	until, waits := people.RetryAt(err)
	switch {
	case errors.Is(err, people.ErrSignIn) && !waits:
		return 0
	case errors.Is(err, people.ErrTooMany) && waits && guichet.KindOf(err) == guichet.TooMany:
		return until.Sub(w.at())
	}
	t.Fatalf("signing in with a wrong password: %v", err)
	return 0
}

func signInWaitsAfterFailures(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	// Somebody and nobody alike, so that the delay does not tell who exists.
	for _, email := range []string{p.Email, "nobody@valmont.example"} {
		for i := range 5 {
			if d := w.wait(t, email, netip.Addr{}); d != 0 {
				t.Fatalf("%s: attempt %d waits %v", email, i+1, d)
			}
		}
		for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
			if d := w.wait(t, email, netip.Addr{}); d != want {
				t.Fatalf("%s: waits %v, want %v", email, d, want)
			}
			if _, err := w.desk.SignIn(ctx, email, password, netip.Addr{}); !errors.Is(err, people.ErrTooMany) {
				t.Fatalf("%s: the right password meanwhile: %v", email, err)
			}
			w.pass(want - time.Microsecond)
			if d := w.wait(t, email, netip.Addr{}); d != time.Microsecond {
				t.Fatalf("%s: just before the end waits %v", email, d)
			}
			w.pass(time.Microsecond)
			if d := w.wait(t, email, netip.Addr{}); d != 0 {
				t.Fatalf("%s: after the delay waits %v", email, d)
			}
		}
	}
	w.pass(15 * time.Minute)
	if _, err := w.desk.SignIn(ctx, p.Email, password, netip.Addr{}); err != nil {
		t.Fatalf("the right password, after the delay: %v", err)
	}
	for i := range 5 { // all is forgotten
		if d := w.wait(t, p.Email, netip.Addr{}); d != 0 {
			t.Fatalf("attempt %d after a success waits %v", i+1, d)
		}
	}
	w.pass(people.ForgetAfter)
	for i := range 5 { // and after a day as well
		if d := w.wait(t, "nobody@valmont.example", netip.Addr{}); d != 0 {
			t.Fatalf("attempt %d after a day waits %v", i+1, d)
		}
	}
}

func signInCountsAddresses(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	emails := []string{"a@x.example", "b@x.example", "c@x.example", "d@x.example"}
	for _, email := range emails {
		if d := w.wait(t, email, home); d != 0 {
			t.Fatalf("%s waits %v", email, d)
		}
		// A success takes back itself, not the failures of others: who has an
		// account cannot wash their address.
		if _, err := w.desk.SignIn(ctx, p.Email, password, home); err != nil {
			t.Fatalf("after %s: %v", email, err)
		}
	}
	if d := w.wait(t, "e@x.example", home); d != 0 {
		t.Fatalf("the fifth waits %v", d)
	}
	if d := w.wait(t, "f@x.example", home); d != 30*time.Second {
		t.Errorf("the sixth e-mail from one address waits %v", d)
	}
	if d := w.wait(t, "f@x.example", office); d != 0 {
		t.Errorf("from another address waits %v", d)
	}
	if _, err := w.desk.SignIn(ctx, p.Email, password, office); err != nil {
		t.Errorf("somebody else, elsewhere: %v", err)
	}
	w.pass(30 * time.Second)
	if _, err := w.desk.SignIn(ctx, p.Email, password, home); err != nil {
		t.Errorf("somebody else, here, after the delay: %v", err)
	}
	// One network of IPv6 is one address.
	for i := range 4 {
		w.wait(t, emails[i]+".org", netip.MustParseAddr("2001:db8:1:2::1").Next())
	}
	if d := w.wait(t, "g@x.example", netip.MustParseAddr("2001:db8:1:2:ffff::9")); d == 0 {
		t.Error("another address of the same network does not wait")
	}
}

// Attempts made at once, each before any other is refused: five passwords are
// looked at, no more.
func signInAtOnceCountsAll(t *testing.T, w *world) {
	w.add(t, "claire@valmont.example", people.Member)
	const guesses = 20
	var looked, told atomic.Int64
	var wg sync.WaitGroup
	for range guesses {
		wg.Go(func() {
			_, err := w.desk.SignIn(context.WithoutCancel(t.Context()), "claire@valmont.example", "wrong", home)
			switch {
			case errors.Is(err, people.ErrSignIn):
				looked.Add(1)
			case errors.Is(err, people.ErrTooMany):
				told.Add(1)
			default:
				t.Errorf("a guess: %v", err)
			}
		})
	}
	wg.Wait()
	if looked.Load() != 5 || told.Load() != guesses-5 {
		t.Errorf("%d passwords were looked at and %d told to wait, want 5 and %d", looked.Load(), told.Load(), guesses-5)
	}
}

func signInHashesAnew(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	w.desk.Hasher = people.NewHasher(people.Params{Time: 2, MemoryKiB: 16, Threads: 1})
	if d := w.wait(t, p.Email, home); d != 0 {
		t.Fatal(d)
	}
	if got, err := w.desk.Person(ctx, p.ID); err != nil || got.PasswordHash != p.PasswordHash {
		t.Errorf("a wrong password changed the hash, or %v", err)
	}
	got, err := w.desk.SignIn(ctx, p.Email, password, home)
	if err != nil || got.PasswordHash == p.PasswordHash || !got.PasswordSetAt.Equal(p.PasswordSetAt) {
		t.Fatalf("%+v, %v; want another hash of the same password", got, err)
	}
	again, err := w.desk.SignIn(ctx, p.Email, password, home)
	if err != nil || again.PasswordHash != got.PasswordHash {
		t.Errorf("hashed once more, or %v", err)
	}
}

// Between the look at the password and the welcome, the world changes.
func signInWhilePersonChanges(t *testing.T, w *world) {
	ctx := t.Context()
	for name, change := range map[string]func(people.Person) error{
		"password":  func(p people.Person) error { return w.desk.SetPassword(ctx, commandLine, p.ID, otherPassword) },
		"disabling": func(p people.Person) error { return w.desk.Disable(ctx, commandLine, p.ID) },
	} {
		p := w.add(t, name+"@valmont.example", people.Member)
		w.deeds()
		changed := false
		w.store.after(func() { // right after the attempt was counted
			changed = true
			if err := change(p); err != nil {
				t.Error(err)
			}
		})
		_, err := w.desk.SignIn(ctx, p.Email, password, netip.Addr{})
		if !changed || !errors.Is(err, people.ErrSignIn) {
			t.Errorf("%s meanwhile (%v): %v", name, changed, err)
		}
		if deeds := w.deeds(); len(deeds) != 2 || deeds[1] != "person.sign_in_refused" {
			t.Errorf("%s meanwhile: recorded %q", name, deeds)
		}
	}
}

func disabledPersonIsOut(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.add(t, "claire@valmont.example", people.Member)
	_, text, err := w.desk.IssueAPIToken(ctx, p.Actor(), p.ID, "x")
	if err != nil {
		t.Fatal(err)
	}
	w.keep(text)
	w.deeds()
	for range 2 { // twice is once
		if err := w.desk.Disable(ctx, commandLine, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(t, "person.disabled")
	if _, err := w.desk.SignIn(ctx, p.Email, password, home); !errors.Is(err, people.ErrSignIn) {
		t.Errorf("SignIn: %v", err)
	}
	if _, err := w.desk.PersonByAPIToken(ctx, text); !errors.Is(err, people.ErrBadAPICall) {
		t.Errorf("PersonByAPIToken: %v", err)
	}
	if _, _, err := w.desk.IssueAPIToken(ctx, commandLine, p.ID, "y"); !errors.Is(err, people.ErrNotAllowed) {
		t.Errorf("IssueAPIToken: %v", err)
	}
	if got, err := w.desk.Person(ctx, p.ID); err != nil || !got.DisabledAt.Equal(w.at()) {
		t.Errorf("%+v, %v", got, err)
	}
	w.deeds()
	for range 2 {
		if err := w.desk.Enable(ctx, commandLine, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(t, "person.enabled")
	if _, err := w.desk.SignIn(ctx, p.Email, password, home); err != nil {
		t.Errorf("SignIn once enabled: %v", err)
	}
	if _, err := w.desk.PersonByAPIToken(ctx, text); err != nil {
		t.Errorf("PersonByAPIToken once enabled: %v", err)
	}
}
