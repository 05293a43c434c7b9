package people

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"time"

	"guichet"
)

// A Desk has the verbs of this window. Each changes the store in one transaction,
// the audit entry with it. Hashing a password, which takes long, is always done
// outside.
type Desk struct {
	Store Store
	Clock guichet.Clock
	// Hasher hashes passwords; nil is the one that all desks of this program share.
	Hasher *Hasher
	URL    string // public address, for the links of letters
}

var sharedHasher = NewHasher(DefaultParams)

func (d *Desk) hasher() *Hasher {
	if d.Hasher == nil {
		return sharedHasher
	}
	return d.Hasher
}

// A NewPerson is somebody to add. Without a password they cannot sign in by one.
type NewPerson struct {
	Email    string
	Name     string
	Role     Role
	Language string // "fr" unless "en"
	Password guichet.Secret
}

// SetupCode makes the code that lets the first person in, and forgets the one
// before. needed is false, and nothing is made, once somebody exists. Call it at
// each start and print the code where only who started Guichet can read it.
func (d *Desk) SetupCode(ctx context.Context) (code guichet.Secret, needed bool, err error) {
	err = d.update(ctx, func(tx Tx) error {
		code, needed = "", false
		s, err := tx.Setup()
		if err != nil || s.Done {
			return err
		}
		code, needed = d.Clock.NewSecret(), true
		s.Hash, s.CreatedAt = sha256.Sum256([]byte(code.Reveal())), d.Clock.Now()
		if err := tx.SaveSetup(&s); err != nil {
			return err
		}
		return d.audit(tx, guichet.System("setup"), "setup.code_made", "setup", nil)
	})
	if err != nil {
		return "", false, err
	}
	return code, needed, nil
}

// SetUp makes the first person, an operator, and ends the code.
func (d *Desk) SetUp(ctx context.Context, code guichet.Secret, n NewPerson) (Person, error) {
	// Look first: who has no code makes nobody hash anything.
	s, err := d.Store.Setup(ctx)
	if err != nil {
		return Person{}, err
	}
	if err := s.check(code); err != nil {
		return Person{}, err
	}
	n.Role = Operator
	if err := CheckPassword(n.Password, n.Email); err != nil { // the first person has one
		return Person{}, err
	}
	p, err := d.prepare(ctx, n)
	if err != nil {
		return Person{}, err
	}
	return d.add(ctx, guichet.System("setup"), p, func(_ Tx, s Setup) error { return s.check(code) })
}

func (s Setup) check(code guichet.Secret) error {
	sum := sha256.Sum256([]byte(code.Reveal()))
	switch {
	case s.Done:
		return ErrSetupOver
	case subtle.ConstantTimeCompare(sum[:], s.Hash[:]) != 1:
		return ErrSetupCode
	}
	return nil
}

// AddPerson adds somebody. An operator may, and whoever has the command line.
func (d *Desk) AddPerson(ctx context.Context, by guichet.Actor, n NewPerson) (Person, error) {
	p, err := d.prepare(ctx, n)
	if err != nil {
		return Person{}, err
	}
	return d.add(ctx, by, p, func(tx Tx, _ Setup) error { return d.mayManage(tx, by) })
}

// prepare checks somebody to add and hashes their password.
func (d *Desk) prepare(ctx context.Context, n NewPerson) (Person, error) {
	p := Person{Role: n.Role, Language: language(n.Language)}
	var err error
	if p.Email, err = CheckEmail(n.Email); err != nil {
		return Person{}, err
	}
	if p.Name, err = checkName(n.Name); err != nil {
		return Person{}, err
	}
	if n.Role != Operator && n.Role != Member {
		return Person{}, ErrBadRole
	}
	if n.Password == "" {
		return p, nil
	}
	p.PasswordHash, err = d.newHash(ctx, n.Password, p.Email)
	return p, err
}

func (d *Desk) newHash(ctx context.Context, password guichet.Secret, email string) (guichet.Secret, error) {
	if err := CheckPassword(password, email); err != nil {
		return "", err
	}
	return d.hasher().Hash(ctx, d.Clock.Rand, password)
}

