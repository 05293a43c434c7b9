package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"guichet"
	"guichet/grant"
)

type requestCmd struct {
	List   requestListCmd   `cmd:"" help:"List requests, the latest change first."`
	Show   requestShowCmd   `cmd:"" help:"Show one request with its tokens and its deliveries."`
	Revoke requestRevokeCmd `cmd:"" help:"Revoke a request by hand: all its tokens are blocked at once."`
}

// requestJSON is a request for scripts; contract: docs/commands.md.
type requestJSON struct {
	Provider     string         `json:"provider"`
	ExternalID   string         `json:"external_id"`
	Status       grant.Status   `json:"status"`
	Title        string         `json:"title"`
	SIRET        string         `json:"siret"`
	Organization string         `json:"organization"`
	Scopes       []string       `json:"scopes"`
	ValidatedAt  *time.Time     `json:"validated_at"`
	RevokedAt    *time.Time     `json:"revoked_at"`
	ArchivedAt   *time.Time     `json:"archived_at"`
	PurgedAt     *time.Time     `json:"purged_at"`
	PurgeAt      *time.Time     `json:"purge_at"`
	DeletedAt    *time.Time     `json:"deleted_at_source"`
	Tombstone    bool           `json:"tombstone"`
	Contacts     []contactJSON  `json:"contacts"`
	Tokens       []tokenJSON    `json:"tokens"`
	Deliveries   []deliveryJSON `json:"deliveries"`
}

type contactJSON struct {
	Role  grant.Role `json:"role"`
	Email string     `json:"email"`
	Name  string     `json:"name"`
}

type tokenJSON struct {
	ID            guichet.ID `json:"id"`
	IssuedAt      time.Time  `json:"issued_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	BlockAt       *time.Time `json:"block_at"`
	BlockedAt     *time.Time `json:"blocked_at"`
	Authorization string     `json:"authorization"`
	Scopes        []string   `json:"scopes"`
	LastUsedAt    *time.Time `json:"last_used_at,omitempty"`
	Uses          []useJSON  `json:"uses,omitempty"` // of the last 30 days

	Limits guichet.Limit `json:"limits"`
}

type useJSON struct {
	Day  string `json:"day"`
	Uses int64  `json:"uses"`
}

type deliveryJSON struct {
	ID         guichet.ID   `json:"id"`
	Provider   string       `json:"provider"`
	ExternalID string       `json:"external_id"`
	Event      string       `json:"event"`
	FiredAt    *time.Time   `json:"fired_at"`
	ReceivedAt time.Time    `json:"received_at"`
	Effect     grant.Effect `json:"effect"`
	Note       grant.Note   `json:"note"`
	Problem    string       `json:"problem,omitempty"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func requestOut(r grant.Request) requestJSON {
	out := requestJSON{
		Provider: r.Provider, ExternalID: r.ExternalID, Status: r.Status, Title: r.Title, SIRET: r.SIRET, Organization: r.Organization,
		Scopes: append([]string{}, r.Scopes...), ValidatedAt: moment(r.ValidatedAt), RevokedAt: moment(r.RevokedAt), ArchivedAt: moment(r.ArchivedAt),
		PurgedAt: moment(r.PurgedAt), PurgeAt: moment(r.PurgeAt), DeletedAt: moment(r.DeletedAtSource), Tombstone: r.Tombstone, Contacts: []contactJSON{},
	}
	for _, c := range r.Contacts {
		out.Contacts = append(out.Contacts, contactJSON{c.Role, c.Email, c.Name()})
	}
	for _, t := range r.Tokens {
		out.Tokens = append(out.Tokens, tokenJSON{
			t.ID, t.IssuedAt, t.ExpiresAt, moment(t.BlockAt), moment(t.BlockedAt), t.Authorization, append([]string{}, t.Scopes...), nil, nil, t.Limit,
		})
	}
	return out
}

func deliveryOut(d grant.Delivery) deliveryJSON {
	return deliveryJSON{d.ID, d.Provider, d.ExternalID, d.Event, moment(d.FiredAt), d.ReceivedAt, d.Effect, d.Note, d.Problem}
}

type requestListCmd struct {
	Provider string       `help:"Only of this provider."`
	Status   grant.Status `help:"Only with this status: draft, submitted, changes_requested, refused, validated, revoked or archived." enum:",draft,submitted,changes_requested,refused,validated,revoked,archived" default:""`
	Search   string       `help:"Words in the title, organization, SIRET, number or e-mails."`
	Limit    int          `help:"How many at the most." default:"100"`
}

func (c requestListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		requests, err := p.grant.Store.Requests(ctx, grant.RequestFilter{
			Provider: c.Provider, Status: c.Status, Search: c.Search, Limit: c.Limit, Archived: true,
		})
		if err != nil {
			return err
		}
		out := []requestJSON{}
		for _, r := range requests {
			one := requestOut(r.Request)
			if t.json { // the table has no room for more
				if one, err = p.wholeRequest(ctx, r.Provider, r.ExternalID); err != nil {
					return err
				}
			}
			out = append(out, one)
		}
		return t.print(out, func(w io.Writer) {
			for _, r := range out {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Provider, r.ExternalID, r.Status, r.SIRET, r.Title)
			}
		})
	})
}

