package view

import (
	"context"
	"strconv"
)

// A Place is one of the pages that the navigation names.
type Place string

// The places.
const (
	Home         Place = "home"
	Accesses     Place = "accesses"
	Accounts     Place = "accounts"
	Operations   Place = "operations"
	Requests     Place = "requests"
	Tokens       Place = "tokens"
	Alerts       Place = "alerts"
	JournalPlace Place = "journal"
	FiguresPlace Place = "figures"
	Mine         Place = "mine"
	Gateways     Place = "gateways"
	Providers    Place = "providers"
	Settings     Place = "settings"
	Nowhere      Place = ""
)

// Windows tells which windows of the counter are open.
type Windows struct {
	Bank, Grant bool
	Mine        bool // the requests of whoever looks, for applicants and contacts
}

// A Frame is what surrounds every page of somebody who is signed in.
type Frame struct {
	Windows  Windows
	Me       Person
	Waits    map[Place]int // how many things wait there
	Query    string        // what is being searched for
	Toasts   []Toast
	Question *Question // asked over the page
	Events   string    // address of the stream that hurries reads; empty: none
}

// bar is what a page says in the top line.
type bar struct {
	title   string
	heading string // shown instead of the title; empty: the title
	place   Place
	parent  *Link // the page above; its name stands where the title would, and the page writes its own heading
	action  *Link // the one main action, which always begins something new
	search  bool  // the page is a list that one searches: the field stays on a phone
}

func (b bar) says() string {
	if b.heading != "" {
		return b.heading
	}
	return b.title
}

// section is one entry of the navigation.
type section struct {
	place  Place
	key    string
	icon   string
	url    string
	places []section
}

// sections lists the navigation of a reader.
func (f Frame) sections() []section {
	all := []section{{place: Home, key: "nav.home", icon: "home", url: PathHome}}
	if f.Windows.Bank {
		all = append(all, section{key: "nav.bank", icon: "bank", url: PathAccesses, places: []section{
			{place: Accesses, key: "nav.accesses", icon: "plug", url: PathAccesses},
			{place: Accounts, key: "nav.accounts", icon: "card", url: PathAccounts},
			{place: Operations, key: "nav.operations", icon: "flows", url: PathOperations},
		}})
	}
	if f.Windows.Grant {
		all = append(all, section{key: "nav.grant", icon: "seal", url: PathRequests, places: []section{
			{place: Requests, key: "nav.requests", icon: "file", url: PathRequests},
			{place: Tokens, key: "nav.tokens", icon: "key", url: PathTokens},
			{place: Alerts, key: "nav.alerts", icon: "bell", url: PathAlerts},
			{place: JournalPlace, key: "nav.journal", icon: "book", url: PathJournal},
			{place: FiguresPlace, key: "nav.figures", icon: "bars", url: PathFigures},
			{place: Gateways, key: "nav.gateways", icon: "shield", url: PathGateways},
			{place: Providers, key: "nav.providers", icon: "out", url: PathProviders},
		}})
	}
	if f.Windows.Mine {
		all = append(all, section{place: Mine, key: "nav.mine", icon: "seal", url: PathMine})
	}
	return append(all, section{place: Settings, key: "nav.settings", icon: "sliders", url: PathSettings})
}

// holds tells whether a place is this section or in it.
func (s section) holds(p Place) bool {
	if p == Nowhere {
		return false
	}
	if s.place == p {
		return true
	}
	for _, c := range s.places {
		if c.place == p {
			return true
		}
	}
	return false
}

// current is how the navigation marks where one is: on the page itself, or on
// the section around it.
func (s section) current(p Place) string {
	if s.place == p {
		return "page"
	}
	return "true"
}

// waits counts what waits in the section.
func (f Frame) waits(s section) int {
	n := 0
	if s.place != Nowhere {
		n = f.Waits[s.place]
	}
	for _, c := range s.places {
		n += f.waits(c)
	}
	return n
}

// searchPath is where a search from this place goes, and what it looks through.
func (f Frame) searchPath(p Place) (path, key string) {
	switch p {
	case Requests, Alerts, JournalPlace, FiguresPlace, Providers:
		return PathRequests, "search.requests"
	case Tokens:
		return PathTokens, "search.tokens"
	}
	if f.Windows.Bank {
		return PathOperations, "search.operations"
	}
	return PathRequests, "search.requests"
}

// htmxConfig keeps htmx inside the content security policy: it would add a
// style element for its indicator, which we do not use. A dialog that is open
// stays so when the page around it is brought up to date.
const htmxConfig = `{"includeIndicatorCSS":false,"morphIgnore":["data-htmx-powered","open"]}`

// pollTrigger is when a part that follows work asks how it stands: every few
// seconds, and at once when the stream of the frame says that something changed.
// The stream only hurries; a page that cannot have one still goes on.
const pollTrigger = "every 3s, " + ChangedEvent + " from:body"

// EventsURL is the stream of what moves from the instant at which the page was drawn.
func EventsURL(ctx context.Context) string {
	return PathEvents + "?since=" + strconv.FormatInt(ViewerFrom(ctx).Now.UnixMicro(), 10)
}

// ChangedEvent is the name of the event that the stream of [Frame.Events] sends
// when an attempt of the reader moved. Its data is the id of the attempt, and
// nothing of it.
const ChangedEvent = "changed"

// pageTitle is the title of the window: the page, then the product.
func pageTitle(title string) string {
	if title == "" {
		return "Guichet"
	}
	return title + " · Guichet"
}

// themeAttribute is the value of data-theme; auto leaves the choice to the
// machine.
func themeAttribute(ctx context.Context) string { return string(ViewerFrom(ctx).Theme) }

// otherLanguage is the language one click away.
func otherLanguage(ctx context.Context) string {
	if words(ctx).Lang() == "fr" {
		return "en"
	}
	return "fr"
}
