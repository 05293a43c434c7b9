package grant

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"guichet"
)

// A Gateway is a process beside an API that verifies tokens by itself. It may read
// the blocklist and the public keys, and nothing else.
type Gateway struct {
	ID          guichet.ID
	Name        string
	Hash        [32]byte // of its credential
	FormerHash  [32]byte // of the one before, good until the new one is used
	FormerUntil time.Time
	CreatedAt   time.Time
	RevokedAt   time.Time
	Seen        Sighting // the last
	Version     int64
}

// A Sighting is what a gateway said of itself when it asked where the list stands.
type Sighting struct {
	At         time.Time
	Have       Head // what it had then
	StaleAfter time.Duration
	Software   string
}

// A GatewayState is what an operator sees of a gateway first.
type GatewayState string

// The states of a gateway.
const (
	GatewayNew     GatewayState = "new"     // never heard of: start it with its credential
	GatewayCurrent GatewayState = "current" // has the list and asks regularly
	GatewayLate    GatewayState = "late"    // asks, and does not have what was blocked a while ago
	GatewaySilent  GatewayState = "silent"  // does not ask any more: it refuses everything, or is gone
	GatewayRevoked GatewayState = "revoked" // may not ask any more
)

// A GatewayStore keeps gateways. Update is as that of Store.
type GatewayStore interface {
	Update(ctx context.Context, fn func(GatewayTx) error) error
	// Gateways lists all by name, revoked ones too.
	Gateways(ctx context.Context) ([]Gateway, error)
	// GatewayByHash finds one by the hash of its credential or of the former one,
	// revoked or not, or returns ErrNoGateway.
	GatewayByHash(ctx context.Context, hash [32]byte) (Gateway, error)
	// NoteContact keeps a contact, unless a later one is kept.
	NoteContact(ctx context.Context, id guichet.ID, c Sighting) error
}

// A GatewayTx is what a verb can do inside one transaction.
type GatewayTx interface {
	guichet.Outbox
	// GatewayByName returns the one of this name that is not revoked, or ErrNoGateway.
	GatewayByName(name string) (Gateway, error)
	// SaveGateway writes a new row when Version is 0, else the row of that version;
	// ErrGatewayTaken when the name is that of another one.
	SaveGateway(g *Gateway) error
	// NoteReport notes that a report of a gateway is added; first is false when it
	// was before. AddUses adds to a day of a token; known is false when there is no
	// such token.
	NoteReport(gateway guichet.ID, report string, at time.Time) (first bool, err error)
	AddUses(token guichet.ID, day string, uses int64, last time.Time) (known bool, err error)
}

// Errors of gateways.
var (
	ErrNoGateway    = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_gateway", Reason: "No gateway has this name."}
	ErrGatewayTaken = &guichet.Error{Kind: guichet.Conflict, Code: "gateway_name_taken", Field: "name", Reason: "There is a gateway of this name already."}
	ErrGatewayName  = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_gateway_name", Field: "name", Reason: "A name has letters, digits, dots, dashes and underscores, 64 at the most."}
	ErrBadGateway   = &guichet.Error{Kind: guichet.Unauthorized, Code: "bad_gateway_credential", Reason: "This is not the credential of a gateway."}
)

const (
	credentialPrefix = "ggw_" // tells people and secret scanners what the text is
	formerLasts      = 24 * time.Hour
	silence          = 30 * time.Second // at the least
	lateness         = 30 * time.Second
)

var gatewayName = regexp.MustCompile(`^[\pL\pN][\pL\pN._-]{0,63}$`)

// Gateways is the verbs about gateways.
type Gateways struct {
	Store GatewayStore
	List  Reader // of the blocklist
	Clock guichet.Clock
}

func credentialHash(text guichet.Secret) [32]byte { return sha256.Sum256([]byte(text.Reveal())) }

