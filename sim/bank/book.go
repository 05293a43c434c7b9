package simbank

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// What a customer owns is a pure function of the login and of the civil day. An
// operation once shown keeps its date, label, amount and reference for ever; the
// next day adds its own, and the bank shows the months since [historyStart].

// monthsShown is how many whole months before the current one have a history.
const monthsShown = 14

// An account is what the bank shows of one on a given day.
type account struct {
	id      string // in addresses; the account's number, or the card's
	name    string
	number  string
	iban    string // empty: not an account one can pay to
	parent  string // number of the account a card is debited from
	card    bool
	refs    bool // the bank prints its reference of each operation
	opening int64
	balance int64
	start   time.Time
	ops     []op // newest first
	coming  []op // newest first
}

// An op is one operation. Days are midnights in UTC.
type op struct {
	booked, value time.Time
	done          time.Time // of a purchase by card; zero otherwise
	label, detail string
	cents         int64
	ref           string
}

// A book is all accounts of a customer on one day.
type book struct {
	today    time.Time
	accounts []account
}

// A bookshelf keeps the last books made: pages of one history are asked for
// one after the other.
type bookshelf struct {
	books map[string]*book
	order []string
}

const booksKept = 16

// book finds or writes the book of a customer for a day. The caller holds the
// site's lock.
func (b *bookshelf) book(c *customer, now time.Time) *book {
	today := midnight(now)
	if kept := b.books[c.login]; kept != nil && kept.today.Equal(today) {
		return kept
	}
	if b.books == nil {
		b.books = map[string]*book{}
	}
	if b.books[c.login] == nil {
		if len(b.order) == booksKept {
			delete(b.books, b.order[0])
			b.order = b.order[1:]
		}
		b.order = append(b.order, c.login)
	}
	b.books[c.login] = writeBook(c.login, c.story, today)
	return b.books[c.login]
}

