package peopletest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/people"
)

// update runs fn in one transaction of the store itself and wants it to commit.
func (w *world) update(t *testing.T, fn func(people.Tx) error) {
	t.Helper()
	if err := w.store.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (w *world) somebody(email string) people.Person {
	now := w.at()
	return people.Person{
		ID: w.desk.Clock.NewID(), Email: email, Name: "Zoé “d’Artagnan” <x>", Role: people.Member, Language: "en",
		PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", PasswordSetAt: now.Add(time.Hour),
		CreatedAt: now, DisabledAt: now.Add(2 * time.Hour),
	}
}

func personIsKeptWhole(t *testing.T, w *world) {
	ctx := t.Context()
	whole, bare := w.somebody("b@valmont.example"), people.Person{
		ID: w.desk.Clock.NewID(), Email: "a@valmont.example", Role: people.Operator, Language: "fr", CreatedAt: w.at(),
	}
	for _, p := range []*people.Person{&whole, &bare} {
		w.update(t, func(tx people.Tx) error {
			fresh := *p
			if err := tx.SavePerson(&fresh); err != nil {
				return err
			}
			within, err := tx.Person(fresh.ID)
			if err != nil || within != fresh {
				t.Errorf("within the transaction: %+v, %v; want %+v", within, err, fresh)
			}
			if byEmail, err := tx.PersonByEmail(fresh.Email); err != nil || byEmail != fresh {
				t.Errorf("by e-mail: %+v, %v", byEmail, err)
			}
			*p = fresh
			return nil
		})
		if p.Version == 0 {
			t.Error("SavePerson did not raise the version")
		}
		got, err := w.store.Person(ctx, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "person", *p, got)
		got, err = w.store.PersonByEmail(ctx, p.Email)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "person by e-mail", *p, got)
	}
	changed := whole
	changed.Name, changed.Role, changed.Language, changed.PasswordHash = "", people.Operator, "fr", ""
	changed.PasswordSetAt, changed.DisabledAt = time.Time{}, time.Time{}
	w.update(t, func(tx people.Tx) error {
		fresh := changed
		defer func() { changed.Version = fresh.Version }()
		return tx.SavePerson(&fresh)
	})
	if changed.Version <= whole.Version {
		t.Errorf("version %d after %d", changed.Version, whole.Version)
	}
	all, err := w.store.People(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "everybody, by e-mail", []people.Person{bare, changed}, all)

	nobody := w.desk.Clock.NewID()
	if _, err := w.store.Person(ctx, nobody); !errors.Is(err, people.ErrNoPerson) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := w.store.PersonByEmail(ctx, "nobody@valmont.example"); !errors.Is(err, people.ErrNoPerson) {
		t.Errorf("nobody by e-mail: %v", err)
	}
	w.update(t, func(tx people.Tx) error {
		if _, err := tx.Person(nobody); !errors.Is(err, people.ErrNoPerson) {
			t.Errorf("nobody, within: %v", err)
		}
		if _, err := tx.PersonByEmail("nobody@valmont.example"); !errors.Is(err, people.ErrNoPerson) {
			t.Errorf("nobody by e-mail, within: %v", err)
		}
		if _, err := tx.APIToken(nobody); !errors.Is(err, people.ErrNoToken) {
			t.Errorf("no API token, within: %v", err)
		}
		return nil
	})
}

