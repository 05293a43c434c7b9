package simbank

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Every month the current and the joint account end where they began, to the
// cent: what is left of the salary goes to the joint account, and the partner
// brings what that one lacks. So a history may start at any month with the same
// opening balance, and the balance of a day does not depend on how far back the
// bank shows.
const (
	currentOpening = 1_846_37
	jointOpening   = 2_412_08
	livretOpening  = 3_250_00
)

// livretSince is when the savings of all customers began.
var livretSince = day(2019, 1, 1)

// A month is what happens in one, on all accounts, the future of the month
// included.
type month struct {
	current, livret, joint, card []op
}

// A diary is a month being written.
type diary struct {
	first time.Time
	r     *rand.Rand
	ops   []op
}

func (p profile) diary(first time.Time, account string) *diary {
	return &diary{first: first, r: random(p.login, account, first.Format("2006-01"))}
}

// note enters an operation on a day of the month, its value the same day.
func (d *diary) note(dayOfMonth int, cents int64, label string) {
	on := d.first.AddDate(0, 0, dayOfMonth-1)
	d.ops = append(d.ops, op{booked: on, value: on, label: label, cents: cents})
}

// between draws an amount in cents.
func (d *diary) between(low, high int64) int64 { return low + d.r.Int64N(high-low+1) }

func (d *diary) sum() (total int64) {
	for _, o := range d.ops {
		total += o.cents
	}
	return total
}

// month writes what happens in the month that begins on first.
func (p profile) month(first time.Time) month {
	last := first.AddDate(0, 1, -1)
	saved := p.saved(first)
	card := p.debits(first)
	var debit int64
	for _, o := range card {
		debit += o.cents
	}

	current := p.diary(first, "current")
	p.livelihood(current, saved)
	current.note(last.Day(), debit, "RELEVE DIFFERE CARTE 4970 **** **** "+p.number(3)[7:])
	share := current.sum()
	current.note(27, -share, "VIR INSTANTANE VERS COMPTE JOINT")

	joint := p.diary(first, "joint")
	p.household(joint)
	joint.note(27, share, "VIR INSTANTANE DE "+p.name)
	lacks := -joint.sum()
	if lacks < 0 {
		joint.note(28, lacks, "VIR SEPA VERS "+p.partner+" /MOTIF Trop versé")
	} else {
		joint.note(28, lacks, "VIR SEPA RECU DE "+p.partner+" /MOTIF Part du mois")
	}

	return month{current: current.ops, livret: p.savings(first), joint: joint.ops, card: card}
}

// debits are the purchases by card taken from the current account on the last
// day of a month: those made since the 26th of the month before.
func (p profile) debits(first time.Time) []op {
	last := first.AddDate(0, 1, -1)
	var ops []op
	for _, o := range append(p.purchases(first.AddDate(0, -1, 0)), p.purchases(first)...) {
		if o.booked.Equal(last) {
			ops = append(ops, o)
		}
	}
	return ops
}