type requestShowCmd struct {
	Provider   string `arg:"" help:"Provider, such as api_entreprise."`
	ExternalID string `arg:"" help:"Number at the source."`
}

func (c requestShowCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		out, err := p.wholeRequest(ctx, c.Provider, c.ExternalID)
		if err != nil {
			return err
		}
		return t.print(out, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s/%s\t%s\t%s\n%s\t%s\n", out.Provider, out.ExternalID, out.Status, out.Title, out.SIRET, strings.Join(out.Scopes, " "))
			for _, k := range out.Tokens {
				state := "live until " + k.ExpiresAt.Format(time.DateOnly)
				if k.BlockedAt != nil {
					state = "blocked " + k.BlockedAt.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(w, "token\t%s\t%s\n", k.ID, state)
			}
			for _, d := range out.Deliveries {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.ReceivedAt.Format(time.RFC3339), d.Event, d.Effect, d.Note)
			}
		})
	})
}

// wholeRequest is a request with its tokens and all that was delivered about it.
func (p *program) wholeRequest(ctx context.Context, provider, externalID string) (requestJSON, error) {
	request, err := p.grant.Store.Request(ctx, provider, externalID)
	if err != nil {
		return requestJSON{}, err
	}
	deliveries, err := p.grant.Store.Deliveries(ctx, grant.DeliveryFilter{Provider: provider, ExternalID: externalID, Limit: 1000})
	if err != nil {
		return requestJSON{}, err
	}
	out := requestOut(request)
	out.Tokens = append([]tokenJSON{}, out.Tokens...)
	for i := range out.Tokens {
		used, err := p.store.Grant().Usage(ctx, out.Tokens[i].ID, p.clock.Now().AddDate(0, 0, -30))
		if err != nil {
			return requestJSON{}, err
		}
		out.Tokens[i].LastUsedAt = moment(used.Last)
		for _, d := range used.Days {
			out.Tokens[i].Uses = append(out.Tokens[i].Uses, useJSON(d))
		}
	}
	out.Deliveries = []deliveryJSON{}
	for _, d := range deliveries {
		out.Deliveries = append(out.Deliveries, deliveryOut(d))
	}
	return out, nil
}

type requestRevokeCmd struct {
	Provider   string `arg:""`
	ExternalID string `arg:""`
	Reason     string `help:"Why; people are told." required:""`
}

func (c requestRevokeCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		n, err := p.grant.Revoke(ctx, atCommandLine(), c.Provider, c.ExternalID, c.Reason)
		if err != nil {
			return err
		}
		return t.print(map[string]int{"blocked": n}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d tokens blocked\n", n) })
	})
}