func saveComparesVersions(t *testing.T, w *world) {
	p := w.somebody("a@valmont.example")
	token := people.APIToken{ID: w.desk.Clock.NewID(), PersonID: p.ID, Name: "x", Hash: sha256.Sum256([]byte("x")), CreatedAt: w.at()}
	var setup people.Setup
	w.update(t, func(tx people.Tx) error {
		fresh, freshToken, freshSetup := p, token, people.Setup{CreatedAt: w.at()}
		err := errors.Join(tx.SavePerson(&fresh), tx.SaveAPIToken(&freshToken), tx.SaveSetup(&freshSetup))
		p, token, setup = fresh, freshToken, freshSetup
		return err
	})
	for name, save := range map[string]func(people.Tx, int64) error{
		"person": func(tx people.Tx, version int64) error {
			c := p
			c.Version = version
			return tx.SavePerson(&c)
		},
		"API token": func(tx people.Tx, version int64) error {
			c := token
			c.Version = version
			return tx.SaveAPIToken(&c)
		},
		"setup": func(tx people.Tx, version int64) error {
			c := setup
			c.Version = version
			return tx.SaveSetup(&c)
		},
	} {
		for _, version := range []int64{0, 2, 99} { // it is 1 there
			err := w.store.Update(t.Context(), func(tx people.Tx) error { return save(tx, version) })
			// A person who is there already has an e-mail that is taken, too.
			if !errors.Is(err, people.ErrChanged) && (name != "person" || version != 0 || !errors.Is(err, people.ErrEmailTaken)) {
				t.Errorf("%s saved as version %d: %v, want %v", name, version, err, people.ErrChanged)
			}
		}
		if err := w.store.Update(t.Context(), func(tx people.Tx) error { return save(tx, 1) }); err != nil {
			t.Errorf("%s saved as version 1: %v", name, err)
		}
	}
	// Of many who read the same version, one writes.
	const writers = 8
	var wg sync.WaitGroup
	errs := make([]error, writers)
	before, err := w.store.Person(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range writers {
		wg.Go(func() {
			errs[i] = w.store.Update(context.WithoutCancel(t.Context()), func(tx people.Tx) error {
				mine := before
				mine.Name = fmt.Sprint("writer ", i)
				return tx.SavePerson(&mine)
			})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, people.ErrChanged):
			t.Errorf("a writer: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers of one version won, want 1", won)
	}
}

func emailIsOnePersons(t *testing.T, w *world) {
	first := w.somebody("a@valmont.example")
	w.update(t, func(tx people.Tx) error { c := first; return tx.SavePerson(&c) })
	err := w.store.Update(t.Context(), func(tx people.Tx) error {
		second := w.somebody("a@valmont.example")
		return tx.SavePerson(&second)
	})
	if !errors.Is(err, people.ErrEmailTaken) {
		t.Errorf("the same e-mail again: %v", err)
	}
	if all, err := w.store.People(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d people, %v", len(all), err)
	}
}

func apiTokenIsKeptWhole(t *testing.T, w *world) {
	ctx := t.Context()
	p := w.somebody("a@valmont.example")
	w.update(t, func(tx people.Tx) error { c := p; return tx.SavePerson(&c) })
	var want []people.APIToken
	for i := range 3 {
		w.pass(time.Second)
		token := people.APIToken{
			ID: w.desk.Clock.NewID(), PersonID: p.ID, Name: fmt.Sprint("token ", i), Hash: sha256.Sum256([]byte{byte(i)}), CreatedAt: w.at(),
		}
		w.update(t, func(tx people.Tx) error {
			c := token
			defer func() { token.Version = c.Version }()
			return tx.SaveAPIToken(&c)
		})
		if i == 1 {
			token.LastUsedAt, token.RevokedAt, token.Name = w.at().Add(time.Hour), w.at().Add(2*time.Hour), "renamed"
			w.update(t, func(tx people.Tx) error {
				read, err := tx.APIToken(token.ID)
				if err != nil {
					return err
				}
				c := token
				c.Version = read.Version
				defer func() { token.Version = c.Version }()
				return tx.SaveAPIToken(&c)
			})
		}
		want = append([]people.APIToken{token}, want...) // the newest first
		got, err := w.store.APITokenByHash(ctx, token.Hash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "API token by hash", token, got)
	}
	got, err := w.store.APITokens(ctx, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "API tokens", want, got)
	if got, err := w.store.APITokens(ctx, w.desk.Clock.NewID()); err != nil || len(got) != 0 {
		t.Errorf("API tokens of nobody: %v, %v", got, err)
	}
	if _, err := w.store.APITokenByHash(ctx, sha256.Sum256([]byte("other"))); !errors.Is(err, people.ErrNoToken) {
		t.Errorf("an unknown hash: %v", err)
	}
}

func setupIsKept(t *testing.T, w *world) {
	ctx := t.Context()
	if s, err := w.store.Setup(ctx); err != nil || s != (people.Setup{}) {
		t.Errorf("at first: %+v, %v; want the zero setup", s, err)
	}
	for _, want := range []people.Setup{
		{Hash: sha256.Sum256([]byte("code")), CreatedAt: w.at()},
		{CreatedAt: w.at().Add(time.Hour), Done: true},
	} {
		w.update(t, func(tx people.Tx) error {
			s, err := tx.Setup()
			if err != nil {
				return err
			}
			s.Hash, s.CreatedAt, s.Done = want.Hash, want.CreatedAt, want.Done
			defer func() { want.Version = s.Version }()
			return tx.SaveSetup(&s)
		})
		got, err := w.store.Setup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "setup", want, got)
	}
}

func updateLeavesNoTrace(t *testing.T, w *world) {
	p := w.somebody("a@valmont.example")
	token := people.APIToken{ID: w.desk.Clock.NewID(), PersonID: p.ID, Name: "x", Hash: sha256.Sum256([]byte("x")), CreatedAt: w.at()}
	mine := errors.New("mine")
	err := w.store.Update(t.Context(), func(tx people.Tx) error {
		if _, err := tx.Failures("ip/192.0.2.7"); err != nil {
			return err
		}
		c, ct := p, token
		return errors.Join(tx.SavePerson(&c), tx.SaveAPIToken(&ct), tx.SaveSetup(&people.Setup{Done: true, CreatedAt: w.at()}),
			tx.SaveFailures(people.Failures{Key: "ip/192.0.2.7", Count: 3, LastAt: w.at()}), mine)
	})
	if !errors.Is(err, mine) {
		t.Errorf("Update gave %v, want the error of its function", err)
	}
	if all, err := w.store.People(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d people are left, %v", len(all), err)
	}
	if _, err := w.store.APITokenByHash(t.Context(), token.Hash); !errors.Is(err, people.ErrNoToken) {
		t.Errorf("the API token: %v", err)
	}
	if s, err := w.store.Setup(t.Context()); err != nil || s != (people.Setup{}) {
		t.Errorf("the setup: %+v, %v", s, err)
	}
	w.update(t, func(tx people.Tx) error {
		if f, err := tx.Failures("ip/192.0.2.7"); err != nil || f.Count != 0 {
			t.Errorf("the failures: %+v, %v", f, err)
		}
		return nil
	})
}

// The lock of a key makes counting exact, known key or not, however many count.
func failuresAreLocked(t *testing.T, w *world) {
	const counters, keys = 24, 2
	var wg sync.WaitGroup
	for i := range counters {
		wg.Go(func() {
			key := fmt.Sprint("ip/192.0.2.", i%keys)
			err := w.store.Update(context.WithoutCancel(t.Context()), func(tx people.Tx) error {
				f, err := tx.Failures(key)
				if err != nil {
					return err
				}
				return tx.SaveFailures(people.Failures{Key: key, Count: f.Count + 1, LastAt: w.at()})
			})
			if err != nil {
				t.Errorf("counter %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for k := range keys {
		key := fmt.Sprint("ip/192.0.2.", k)
		want := people.Failures{Key: key, Count: counters / keys, LastAt: w.at()}
		w.update(t, func(tx people.Tx) error {
			f, err := tx.Failures(key)
			if err != nil {
				return err
			}
			same(t, "failures", want, f)
			return tx.SaveFailures(people.Failures{Key: key, LastAt: w.at()}) // none: forgotten
		})
		w.update(t, func(tx people.Tx) error {
			f, err := tx.Failures(key)
			if err != nil || f.Count != 0 {
				t.Errorf("forgotten failures: %+v, %v", f, err)
			}
			return nil
		})
	}
}
