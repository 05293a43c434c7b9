package store

import (
	"context"
	"database/sql"
	"errors"

	"guichet"
	"guichet/people"
	"guichet/store/query"
)

// People is the store of whoever may sign in.
type People struct{ s *Store }

// People gives the store of whoever may sign in.
func (s *Store) People() People { return People{s} }

// Update implements people.Store.
func (p People) Update(ctx context.Context, fn func(people.Tx) error) error {
	return p.s.update(ctx, func(t *tx) error { return fn(peopleTx{t}) })
}

// Person implements people.Reader.
func (p People) Person(ctx context.Context, id guichet.ID) (people.Person, error) {
	row, err := p.s.reader.Person(ctx, string(id))
	row, err = one(row, err, people.ErrNoPerson)
	return personOf(row), err
}

// PersonByEmail implements people.Reader.
func (p People) PersonByEmail(ctx context.Context, email string) (people.Person, error) {
	row, err := p.s.reader.PersonByEmail(ctx, email)
	row, err = one(row, err, people.ErrNoPerson)
	return personOf(row), err
}

// People implements people.Reader.
func (p People) People(ctx context.Context) ([]people.Person, error) {
	rows, err := p.s.reader.People(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.Person) (people.Person, error) { return personOf(r), nil })
}

// APITokenByHash implements people.Reader.
func (p People) APITokenByHash(ctx context.Context, hash [32]byte) (people.APIToken, error) {
	row, err := p.s.reader.APITokenByHash(ctx, hash[:])
	row, err = one(row, err, people.ErrNoToken)
	return apiTokenOf(row), err
}

// APITokens implements people.Reader.
func (p People) APITokens(ctx context.Context, person guichet.ID) ([]people.APIToken, error) {
	rows, err := p.s.reader.APITokensOf(ctx, string(person))
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.ApiToken) (people.APIToken, error) { return apiTokenOf(r), nil })
}

// Setup implements people.Reader.
func (p People) Setup(ctx context.Context) (people.Setup, error) {
	return setupOf(p.s.reader.Setup(ctx))
}

// peopleTx implements people.Tx.
type peopleTx struct{ *tx }

func (t peopleTx) Person(id guichet.ID) (people.Person, error) {
	row, err := t.q.Person(t.ctx, string(id))
	row, err = one(row, err, people.ErrNoPerson)
	return personOf(row), err
}

func (t peopleTx) PersonByEmail(email string) (people.Person, error) {
	row, err := t.q.PersonByEmail(t.ctx, email)
	row, err = one(row, err, people.ErrNoPerson)
	return personOf(row), err
}

func (t peopleTx) SavePerson(p *people.Person) error {
	if p.Version != 0 {
		n, err := t.q.UpdatePerson(t.ctx, query.UpdatePersonParams{
			Name: p.Name, Role: string(p.Role), Language: p.Language, PasswordHash: p.PasswordHash.Reveal(),
			PasswordSetAt: micros(p.PasswordSetAt), DisabledAt: micros(p.DisabledAt), ID: string(p.ID), Version: p.Version,
		})
		return saved(n, err, &p.Version, people.ErrChanged)
	}
	n, err := t.q.InsertPerson(t.ctx, query.InsertPersonParams{
		ID: string(p.ID), Email: p.Email, Name: p.Name, Role: string(p.Role), Language: p.Language, PasswordHash: p.PasswordHash.Reveal(),
		PasswordSetAt: micros(p.PasswordSetAt), CreatedAt: micros(p.CreatedAt), DisabledAt: micros(p.DisabledAt),
	})
	if err == nil && n == 0 {
		if _, err := t.q.Person(t.ctx, string(p.ID)); errors.Is(err, sql.ErrNoRows) {
			return people.ErrEmailTaken
		}
	}
	return saved(n, err, &p.Version, people.ErrChanged)
}

func (t peopleTx) APIToken(id guichet.ID) (people.APIToken, error) {
	row, err := t.q.APIToken(t.ctx, string(id))
	row, err = one(row, err, people.ErrNoToken)
	return apiTokenOf(row), err
}

func (t peopleTx) SaveAPIToken(a *people.APIToken) error {
	var n int64
	var err error
	if a.Version == 0 {
		n, err = t.q.InsertAPIToken(t.ctx, query.InsertAPITokenParams{
			ID: string(a.ID), PersonID: string(a.PersonID), Name: a.Name, Hash: a.Hash[:], CreatedAt: micros(a.CreatedAt),
			LastUsedAt: micros(a.LastUsedAt), RevokedAt: micros(a.RevokedAt),
		})
	} else {
		n, err = t.q.UpdateAPIToken(t.ctx, query.UpdateAPITokenParams{
			Name: a.Name, LastUsedAt: micros(a.LastUsedAt), RevokedAt: micros(a.RevokedAt), ID: string(a.ID), Version: a.Version,
		})
	}
	return saved(n, err, &a.Version, people.ErrChanged)
}

func (t peopleTx) Setup() (people.Setup, error) { return setupOf(t.q.Setup(t.ctx)) }

func (t peopleTx) SaveSetup(s *people.Setup) error {
	var n int64
	var err error
	if s.Version == 0 {
		n, err = t.q.InsertSetup(t.ctx, query.InsertSetupParams{Hash: s.Hash[:], CreatedAt: micros(s.CreatedAt), Done: s.Done})
	} else {
		n, err = t.q.UpdateSetup(t.ctx, query.UpdateSetupParams{Hash: s.Hash[:], CreatedAt: micros(s.CreatedAt), Done: s.Done, Version: s.Version})
	}
	return saved(n, err, &s.Version, people.ErrChanged)
}

func (t peopleTx) Failures(key string) (people.Failures, error) {
	row, err := t.q.LockFailures(t.ctx, key)
	return people.Failures{Key: row.Key, Count: row.Number, LastAt: instant(row.LastAt)}, err
}

func (t peopleTx) SaveFailures(f people.Failures) error {
	return t.q.SaveFailures(t.ctx, query.SaveFailuresParams{Key: f.Key, Number: f.Count, LastAt: micros(f.LastAt)})
}

func personOf(r query.Person) people.Person {
	return people.Person{
		ID: guichet.ID(r.ID), Email: r.Email, Name: r.Name, Role: people.Role(r.Role), Language: r.Language,
		PasswordHash: guichet.Secret(r.PasswordHash), PasswordSetAt: instant(r.PasswordSetAt), CreatedAt: instant(r.CreatedAt),
		DisabledAt: instant(r.DisabledAt), Version: r.Version,
	}
}

func apiTokenOf(r query.ApiToken) people.APIToken {
	t := people.APIToken{
		ID: guichet.ID(r.ID), PersonID: guichet.ID(r.PersonID), Name: r.Name, CreatedAt: instant(r.CreatedAt),
		LastUsedAt: instant(r.LastUsedAt), RevokedAt: instant(r.RevokedAt), Version: r.Version,
	}
	copy(t.Hash[:], r.Hash)
	return t
}

func setupOf(r query.SetupRow, err error) (people.Setup, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return people.Setup{}, nil
	case err != nil:
		return people.Setup{}, ErrUnavailable.Because(err)
	}
	s := people.Setup{CreatedAt: instant(r.CreatedAt), Done: r.Done, Version: r.Version}
	copy(s.Hash[:], r.Hash)
	return s, nil
}