type tokenCmd struct {
	Show   tokenShowCmd   `cmd:"" help:"Print a token in clear. This is noted in the audit."`
	Block  tokenBlockCmd  `cmd:"" help:"Block a token, now or at a date."`
	Issue  tokenIssueCmd  `cmd:"" help:"Issue one more token to a validated request."`
	Limit  tokenLimitCmd  `cmd:"" help:"Say from which networks and how often a token may be used; without any: as it likes."`
	Import tokenImportCmd `cmd:"" help:"Take over tokens that another service issued."`
}

type tokenShowCmd struct {
	ID string `arg:""`
}

func (c tokenShowCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		_, jwt, err := p.grant.Reveal(ctx, atCommandLine(), id)
		if err != nil {
			return err
		}
		return t.print(map[string]string{"id": c.ID, "token": jwt.Reveal()}, func(w io.Writer) { _, _ = fmt.Fprintln(w, jwt.Reveal()) })
	})
}

type tokenBlockCmd struct {
	ID      string  `arg:""`
	At      instant `help:"When, like 2026-12-31T23:59:59+01:00; now when not given."`
	Reason  string  `help:"Why."`
	Replace bool    `help:"Issue another token at the same time."`
}

func (c tokenBlockCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		replacement, err := p.grant.Block(ctx, atCommandLine(), id, grant.Blocking{At: c.At.Time, Reason: c.Reason, Replace: c.Replace})
		if err != nil {
			return err
		}
		out := map[string]any{"id": id, "replacement": nil}
		if replacement != "" {
			out["replacement"] = replacement
		}
		return t.print(out, func(w io.Writer) { _, _ = fmt.Fprintf(w, "blocked\t%s\n%s", id, replacementLine(replacement)) })
	})
}

func replacementLine(id guichet.ID) string {
	if id == "" {
		return ""
	}
	return "replaced by\t" + id.String() + "\n"
}

// limitFlags are what narrows a token.
type limitFlags struct {
	From      []string `help:"Only from this network, such as 192.0.2.0/24; may be repeated."`
	PerMinute int      `help:"How often a minute, at each gateway."`
}

type tokenLimitCmd struct {
	ID string `arg:""`
	limitFlags
}

func (c tokenLimitCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		limit, err := guichet.ParseLimit(c.From, c.PerMinute)
		if err != nil {
			return err
		}
		if err := p.grant.Limit(ctx, atCommandLine(), id, limit); err != nil {
			return err
		}
		return t.print(map[string]any{"id": id, "limits": limit}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\t%s\nJWTs that were shown before do not say so: hand over the new one.\n", id, limit)
		})
	})
}

type tokenIssueCmd struct {
	Provider   string `arg:""`
	ExternalID string `arg:""`
	limitFlags
}

func (c tokenIssueCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		limit, err := guichet.ParseLimit(c.From, c.PerMinute)
		if err != nil {
			return err
		}
		id, err := p.grant.IssueLimited(ctx, atCommandLine(), c.Provider, c.ExternalID, limit)
		if err != nil {
			return err
		}
		return t.print(map[string]guichet.ID{"id": id}, func(w io.Writer) { _, _ = fmt.Fprintln(w, id) })
	})
}

type journalCmd struct {
	Verify journalVerifyCmd `cmd:"" help:"Verify that no delivery was altered or removed."`
	Replay journalReplayCmd `cmd:"" help:"Give one delivery to the rules once more."`
}

type journalVerifyCmd struct{}

var (
	errJournalBroken = errors.New("the journal is broken")
	errInterrupted   = errors.New("interrupted: the rest of the journal was not read")
)