// Add makes a gateway and gives its credential, once.
func (d *Gateways) Add(ctx context.Context, by guichet.Actor, name string) (g Gateway, credential guichet.Secret, err error) {
	if !gatewayName.MatchString(name) {
		return g, "", ErrGatewayName
	}
	err = d.Store.Update(ctx, func(tx GatewayTx) error {
		credential = credentialPrefix + d.Clock.NewSecret()
		g = Gateway{ID: d.Clock.NewID(), Name: name, Hash: credentialHash(credential), CreatedAt: d.Clock.Now()}
		if err := tx.SaveGateway(&g); err != nil {
			return err
		}
		return d.audit(tx, by, "gateway.added", g)
	})
	return g, credential, err
}

// Rotate gives a gateway another credential, once. The former one is good until
// the new one is used, for a day at the most, so that nothing stops meanwhile.
func (d *Gateways) Rotate(ctx context.Context, by guichet.Actor, name string) (credential guichet.Secret, err error) {
	err = d.Store.Update(ctx, func(tx GatewayTx) error {
		g, err := tx.GatewayByName(name)
		if err != nil {
			return err
		}
		credential = credentialPrefix + d.Clock.NewSecret()
		g.FormerHash, g.FormerUntil = g.Hash, d.Clock.Now().Add(formerLasts)
		g.Hash = credentialHash(credential)
		if err := tx.SaveGateway(&g); err != nil {
			return err
		}
		return d.audit(tx, by, "gateway.rotated", g)
	})
	return credential, err
}

// Revoke ends a gateway: its credential is refused from now on, and it refuses
// everything itself when its lease has ended.
func (d *Gateways) Revoke(ctx context.Context, by guichet.Actor, name string) error {
	return d.Store.Update(ctx, func(tx GatewayTx) error {
		g, err := tx.GatewayByName(name)
		if err != nil {
			return err
		}
		g.RevokedAt, g.FormerHash, g.FormerUntil = d.Clock.Now(), [32]byte{}, time.Time{}
		if err := tx.SaveGateway(&g); err != nil {
			return err
		}
		return d.audit(tx, by, "gateway.revoked", g)
	})
}

func (d *Gateways) audit(tx GatewayTx, by guichet.Actor, deed string, g Gateway) error {
	detail, err := json.Marshal(map[string]string{"gateway": g.ID.String(), "name": g.Name})
	if err != nil {
		return err
	}
	return tx.Audit(guichet.AuditEntry{ID: d.Clock.NewID(), At: d.Clock.Now(), Actor: by, Deed: deed, Subject: g.Subject(), Detail: string(detail)})
}

// Subject names the gateway in alerts and in the audit.
func (g Gateway) Subject() string { return "gateway/" + g.Name }

// Identify gives the gateway of a credential, or ErrBadGateway whatever is wrong.
func (d *Gateways) Identify(ctx context.Context, credential guichet.Secret) (Gateway, error) {
	if len(credential) > 100 || !strings.HasPrefix(credential.Reveal(), credentialPrefix) {
		return Gateway{}, ErrBadGateway
	}
	hash := credentialHash(credential)
	g, err := d.Store.GatewayByHash(ctx, hash)
	switch {
	case errors.Is(err, ErrNoGateway):
		return Gateway{}, ErrBadGateway
	case err != nil:
		return Gateway{}, err
	case !g.RevokedAt.IsZero(), hash != g.Hash && !d.Clock.Now().Before(g.FormerUntil):
		return Gateway{}, ErrBadGateway
	case hash == g.Hash && !g.FormerUntil.IsZero():
		return g, d.forgetFormer(ctx, g.Name, hash)
	}
	return g, nil
}

// forgetFormer ends the former credential, now that the new one is in use.
func (d *Gateways) forgetFormer(ctx context.Context, name string, hash [32]byte) error {
	err := d.Store.Update(ctx, func(tx GatewayTx) error {
		g, err := tx.GatewayByName(name)
		if err != nil || g.Hash != hash || g.FormerUntil.IsZero() {
			return err
		}
		g.FormerHash, g.FormerUntil = [32]byte{}, time.Time{}
		return tx.SaveGateway(&g)
	})
	if errors.Is(err, ErrNoGateway) {
		return ErrBadGateway // revoked meanwhile
	}
	return err
}

