package grant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"guichet"
)

// A Client is a program that may ask about tokens, or take them back, by OAuth:
// the tokens of one provider (an operator's program), or one token (its holder's).
type Client struct {
	ID            guichet.ID // client_id
	Name          string
	SecretHash    [32]byte // SHA-256 of the secret
	Provider      string   // whose tokens; empty: one token only
	TokenID       guichet.ID
	MayIntrospect bool
	MayRevoke     bool
	CreatedAt     time.Time
	RevokedAt     time.Time // zero: in force
	LastUsedAt    time.Time // to the hour; zero: never
}

// Actor is the client as whoever asks.
func (c Client) Actor() guichet.Actor {
	return guichet.Actor{Kind: guichet.ByClient, ID: c.ID, Name: c.Name}
}

// MayActOn tells whether a token is one of those the client is there for.
func (c Client) MayActOn(s Standing) bool {
	if c.TokenID != "" {
		return c.TokenID == s.ID
	}
	return c.Provider != "" && c.Provider == s.Provider
}

// Clients keeps clients. What changes one is one transaction, with its deed.
type Clients interface {
	// List gives all of them, revoked ones too, the oldest first.
	List(ctx context.Context) ([]Client, error)
	// Get returns ErrNoClient for an identifier that nobody has.
	Get(ctx context.Context, id guichet.ID) (Client, error)
	Add(ctx context.Context, c Client, deed guichet.AuditEntry) error
	// Revoke ends a client for ever; doing it twice changes nothing.
	Revoke(ctx context.Context, id guichet.ID, deed guichet.AuditEntry) error
	// NoteUse notes that a client was used now.
	NoteUse(ctx context.Context, id guichet.ID) error
}

// Errors of clients.
var (
	ErrNoClient    = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_client", Reason: "No client has this identifier."}
	ErrBadClient   = &guichet.Error{Kind: guichet.Unauthorized, Code: "invalid_client", Reason: "The client is unknown or revoked, or its secret is wrong."}
	ErrClientScope = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_client_scope", Reason: "A client acts on the tokens of one provider or on one token, and may introspect, revoke, or both."}
	ErrClientName  = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_client_name", Field: "name", Reason: "The name of a client has 1 to 100 characters on one line."}
)

// clientPrefix tells people and secret scanners what the text is.
const clientPrefix = "gcc_"

// clientUsePrecision is how exactly the last use of a client is kept.
const clientUsePrecision = time.Hour

// AddClient makes a client and gives its secret, once. Name, Provider or TokenID,
// and what it may do are the caller's to fill.
func (d *Desk) AddClient(ctx context.Context, by guichet.Actor, c Client) (Client, guichet.Secret, error) {
	c.Name = strings.TrimSpace(c.Name)
	if n := utf8.RuneCountInString(c.Name); n == 0 || n > 100 || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unicode.IsControl) {
		return Client{}, "", ErrClientName
	}
	if (c.Provider == "") == (c.TokenID == "") || !c.MayIntrospect && !c.MayRevoke {
		return Client{}, "", ErrClientScope
	}
	if _, known := d.Providers[c.Provider]; c.Provider != "" && !known {
		return Client{}, "", ErrNoProvider
	}
	if c.TokenID != "" {
		if _, err := d.Store.Standing(ctx, c.TokenID); err != nil {
			return Client{}, "", err
		}
	}
	secret := clientPrefix + d.Clock.NewSecret()
	c.ID, c.CreatedAt, c.SecretHash = d.Clock.NewID(), d.Clock.Now(), hashSecret(secret)
	deed := d.clientDeed(by, "client.added", c.ID, map[string]string{"name": c.Name, "provider": c.Provider, "token": c.TokenID.String()})
	if err := d.Clients.Add(ctx, c, deed); err != nil {
		return Client{}, "", err
	}
	return c, secret, nil
}

// RevokeClient ends a client at once and for ever.
func (d *Desk) RevokeClient(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	return d.Clients.Revoke(ctx, id, d.clientDeed(by, "client.revoked", id, nil))
}

func (d *Desk) clientDeed(by guichet.Actor, deed string, id guichet.ID, detail map[string]string) guichet.AuditEntry {
	return guichet.AuditEntry{ID: d.Clock.NewID(), At: d.Clock.Now(), Actor: by, Deed: deed, Subject: "client/" + id.String(), Detail: jsonOf(detail)}
}

// AuthenticateClient gives the client that proves who it is, or ErrBadClient,
// whatever is wrong.
func (d *Desk) AuthenticateClient(ctx context.Context, id guichet.ID, secret guichet.Secret) (Client, error) {
	// An identifier that nobody has takes the same way as one that somebody has; one
	// that is not even text would be an error of the database.
	if _, err := guichet.ParseID(id.String()); err != nil {
		id = ""
	}
	c, err := d.Clients.Get(ctx, id)
	if err != nil && !errors.Is(err, ErrNoClient) {
		return Client{}, err
	}
	hash := hashSecret(secret)
	if same := subtle.ConstantTimeCompare(hash[:], c.SecretHash[:]) == 1; !same || err != nil || !c.RevokedAt.IsZero() {
		return Client{}, ErrBadClient
	}
	if d.Clock.Now().Sub(c.LastUsedAt) >= clientUsePrecision {
		// That it cannot be written is no reason to refuse.
		_ = d.Clients.NoteUse(ctx, c.ID)
	}
	return c, nil
}

func hashSecret(s guichet.Secret) [32]byte { return sha256.Sum256([]byte(s.Reveal())) }