// add writes somebody who was prepared, if allowed says so in the transaction,
// and closes the setup. Of two who set Guichet up at once, the row of the setup
// lets one through: the very version that allowed looked at is the one replaced.
func (d *Desk) add(ctx context.Context, by guichet.Actor, prepared Person, allowed func(Tx, Setup) error) (Person, error) {
	var added Person
	err := d.update(ctx, func(tx Tx) error {
		s, err := tx.Setup()
		if err != nil {
			return err
		}
		if err := allowed(tx, s); err != nil {
			return err
		}
		if !s.Done {
			s.Hash, s.Done = [32]byte{}, true
			if err := tx.SaveSetup(&s); err != nil {
				return err
			}
		}
		now := d.Clock.Now()
		added = prepared
		added.ID, added.CreatedAt = d.Clock.NewID(), now
		if added.PasswordHash != "" {
			added.PasswordSetAt = now
		}
		if err := tx.SavePerson(&added); err != nil {
			return err
		}
		return d.audit(tx, by, "person.added", subject(added.ID), map[string]string{"email": added.Email, "role": string(added.Role)})
	})
	if err != nil {
		return Person{}, err
	}
	return added, nil
}

// SetPassword gives a person another password and ends their sessions. They may
// do it themselves, an operator for them, and whoever has the command line. The
// person is told by mail.
func (d *Desk) SetPassword(ctx context.Context, by guichet.Actor, id guichet.ID, password guichet.Secret) error {
	// The e-mail never changes, so what is read here holds in the transaction.
	p, err := d.Store.Person(ctx, id)
	if err != nil {
		return err
	}
	hash, err := d.newHash(ctx, password, p.Email)
	if err != nil {
		return err
	}
	return d.change(ctx, by, id, "person.password_set", func(p *Person, now time.Time) error {
		p.PasswordHash, p.PasswordSetAt = hash, now
		return nil
	}, d.tellPasswordChanged)
}

func (d *Desk) tellPasswordChanged(tx Tx, p Person) error {
	args, err := json.Marshal(guichet.Letter{
		Template: "password_changed",
		To:       []guichet.Mailbox{{Name: p.Name, Address: p.Email, Language: p.Language}},
		Data:     map[string]string{"email": p.Email, "at": p.PasswordSetAt.Format(time.RFC3339), "url": d.URL},
	})
	if err != nil {
		return err
	}
	return tx.Enqueue(guichet.Job{Kind: "mail", Args: args, RunAt: p.PasswordSetAt})
}

// SetProfile changes how a person is called and written to.
func (d *Desk) SetProfile(ctx context.Context, by guichet.Actor, id guichet.ID, name, lang string) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	return d.change(ctx, by, id, "person.profile_set", func(p *Person, _ time.Time) error {
		p.Name, p.Language = name, language(lang)
		return nil
	}, nil)
}

// SetRole changes what a person may do. Nobody changes their own role, so an
// operator is always left.
func (d *Desk) SetRole(ctx context.Context, by guichet.Actor, id guichet.ID, role Role) error {
	if role != Operator && role != Member {
		return ErrBadRole
	}
	if by.ID == id {
		return ErrYourself
	}
	return d.change(ctx, by, id, "person.role_set", func(p *Person, _ time.Time) error {
		p.Role = role
		return nil
	}, nil)
}

// Disable ends the sign-ins of a person, their sessions and API tokens included,
// and Enable lets them in again. Nobody disables themselves, so an operator is
// always left. Doing either twice changes nothing.
func (d *Desk) Disable(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	if by.ID == id {
		return ErrYourself
	}
	return d.change(ctx, by, id, "person.disabled", func(p *Person, now time.Time) error {
		if !p.DisabledAt.IsZero() {
			return errNothing
		}
		p.DisabledAt = now
		return nil
	}, nil)
}

// Enable lets a person in again.
func (d *Desk) Enable(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	if by.ID == id {
		return ErrYourself
	}
	return d.change(ctx, by, id, "person.enabled", func(p *Person, _ time.Time) error {
		if p.DisabledAt.IsZero() {
			return errNothing
		}
		p.DisabledAt = time.Time{}
		return nil
	}, nil)
}

