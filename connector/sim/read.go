package simconnector

import (
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"

	"guichet/ledger"
)

// elements walks through the elements of a tree that have a name and, when class
// is not empty, that class.
func elements(n *html.Node, name, class string) iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for d := range n.Descendants() {
			if d.Type == html.ElementNode && d.Data == name && (class == "" || slices.Contains(strings.Fields(attribute(d, "class")), class)) {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// element is the first of [elements], or nil.
func element(n *html.Node, name, class string) *html.Node {
	for e := range elements(n, name, class) {
		return e
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name && a.Namespace == "" {
			return a.Val
		}
	}
	return ""
}

// text is what a person reads in an element, but for the parts in a span of
// their own. Spaces that break lines are trimmed at both ends; those that do not
// are the bank's words.
func text(n *html.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		switch {
		case c.Type == html.TextNode:
			b.WriteString(c.Data)
		case c.Type == html.ElementNode && c.Data != "span" && c.Data != "script" && c.Data != "style":
			b.WriteString(text(c))
		}
	}
	return strings.Trim(b.String(), " \t\r\n")
}

// A form is one of a page: its hidden fields.
type form map[string]string

// readForms finds the forms that post, by the path they post to; of two to one
// path, the first.
func readForms(doc *html.Node) map[string]form {
	forms := map[string]form{}
	for f := range elements(doc, "form", "") {
		action := attribute(f, "action")
		if forms[action] != nil || !strings.EqualFold(attribute(f, "method"), "post") {
			continue
		}
		hidden := form{}
		for i := range elements(f, "input", "") {
			if attribute(i, "type") == "hidden" {
				hidden[attribute(i, "name")] = attribute(i, "value")
			}
		}
		forms[action] = hidden
	}
	return forms
}

func (p page) title() string { return clip(text(element(p.doc, "h1", ""))) }

// words are the bank's own: why it stops, or what it asks.
func (p page) words() string { return clip(text(element(p.doc, "p", "message"))) }

func (p page) alert() string { return clip(text(element(p.doc, "p", "alerte"))) }

// link is the address of the first link to a path below prefix.
func (p page) link(prefix string) string {
	for a := range elements(p.doc, "a", "") {
		if strings.HasPrefix(attribute(a, "href"), prefix) {
			return attribute(a, "href")
		}
	}
	return ""
}

// A place is where in the site a page is, told by what one can do there.
type place string

const (
	placeLogin    place = "login"
	placeAccounts place = "accounts"
	placeChoice   place = "choice"    // of how to be asked
	placeSendCode place = "send_code" // a code can be asked for
	placeCode     place = "code"      // a code was sent
	placeAskApp   place = "ask_app"   // a validation can be asked for
	placeApp      place = "app"       // it was asked for
	placeCaptcha  place = "captcha"
	placeRedirect place = "redirect"
	placeTerms    place = "terms"
	placePassword place = "password"
	placeNotice   place = "notice" // the bank says something and offers nothing
)

func (p page) place() place {
	for _, f := range []struct {
		action string
		place  place
	}{
		{"/login", placeLogin},
		{"/choice", placeChoice},
		{"/otp", placeCode},
		{"/otp/send", placeSendCode},
		{"/app/finish", placeApp},
		{"/app", placeAskApp},
		{"/captcha", placeCaptcha},
		{"/terms", placeTerms},
		{"/password", placePassword},
	} {
		if p.forms[f.action] != nil {
			return f.place
		}
	}
	switch {
	case element(p.doc, "table", "comptes") != nil:
		return placeAccounts
	case p.link("/authorize?") != "":
		return placeRedirect
	default:
		return placeNotice
	}
}

var timeLeft = regexp.MustCompile(`expire dans ([0-9]{1,3}) min ([0-9]{2}) s`)

// deadline is what the page says of how long the question stands.
func (p page) deadline(now time.Time) time.Time {
	m := timeLeft.FindStringSubmatch(p.words())
	if m == nil {
		return time.Time{}
	}
	minutes, _ := strconv.Atoi(m[1]) // digits only
	seconds, _ := strconv.Atoi(m[2])
	return now.Add(time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second)
}

var triesLeft = regexp.MustCompile(`reste ([0-9]{1,2}) essai`)

// tries is how many codes may still be tried, or -1.
func (p page) tries() int {
	m := triesLeft.FindStringSubmatch(p.alert())
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// An accountRow is a line of the list of accounts.
type accountRow struct {
	ref, name, number, parent string
}

var sensibleRef = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// readAccounts reads the list of accounts, all of it or none.
func readAccounts(doc *html.Node) ([]accountRow, error) {
	table := element(doc, "table", "comptes")
	if table == nil {
		return nil, misreadf("no list of accounts")
	}
	var rows []accountRow
	seen := map[string]bool{}
	for tr := range bodyRows(table) {
		name := element(tr, "td", "nom")
		link, number, amount := (*html.Node)(nil), element(tr, "td", "numero"), element(tr, "td", "montant")
		if name != nil {
			link = element(name, "a", "")
		}
		if link == nil || number == nil || amount == nil {
			return nil, misreadf("a line of the accounts without name, number or balance")
		}
		ref, ok := strings.CutPrefix(attribute(link, "href"), "/accounts/")
		ref, ok2 := strings.CutSuffix(ref, "/history")
		if !ok || !ok2 || !sensibleRef.MatchString(ref) || seen[ref] {
			return nil, misreadf("account address %q", attribute(link, "href"))
		}
		seen[ref] = true
		if _, err := parseEuros(text(amount)); err != nil {
			return nil, err
		}
		row := accountRow{ref: ref, name: clip(text(link)), number: clip(text(number))}
		if attached := element(name, "span", "rattachement"); attached != nil {
			if words := strings.Fields(text(attached)); len(words) > 0 {
				row.parent = clip(words[len(words)-1])
			}
		}
		if rows = append(rows, row); len(rows) > maxAccounts {
			return nil, errTooMuch
		}
	}
	return rows, nil
}

// bodyRows walks through the lines of a table below its head.
func bodyRows(table *html.Node) iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for body := range elements(table, "tbody", "") {
			for tr := range elements(body, "tr", "") {
				if !yield(tr) {
					return
				}
			}
		}
	}
}