// midnight is the civil day of an instant. This bank lives in UTC.
func midnight(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return day(y, m, d)
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// historyStart is the first day whose operations are still shown.
func historyStart(today time.Time) time.Time {
	return day(today.Year(), today.Month()-monthsShown, 1)
}

func writeBook(login string, story Story, today time.Time) *book {
	p := profileOf(login)
	start := historyStart(today)
	current := account{name: "Compte courant", number: p.number(1), refs: true, opening: currentOpening}
	livret := account{name: "Livret A", number: p.number(2), refs: true, opening: p.livretBefore(start)}
	joint := account{name: "Compte joint", number: p.number(4), opening: jointOpening}
	card := account{
		name: "Carte Visa Premier à débit différé", number: "4970 **** **** " + p.number(3)[7:],
		parent: current.number, card: true,
	}
	for first := start; !first.After(today); first = first.AddDate(0, 1, 0) {
		m := p.month(first)
		current.add(today, m.current)
		livret.add(today, m.livret)
		joint.add(today, m.joint)
		card.add(today, m.card)
	}
	card.add(today, p.debits(day(today.Year(), today.Month()+1, 1)))
	card.id = "carte-" + p.number(3)
	current.iban, joint.iban = iban(current.number), iban(joint.number)
	if story.many {
		current.ops, current.start = p.manyOperations(today), today.AddDate(0, 0, 1-manyDays)
	}
	b := &book{today: today, accounts: []account{current, livret, card, joint}}
	for i := range b.accounts {
		b.accounts[i].close(start)
	}
	return b
}

// add takes a month's operations: what is booked by today goes to the history,
// purchases made but not yet debited to what is coming, and the future nowhere.
func (a *account) add(today time.Time, ops []op) {
	for _, o := range ops {
		switch {
		case !o.booked.After(today):
			a.ops = append(a.ops, o)
		case a.card && !o.done.After(today):
			a.coming = append(a.coming, o)
		}
	}
}

// close orders the operations, gives references and draws the balance.
func (a *account) close(start time.Time) {
	if a.id == "" {
		a.id = a.number
	}
	if a.start.IsZero() {
		a.start = start
	}
	newestFirst := func(x, y op) int { return y.booked.Compare(x.booked) }
	if a.card {
		newestFirst = func(x, y op) int { return y.done.Compare(x.done) }
	}
	slices.SortStableFunc(a.ops, newestFirst)
	slices.SortStableFunc(a.coming, newestFirst)
	if a.refs {
		giveRefs(a)
	}
	a.balance = a.opening
	if a.card {
		for _, o := range a.coming { // a deferred card owes what is not debited yet
			a.balance += o.cents
		}
		return
	}
	for _, o := range a.ops {
		a.balance += o.cents
	}
}

// giveRefs numbers the operations of each day. A day's operations are all known
// on that day, so a reference never changes afterwards.
func giveRefs(a *account) {
	var on time.Time
	n := 0
	for i := range a.ops {
		if o := &a.ops[i]; !o.booked.Equal(on) {
			on, n = o.booked, 0
		}
		n++
		a.ops[i].ref = fmt.Sprintf("%s%s%03d", a.ops[i].booked.Format("060102"), a.number[7:], n)
	}
}

func (b *book) account(id string) *account {
	for i := range b.accounts {
		if b.accounts[i].id == id {
			return &b.accounts[i]
		}
	}
	return nil
}

// A profile is who a customer is.
type profile struct {
	login                           string
	name, partner, phone, device    string
	employer, landlord, city, bakes string
	salary, rent                    int64
}

var (
	firstNames = []string{"Claire", "Hélène", "François", "Noémie", "Zoé", "Benoît", "Anaïs", "Jérôme", "Inès", "Loïc"}
	lastNames  = []string{"Lefèvre", "Garçon", "Müller", "d’Aubigné", "Nuñez", "Le Goff", "Bénard", "Ça-Vabien", "Œuvrard", "Prévôt"}
	employers  = []string{"SOCIETE NERIS ET FILS", "MAIRIE DE VALMONT", "ATELIERS DU RHÔNE", "CLINIQUE SAINTE-ODILE", "LIBRAIRIE L'ÉCUME"}
	landlords  = []string{"FONCIERE DES TILLEULS", "M. ET MME LÉVÊQUE", "REGIE DU PARC"}
	cities     = []string{"LYON 7E", "NANTES", "RENNES", "LILLE", "ALÈS", "MÂCON"}
	bakeries   = []string{"BOULANGERIE MÉLANIE", "AU PÉTRIN D'ANTAN", "MAISON LEVAIN"}
	phones     = []string{"iPhone", "Pixel 9", "Fairphone", "Galaxy S24"}
)

// mail is the address of a customer as the bank shows it.
func (p profile) mail() string { return strings.ToLower(p.name[:1]) + "•••@courriel.test" }

func profileOf(login string) profile {
	r := random(login, "profile")
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	first, last := pick(firstNames), pick(lastNames)
	return profile{
		login: login, name: first + " " + last, partner: pick(firstNames) + " " + last,
		phone: fmt.Sprintf("06 •• •• •• %02d", r.IntN(100)), device: pick(phones) + " de " + first,
		employer: pick(employers), landlord: pick(landlords), city: pick(cities), bakes: pick(bakeries),
		salary: 1_980_00 + int64(r.IntN(70_000)), rent: 820_00 + int64(r.IntN(40))*10_00,
	}
}

// number makes the customer's nth account number, of eleven digits.
func (p profile) number(n int) string {
	return fmt.Sprintf("%010d%d", hash(p.login, "number")%10_000_000_000, n)
}

// hash and random make the same numbers from the same words, for ever.
func hash(words ...string) uint64 {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return binary.BigEndian.Uint64(sum[:])
}

func random(words ...string) *rand.Rand {
	return rand.New(rand.NewPCG(hash(words...), 0x6775696368657421))
}