// NoteExport writes down that somebody is given everything of a person. Nothing is
// to be given before it has returned nil.
func (d *Desk) NoteExport(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	return d.update(ctx, func(tx Tx) error {
		if err := d.mayManage(tx, by); err != nil {
			return err
		}
		return d.audit(tx, by, "person.exported", subject(id), nil)
	})
}

// errNothing ends a change that has nothing to do.
var errNothing = errors.New("people: nothing to change")

// change loads a person, checks that by may, changes, saves and audits; also is
// what else belongs in the transaction.
func (d *Desk) change(ctx context.Context, by guichet.Actor, id guichet.ID, deed string, do func(*Person, time.Time) error, also func(Tx, Person) error) error {
	err := d.update(ctx, func(tx Tx) error {
		if by.Kind != guichet.ByPerson || by.ID != id {
			if err := d.mayManage(tx, by); err != nil {
				return err
			}
		}
		p, err := tx.Person(id)
		if err != nil {
			return err
		}
		if by.ID == id && !p.DisabledAt.IsZero() {
			return ErrNotAllowed
		}
		if err := do(&p, d.Clock.Now()); err != nil {
			return err
		}
		if err := d.saveWith(tx, by, &p); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx, p); err != nil {
				return err
			}
		}
		return d.audit(tx, by, deed, subject(id), nil)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// saveWith saves p and, unchanged, whoever changes it: of two operators who
// disable each other at the same time, the second finds its own row changed, looks
// again, and may not any more. In the order of ids, so that neither waits for the
// other for ever.
func (d *Desk) saveWith(tx Tx, by guichet.Actor, p *Person) error {
	if by.ID == "" || by.ID == p.ID {
		return tx.SavePerson(p)
	}
	operator, err := tx.Person(by.ID)
	if err != nil {
		return err
	}
	if operator.Role != Operator || !operator.DisabledAt.IsZero() {
		return ErrNotAllowed
	}
	first, second := p, &operator
	if operator.ID < p.ID {
		first, second = second, first
	}
	if err := tx.SavePerson(first); err != nil {
		return err
	}
	return tx.SavePerson(second)
}

// Person gives somebody, for a session to know who it is of.
func (d *Desk) Person(ctx context.Context, id guichet.ID) (Person, error) {
	return d.Store.Person(ctx, id)
}

// List gives everybody. It is for operators; whoever shows it makes sure of that.
func (d *Desk) List(ctx context.Context) ([]Person, error) { return d.Store.People(ctx) }

// mayManage tells whether by may act on others: an operator who is not disabled,
// Guichet itself, or someone at the command line, who has the database anyway and
// is a person with a name and without an id.
func (d *Desk) mayManage(tx Tx, by guichet.Actor) error {
	switch {
	case by.Kind == guichet.BySystem:
		return nil
	case by.Kind == guichet.ByPerson && by.ID == "" && by.Name != "":
		return nil
	case by.Kind != guichet.ByPerson || by.ID == "":
		return ErrNotAllowed
	}
	p, err := tx.Person(by.ID)
	switch {
	case errors.Is(err, ErrNoPerson):
		return ErrNotAllowed
	case err != nil:
		return err
	case p.Role != Operator || !p.DisabledAt.IsZero():
		return ErrNotAllowed
	}
	return nil
}

// update runs fn again when somebody else changed a row meanwhile: fn reads what
// it needs, so the second run decides on what is there now.
func (d *Desk) update(ctx context.Context, fn func(Tx) error) error {
	var err error
	for range 5 {
		if err = d.Store.Update(ctx, fn); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return err
}

func (d *Desk) audit(tx Tx, by guichet.Actor, deed, about string, detail map[string]string) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	if detail == nil {
		text = []byte("{}")
	}
	return tx.Audit(guichet.AuditEntry{ID: d.Clock.NewID(), At: d.Clock.Now(), Actor: by, Deed: deed, Subject: about, Detail: string(text)})
}

func subject(id guichet.ID) string { return "person/" + string(id) }