// livelihood is the current account: salary, bills, small payments.
func (p profile) livelihood(d *diary, saved int64) {
	month := d.first.Format("01/2006")
	d.note(26, p.salary+d.between(0, 120_00), "VIR SEPA RECU /DE "+p.employer+" /MOTIF SALAIRE "+month)
	d.note(3, -saved, "VIR PERMANENT VERS LIVRET A")
	d.note(2, -7_90, "COTISATION MENSUELLE CARTE VISA PREMIER")
	d.note(7, -19_99, "PRLV SEPA FREE MOBILE ID EMETTEUR FR14ZZZ459654")
	d.note(10, -39_99, "PRLV SEPA ORANGE SA FIBRE")
	d.note(11, -47_12, "PRLV SEPA MAIF ASSURANCES N°"+noBreak+"7714402")
	d.note(15, -d.between(120_00, 180_00), "PRLV SEPA DIRECTION GENERALE DES FINANCES PUBLIQUES IMPOT "+month)
	d.note(5, -86_40, "PRLV SEPA ABONNEMENT TCL "+p.city)
	d.note(19, d.between(8_00, 65_00), "VIR CPAM REMBOURSEMENT SOINS")
	d.note(9, -int64(2+d.r.IntN(6))*10_00, "RETRAIT DAB "+p.city+" RÉPUBLIQUE")
	d.note(23, -int64(2+d.r.IntN(4))*10_00, "RETRAIT DAB "+p.city+" GARE")
	d.byCard(13, -d.between(12_00, 38_00), `CHEZ <b>"L'AMI"</b> & FILS`)
	d.byCard(6, -d.between(25_00, 90_00), "E.LECLERC "+p.city)
	d.byCard(16, -d.between(4_50, 14_00), "LIBRAIRIE L'ÉCUME DES JOURS")
	d.byCard(18, -1_90, "CAFÉ LES DEUX SŒURS") // twice the same day: two
	d.byCard(18, -1_90, "CAFÉ LES DEUX SŒURS") // coffees, not one
	for _, on := range []int{4, 11, 18, 25} {
		d.byCard(on, -d.between(2_10, 9_80), p.bakes)
	}
	if m := d.first.Month(); m%3 == 0 {
		d.note(20, -d.between(60_00, 240_00), fmt.Sprintf("CHEQUE N° %07d", 4_100_000+hash(p.login, month)%90_000))
		d.ops[len(d.ops)-1].value = d.ops[len(d.ops)-1].booked.AddDate(0, 0, -1)
	}
	if d.first.Month() == time.December {
		d.note(22, d.between(400_00, 900_00), "VIR SEPA RECU /DE "+p.employer+" /MOTIF PRIME DE FIN D'ANNÉE")
	}
}

// byCard is a payment debited at once, made the day before it is booked.
func (d *diary) byCard(dayOfMonth int, cents int64, shop string) {
	d.note(dayOfMonth, cents, "")
	o := &d.ops[len(d.ops)-1]
	o.label = fmt.Sprintf("CARTE %s %s", o.booked.AddDate(0, 0, -1).Format("02/01"), shop)
}

// household is the joint account: rent, energy, the children.
func (p profile) household(d *diary) {
	d.note(5, -p.rent, "PRLV SEPA "+p.landlord+" LOYER "+d.first.Format("01/2006"))
	energy := int64(62_00)
	if m := d.first.Month(); m <= time.March || m >= time.November {
		energy = 128_00
	}
	d.note(8, -(energy + d.between(0, 15_00)), "PRLV SEPA EDF CLIENTS PARTICULIERS")
	d.note(12, -d.between(22_00, 31_00), "PRLV SEPA EAU DU GRAND LYON")
	d.note(14, -d.between(48_00, 76_00), "PRLV SEPA RÉGIE CANTINE SCOLAIRE ÉTÉ & HIVER")
	d.note(21, -23_50, `PRLV CLUB <script>alert("judo")</script> O'DOJO`)
	for on := 6; on <= 27; on += 7 {
		d.byCard(on, -d.between(68_00, 142_00), "CARREFOUR"+noBreak+"MARKET "+p.city)
	}
	d.byCard(17, -4_20, p.bakes)
	d.byCard(17, -4_20, p.bakes)
	if d.first.Month() == time.July {
		d.note(9, -1_120_00, "VIR SEPA GÎTE LES LAURIERS /MOTIF Vacances d'été")
	}
}

// shops are where the deferred card goes, with amounts in cents.
var shops = []struct {
	name      string
	low, high int64
}{
	{"CARREFOUR CITY", 6_00, 48_00},
	{"SNCF CONNECT", 19_00, 124_00},
	{"MONOPRIX", 5_50, 62_00},
	{"PHARMACIE DU MARCHÉ", 4_10, 38_00},
	{"FNAC DARTY", 12_00, 95_00},
	{"RESTAURANT LE BŒUF À LA MODE", 16_00, 58_00},
	{"DECATHLON", 9_90, 79_90},
	{"CINÉMA LUMIÈRE", 7_80, 19_60},
	{"TOTALENERGIES", 38_00, 82_00},
	{"FLEURISTE L'ŒILLET", 12_00, 34_00},
}