// tellProgress says every few seconds how far something long has come.
func tellProgress(w io.Writer, clock guichet.Clock) func(done, of int64) {
	const every = 2 * time.Second
	last := clock.Now()
	return func(done, of int64) {
		now := clock.Now()
		if of == 0 || now.Sub(last) < every {
			return
		}
		last = now
		_, _ = fmt.Fprintf(w, "%d of %d deliveries, %d %%\n", done, of, 100*done/of)
	}
}

func (journalVerifyCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		breaks := []grant.Break{}
		n, err := p.grant.Store.VerifyJournal(ctx, func(b grant.Break) { breaks = append(breaks, b) }, tellProgress(t.err, p.clock))
		interrupted := ctx.Err() != nil
		if err != nil && !interrupted {
			return err
		}
		said := map[string]any{"deliveries": n, "ok": len(breaks) == 0 && !interrupted, "breaks": breaks}
		if interrupted {
			said["interrupted"] = true
		}
		err = t.print(said, func(w io.Writer) {
			if interrupted {
				_, _ = fmt.Fprintln(w, "interrupted; so far:")
			}
			_, _ = fmt.Fprintf(w, "%d deliveries, %d breaks\n", n, len(breaks))
			for _, b := range breaks {
				_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", b.Chain, b.N, b.Delivery, b.Problem)
			}
		})
		if err == nil && len(breaks) > 0 {
			return errJournalBroken
		}
		if err == nil && interrupted {
			return errInterrupted
		}
		return err
	})
}

type journalReplayCmd struct {
	ID string `arg:""`
}

func (c journalReplayCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		d, err := p.grant.Replay(ctx, atCommandLine(), id)
		if err != nil {
			return err
		}
		return t.print(deliveryOut(d), func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", d.Effect, d.Note, d.Problem) })
	})
}

type quarantineCmd struct {
	List quarantineListCmd `cmd:"" help:"List deliveries that wait for an operator."`
}

type quarantineListCmd struct{}

func (quarantineListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		found, err := p.grant.Store.Deliveries(ctx, grant.DeliveryFilter{Open: true, Limit: 1000})
		if err != nil {
			return err
		}
		out := []deliveryJSON{}
		for _, d := range found {
			if d.Effect == grant.Quarantined {
				out = append(out, deliveryOut(d))
			}
		}
		return t.print(out, func(w io.Writer) {
			for _, d := range out {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s/%s\t%s\n", d.ID, d.ReceivedAt.Format(time.RFC3339), d.Event, d.Provider, d.ExternalID, d.Problem)
			}
		})
	})
}

type alertCmd struct {
	List alertListCmd `cmd:"" help:"List alerts, the newest first."`
	Ack  alertAckCmd  `cmd:"" help:"Acknowledge an alert."`
}

type alertJSON struct {
	ID             guichet.ID `json:"id"`
	Kind           string     `json:"kind"`
	Subject        string     `json:"subject"`
	OpenedAt       time.Time  `json:"opened_at"`
	AcknowledgedAt *time.Time `json:"acknowledged_at"`
}

type alertListCmd struct {
	Open bool `help:"Only those nobody has acknowledged."`
}

func (c alertListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		alerts, err := p.store.Alerts().List(ctx, guichet.AlertFilter{Open: c.Open, Limit: 1000})
		if err != nil {
			return err
		}
		out := []alertJSON{}
		for _, a := range alerts {
			out = append(out, alertJSON{a.ID, a.Kind, a.Subject, a.OpenedAt, moment(a.AcknowledgedAt)})
		}
		return t.print(out, func(w io.Writer) {
			for _, a := range out {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.ID, a.OpenedAt.Format(time.RFC3339), a.Kind, a.Subject)
			}
		})
	})
}

type alertAckCmd struct {
	ID string `arg:""`
}

func (c alertAckCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		if err := p.store.Alerts().Acknowledge(ctx, atCommandLine(), id); err != nil {
			return err
		}
		return t.print(map[string]guichet.ID{"id": id}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "acknowledged\t%s\n", id) })
	})
}