// A GatewayStanding is a gateway, how it is, and how far behind the list.
type GatewayStanding struct {
	Gateway
	State  GatewayState
	Behind int64 // lines of the list it did not have
}

// Standings tells how every gateway is.
func (d *Gateways) Standings(ctx context.Context) ([]GatewayStanding, Head, error) {
	_, head, err := d.List.Blocklist(ctx, math.MaxInt64, 1)
	if err != nil {
		return nil, head, err
	}
	all, err := d.Store.Gateways(ctx)
	if err != nil {
		return nil, head, err
	}
	out := make([]GatewayStanding, len(all))
	for i, g := range all {
		if out[i], err = d.standing(ctx, g, head); err != nil {
			return nil, head, err
		}
	}
	return out, head, nil
}

func (d *Gateways) standing(ctx context.Context, g Gateway, head Head) (GatewayStanding, error) {
	s := GatewayStanding{Gateway: g, State: GatewayCurrent, Behind: head.Seq - g.Seen.Have.Seq}
	switch {
	case g.Seen.Have.Epoch < head.Epoch:
		s.Behind = head.Seq
	case g.Seen.Have.Epoch > head.Epoch || s.Behind < 0:
		s.Behind = 0
	}
	switch {
	case !g.RevokedAt.IsZero():
		s.State = GatewayRevoked
	case g.Seen.At.IsZero():
		s.State = GatewayNew
	case d.Clock.Now().Sub(g.Seen.At) > max(silence, g.Seen.StaleAfter):
		s.State = GatewaySilent
	case s.Behind > 0:
		missing, _, err := d.List.Blocklist(ctx, head.Seq-s.Behind, 1)
		if err != nil {
			return s, err
		}
		if len(missing) > 0 && g.Seen.At.Sub(missing[0].At) > lateness {
			s.State = GatewayLate
		}
	}
	return s, nil
}

// Kinds of alerts about gateways.
const (
	AlertGatewaySilent = "gateway_silent"
	AlertGatewayLate   = "gateway_late"
	AlertWentBack      = "blocklist_went_back"
)

// Watch opens an alert about each gateway that is silent or late: one for each
// time that it is.
func (d *Gateways) Watch(ctx context.Context) error {
	all, _, err := d.Standings(ctx)
	if err != nil {
		return err
	}
	kinds := map[GatewayState]string{GatewaySilent: AlertGatewaySilent, GatewayLate: AlertGatewayLate}
	for _, g := range all {
		kind, ok := kinds[g.State]
		if !ok {
			continue
		}
		once := fmt.Sprintf("%s/%s/%d", kind, g.ID, g.Seen.At.UnixMicro())
		if g.State == GatewayLate {
			once = fmt.Sprintf("%s/%s/%d-%d", kind, g.ID, g.Seen.Have.Epoch, g.Seen.Have.Seq)
		}
		if err := d.alert(ctx, kind, g.Gateway, once); err != nil {
			return err
		}
	}
	return nil
}

// WentBack notes that a gateway has seen more of the list than the database has:
// a backup was restored and its epoch was not raised. Until it is, the gateway
// refuses everything.
func (d *Gateways) WentBack(ctx context.Context, g Gateway, has, head Head) error {
	return d.alert(ctx, AlertWentBack, g, fmt.Sprintf("%s/%s/%d-%d/%d", AlertWentBack, g.ID, has.Epoch, has.Seq, head.Epoch))
}

func (d *Gateways) alert(ctx context.Context, kind string, g Gateway, once string) error {
	detail, err := json.Marshal(map[string]string{"gateway": g.Name, "contact": g.Seen.At.Format(time.RFC3339), "version": fmt.Sprintf("%d-%d", g.Seen.Have.Epoch, g.Seen.Have.Seq)})
	if err != nil {
		return err
	}
	return d.Store.Update(ctx, func(tx GatewayTx) error {
		return tx.Alert(guichet.Alert{
			ID: d.Clock.NewID(), Kind: kind, Subject: g.Subject(), Detail: string(detail), Once: once, OpenedAt: d.Clock.Now(),
		})
	})
}