// A history is one page of an account's operations.
type history struct {
	iban        string
	balance     int64
	rows        []opRow
	page, pages int
	opening     int64 // when hasOpening: the balance before the oldest operation
	hasOpening  bool
}

// An opRow is one operation as the page has it.
type opRow struct {
	booked, value, done ledger.Date
	label, detail, ref  string
	cents               int64
}

var pageOf = regexp.MustCompile(`^Page ([0-9]{1,6}) sur ([0-9]{1,6})$`)

// readHistory reads a page of operations, all of it or none. coming tells that
// it is the page of what is to come, which has no pages.
func readHistory(doc *html.Node, coming bool) (history, error) {
	var h history
	var err error
	summary := element(doc, "dl", "resume")
	if summary == nil {
		return h, misreadf("a history without account")
	}
	if h.balance, err = parseEuros(text(element(summary, "dd", "solde"))); err != nil {
		return h, err
	}
	h.iban = strings.ReplaceAll(text(element(summary, "dd", "iban")), " ", "")
	if h.iban != "" && !ledger.ValidIBAN(h.iban) {
		return h, misreadf("an IBAN that is none")
	}
	table := element(doc, "table", "operations")
	if table == nil && element(doc, "p", "vide") == nil {
		return h, misreadf("no operations")
	}
	if table != nil {
		for tr := range bodyRows(table) {
			row, err := readOperation(tr)
			if err != nil {
				return h, err
			}
			h.rows = append(h.rows, row)
		}
	}
	if coming {
		return h, nil
	}
	return h, h.readPager(doc)
}

// readPager reads "Page 2 sur 6" and, on the last page, the opening balance.
func (h *history) readPager(doc *html.Node) error {
	nav := element(doc, "nav", "pages")
	if nav == nil {
		return misreadf("no page number")
	}
	m := pageOf.FindStringSubmatch(text(element(nav, "span", "")))
	if m == nil {
		return misreadf("no page number")
	}
	h.page, _ = strconv.Atoi(m[1]) // digits only
	h.pages, _ = strconv.Atoi(m[2])
	if h.page < 1 || h.page > h.pages {
		return misreadf("page %d of %d", h.page, h.pages)
	}
	if before := element(doc, "p", "ancien"); before != nil {
		opening, err := parseEuros(text(element(before, "span", "montant")))
		if err != nil {
			return err
		}
		h.opening, h.hasOpening = opening, true
	}
	return nil
}

const maxLabel = 500 // bytes

func readOperation(tr *html.Node) (opRow, error) {
	var row opRow
	cells := map[string]*html.Node{}
	for td := range elements(tr, "td", "") {
		name, _, _ := strings.Cut(attribute(td, "class"), " ")
		cells[name] = td
	}
	var err error
	for _, cell := range []struct {
		name     string
		day      *ledger.Date
		required bool
	}{{"date", &row.booked, true}, {"valeur", &row.value, false}, {"achat", &row.done, false}} {
		if cells[cell.name] == nil && !cell.required {
			continue
		}
		if *cell.day, err = parseDay(text(cells[cell.name])); err != nil {
			return row, err
		}
	}
	label := cells["libelle"]
	row.label = text(label)
	if row.label == "" || len(row.label) > maxLabel {
		return row, misreadf("an operation without a sensible label")
	}
	row.detail = clip(text(element(label, "span", "precision")))
	if td := cells["reference"]; td != nil {
		if row.ref = text(td); !sensibleRef.MatchString(row.ref) {
			return row, misreadf("reference %q", clip(row.ref))
		}
	}
	row.cents, err = parseEuros(text(cells["montant"]))
	return row, err
}

// redirectAddress is the bank's page of authorisation, on the bank's own host.
func (p page) redirectAddress(base *url.URL) (string, error) {
	address, err := base.Parse(p.link("/authorize?"))
	if err != nil || address.Host != base.Host || address.Scheme != base.Scheme {
		return "", errElsewhere
	}
	return address.String(), nil
}
