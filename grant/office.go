package grant

import (
	"context"
	"time"

	"guichet"
)

// An Office is what the back office reads beside a [Reader]: lists that stay
// quick whatever their length, and figures.
type Office interface {
	// Search gives one page of requests. It first reads what changed since the
	// last one, as far as that is little; Found.Behind tells what is left.
	Search(ctx context.Context, s Search) (Found, error)
	// Index reads what changed into the index that searches use, until nothing is
	// left. A job does it every minute.
	Index(ctx context.Context) (requests int, err error)
	// Expiring lists tokens that are not blocked and end between the two instants,
	// those that end first first, after the last one of the page before.
	Expiring(ctx context.Context, from, to time.Time, after Standing) ([]Standing, error)
	// Prolongation gives how far somebody came; its zero value when nobody began.
	Prolongation(ctx context.Context, token guichet.ID) (Prolongation, error)
	// Usage tells how often a token was used, day by day since an instant.
	Usage(ctx context.Context, token guichet.ID, since time.Time) (Usage, error)
	// LastUse tells when a token was used last.
	LastUse(ctx context.Context, token guichet.ID) (time.Time, error)
	LastUseOfRequest(ctx context.Context, request guichet.ID) (time.Time, error)
	// Forget removes links that are over, and uses of long ago.
	Forget(ctx context.Context) error
	// Figures counts what happened since an instant.
	Figures(ctx context.Context, provider string, since, now time.Time) (Figures, error)
}

// Figures are what the page of statistics shows.
type Figures struct {
	Weeks     []Week // one for each week since, the oldest first, empty ones too
	Median    time.Duration
	Validated int64 // how many the median is of
	Tokens    []TokenFigure
	Scopes    []ScopeFigure // the most frequent first
}

// A Week counts the requests that came in it, by how far they have come since.
type Week struct {
	Begins                                           time.Time // a Monday, 0:00 UTC
	Received, Submitted, Validated, Refused, Revoked int64
}

// A TokenFigure counts the tokens of one provider.
type TokenFigure struct {
	Provider                          string
	Alive, Expiring, Expired, Blocked int64 // Expiring are alive too
}

// A ScopeFigure counts the tokens that work and have the scope.
type ScopeFigure struct {
	Scope  string
	Tokens int64
}

// A Search asks for requests; zero fields ask for nothing. What is archived and
// never gave a token is hidden unless its status or Archived asks for it.
type Search struct {
	Provider string
	Status   Status
	Scope    string
	SIRET    string // or the digits it begins with
	Email    string // of a contact, or what it begins with
	Words    string // each begins a word of the title, organization, number, SIRET, names or e-mails
	From, To time.Time
	Archived bool
	Order    Order
	After    string // Found.Next of the page before
	Limit    int
}

// An Order of requests.
type Order string

// The orders.
const (
	ByNewest  Order = "" // as they came, the newest first
	ByOldest  Order = "oldest"
	ByChanged Order = "changed" // the latest change first
)

// Found is one page of a search.
type Found struct {
	Requests []Listed
	// Next is where the next page begins; empty: there is none. A page may be
	// shorter than asked for and still have a next one: a search looks at so many
	// requests at most, so that a rare combination of frequent filters does not
	// keep anyone waiting.
	Next   string
	Behind int64 // requests that changed and are not in the index yet
}

// ErrBadCursor is returned for a page that begins nowhere.
var ErrBadCursor = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_cursor", Field: "after", Reason: "This page of the list does not exist. Please begin again."}
