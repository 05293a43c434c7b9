package store

import (
	"context"
	"fmt"

	"guichet/grant"
)

// A Violation is an invariant that does not hold in a database.
type Violation struct {
	Invariant string `json:"invariant"`
	Offender  string `json:"offender"`
}

// String is one line for a person.
func (v Violation) String() string { return v.Invariant + ": " + v.Offender }

// An invariant is a query that names what breaks it: no row, no problem.
type invariant struct{ name, text string }

// invariants of every window, in the order they are reported. ARCHITECTURE.md
// says what each one is for.
func invariants() []invariant {
	return append(grantInvariants, bankInvariants...)
}

var grantInvariants = []invariant{
	{"no token lives under a revoked request", `SELECT tokens.id FROM tokens JOIN requests ON requests.id = tokens.request_id
		WHERE requests.status = 'revoked' AND tokens.blocked_at = 0`},
	{"a blocked token is in the blocklist", `SELECT id FROM tokens WHERE blocked_at <> 0 AND id NOT IN (SELECT token_id FROM blocklist)`},
	{"what is in the blocklist is blocked, with the same index", `SELECT tokens.id FROM tokens JOIN blocklist ON blocklist.token_id = tokens.id
		WHERE tokens.blocked_at = 0 OR tokens.status_index <> blocklist.status_index`},
	{"the blocklist has no gap", `SELECT 'head ' || CAST(seq AS TEXT) FROM blocklist_head
		WHERE seq <> (SELECT COUNT(*) FROM blocklist) OR seq <> (SELECT COALESCE(MAX(seq), 0) FROM blocklist)`},
	{"a token belongs to a request that was validated once", `SELECT tokens.id FROM tokens JOIN requests ON requests.id = tokens.request_id
		WHERE requests.validated_at = 0`},
	{"a request came from a delivery", `SELECT provider || '/' || external_id FROM requests
		WHERE provider || '/' || external_id NOT IN (SELECT chain FROM chains WHERE length > 0)`},
	{"a chain is as long as its deliveries", `SELECT chain FROM chains
		WHERE length <> (SELECT COUNT(*) FROM deliveries WHERE deliveries.chain = chains.chain)`},
	{"an event is applied at most once", `SELECT chain || ' ' || MIN(id) FROM deliveries WHERE effect = 'applied'
		GROUP BY chain, identity HAVING COUNT(*) > 1`},
	{"an answered token exists", `SELECT id FROM deliveries WHERE token_id <> '' AND token_id NOT IN (SELECT id FROM tokens)`},
	{"a purged request keeps nobody's data", `SELECT provider || '/' || external_id FROM requests
		WHERE purged_at <> 0 AND (title <> '' OR description <> '' OR contacts NOT IN ('', 'null', '[]') OR purge_at <> 0)`},
	{"what is not in the queue is in the index", `SELECT provider || '/' || external_id FROM requests
		WHERE id NOT IN (SELECT request_id FROM request_queue) AND id NOT IN (SELECT request_id FROM request_index)`},
	{"a purged request is found by nobody's address", `SELECT requests.provider || '/' || external_id FROM requests
		JOIN request_index ON request_index.request_id = requests.id
		WHERE purged_at <> 0 AND terms LIKE '%@%' AND requests.id NOT IN (SELECT request_id FROM request_queue)`},
	{"a request with a token is never purged", `SELECT tokens.request_id FROM tokens JOIN requests ON requests.id = tokens.request_id
		WHERE requests.purged_at <> 0 OR requests.purge_at <> 0`},
	{"a notification that waits is in the queue", `SELECT id FROM notices WHERE state = 'waiting'
		AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.kind = 'notice' AND jobs.args LIKE '%' || notices.id || '%')`},
	{"every block is in the audit", `SELECT tokens.id FROM tokens JOIN requests ON requests.id = tokens.request_id
		WHERE tokens.blocked_at <> 0 AND NOT EXISTS (SELECT 1 FROM audit_entries
			WHERE audit_entries.subject = requests.provider || '/' || requests.external_id
			AND (audit_entries.deed IN ('token.blocked', 'token.block_foreseen') OR audit_entries.detail LIKE '%"blocked":%')
			AND audit_entries.detail LIKE '%' || tokens.id || '%')`},
}

// Check looks for what must never be. It changes nothing and may run beside a
// working program.
func (s *Store) Check(ctx context.Context) ([]Violation, error) {
	var broken []Violation
	for _, i := range invariants() {
		offenders, err := s.column(ctx, i.text)
		if err != nil {
			return nil, fmt.Errorf("check %q: %w", i.name, err)
		}
		for _, o := range offenders {
			broken = append(broken, Violation{Invariant: i.name, Offender: o})
		}
	}
	_, err := s.Grant().VerifyJournal(ctx, func(b grant.Break) {
		broken = append(broken, Violation{
			Invariant: "the journal was not altered", Offender: fmt.Sprintf("%s at %d (%s): %s", b.Chain, b.N, b.Delivery, b.Problem),
		})
	}, nil)
	return broken, err
}

// column reads one column of text.
func (s *Store) column(ctx context.Context, text string) (out []string, err error) {
	rows, err := s.read.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Columns lists every table and column as table.column, so that two databases
// can be compared.
func (s *Store) Columns(ctx context.Context) ([]string, error) {
	if s.engine == PostgreSQL {
		return s.column(ctx, `SELECT table_name || '.' || column_name FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name <> 'goose_db_version' ORDER BY table_name COLLATE "C", column_name COLLATE "C"`)
	}
	return s.column(ctx, `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version' ORDER BY m.name, c.name`)
}