// purchases are those made with the deferred card in a month: until the 25th
// they are debited at the end of it, afterwards at the end of the next.
func (p profile) purchases(first time.Time) []op {
	d := p.diary(first, "card")
	for on := 1; on <= first.AddDate(0, 1, -1).Day(); on++ {
		for d.r.IntN(10) < 3 {
			shop := shops[d.r.IntN(len(shops))]
			d.note(on, -d.between(shop.low, shop.high), shop.name+" "+p.city)
		}
	}
	d.note(12, -2_40, "CAFÉ DE LA GARE")
	d.note(12, -2_40, "CAFÉ DE LA GARE")
	d.abroad(16, "ANTHILL BOOKS SEATTLE", "USD", 2, d.between(9_99, 64_99), 1_0873)
	if first.Month()%3 == 1 {
		d.abroad(20, "KISSA HANA KYOTO", "JPY", 0, d.between(800, 14_000), 162_4000)
	}
	if first.Month()%4 == 2 {
		d.note(22, d.between(15_00, 60_00), "AVOIR DECATHLON RETOUR MARCHANDISE")
	}
	for i := range d.ops {
		o := &d.ops[i]
		o.done = o.booked
		o.booked = first.AddDate(0, 1, -1)
		if o.done.Day() > 25 {
			o.booked = first.AddDate(0, 2, -1)
		}
		o.value = o.booked
	}
	return d.ops
}

// abroad is a purchase in another currency; rate is how many ten-thousandths of
// its unit one euro buys.
func (d *diary) abroad(on int, shop, currency string, digits int, minor, rate int64) {
	cents := minor * 10_000 / rate
	if digits == 0 {
		cents = minor * 100 * 10_000 / rate
	}
	d.note(on, -cents, shop)
	d.ops[len(d.ops)-1].detail = fmt.Sprintf("Montant d’origine : %s %s (1 EUR = %s %s)",
		decimal(minor, digits, noBreak), currency, decimal(rate, 4, noBreak), currency)
}

// saved is what goes from the current account to the Livret A in a month.
func (p profile) saved(first time.Time) int64 {
	return 50_00 + int64(random(p.login, "saved", first.Format("2006-01")).IntN(26))*10_00
}

// savings is the Livret A: what is put aside, the interest of the year, and in
// December what leaves for a life insurance, so that the ceiling is not reached.
func (p profile) savings(first time.Time) []op {
	d := p.diary(first, "livret")
	d.note(3, p.saved(first), "VIR DU COMPTE COURANT")
	if first.Month() == time.December {
		var year int64
		for m := time.January; m <= time.December; m++ {
			year += p.saved(day(first.Year(), m, 1))
		}
		d.note(18, -(year - 350_00), "VIR SEPA ASSURANCE VIE MUTUELLE DES AÎNÉS")
		d.note(31, d.between(42_00, 78_00), "INTÉRÊTS ANNUELS "+first.Format("2006"))
	}
	return d.ops
}

// livretBefore is the balance of the Livret A before a day.
func (p profile) livretBefore(start time.Time) int64 {
	total := int64(livretOpening)
	for first := livretSince; first.Before(start); first = first.AddDate(0, 1, 0) {
		for _, o := range p.savings(first) {
			total += o.cents
		}
	}
	return total
}

// manyDays and manyADay make a hundred thousand operations.
const (
	manyDays = 1000
	manyADay = 100
)

// manyOperations is the history of a business: a hundred operations a day for a
// thousand days, newest first. The last of each day carries its takings away,
// so that each day begins with the same balance.
func (p profile) manyOperations(today time.Time) []op {
	ops := make([]op, 0, manyDays*manyADay)
	for back := range manyDays {
		on := today.AddDate(0, 0, -back)
		r := random(p.login, "many", on.Format(time.DateOnly))
		var takings int64
		from := len(ops)
		ops = append(ops, op{booked: on, value: on, label: "VERSEMENT RECETTE DU JOUR AU SIEGE"})
		for range manyADay - 1 {
			cents := int64(1_00 + r.IntN(90_00))
			ops = append(ops, op{booked: on, value: on, label: manyLabels[r.IntN(len(manyLabels))], cents: cents})
			takings += cents
		}
		ops[from].cents = -takings
	}
	return ops
}

var manyLabels = []string{"REMISE CB TERMINAL 01", "REMISE CB TERMINAL 02", "REMISE TITRES-RESTAURANT", "VIR SEPA RECU CLIENT COMPTOIR", "DEPOT ESPÈCES"}
