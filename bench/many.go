package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store"
	"guichet/store/storetest"
)

const manyOperations = 100_000

// many measures the landing of a fetch of a hundred thousand operations: from the
// moment the connector has said its last word until all of it is committed. The
// reference inserts the same rows alone, in one transaction, into the same table.
func (b bench) many() error {
	postgres, err := storetest.Postgres("")
	if err != nil {
		return err
	}
	fmt.Printf("A fetch of %d operations, in one transaction\n", manyOperations)
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		var ours, alone, others []time.Duration
		for round := range max(b.rounds/2, 2) {
			source, folder := fmt.Sprintf(postgres, fmt.Sprintf("many_%d", round)), ""
			if engine == store.SQLite {
				if folder, err = os.MkdirTemp("", "guichet-bench-"); err != nil {
					return err
				}
				source = "sqlite:" + filepath.Join(folder, "guichet.db")
			} else if err := createDatabase(b.ctx, fmt.Sprintf(postgres, "postgres"), fmt.Sprintf("many_%d", round)); err != nil {
				return err
			}
			landed, other, err := b.land(source)
			if err == nil {
				ours, others = append(ours, landed), append(others, other)
				var took time.Duration
				took, err = insertAlone(b.ctx, source)
				alone = append(alone, took)
			}
			if folder != "" {
				err = errors.Join(err, os.RemoveAll(folder))
			}
			if err != nil {
				return err
			}
		}
		ratios := make([]float64, len(ours))
		for i := range ours {
			ratios[i] = float64(ours[i]) / float64(alone[i]) // of one round
		}
		for _, all := range [][]time.Duration{ours, alone, others} {
			slices.Sort(all)
		}
		slices.Sort(ratios)
		us, ref := ours[len(ours)/2], alone[len(alone)/2]
		fmt.Printf("  %-10s the same rows alone %6.2f s   landed %6.2f s   ratio %.2f [%.2f..%.2f] (at most 3)   another's commit meanwhile: at the most %.2f s\n",
			engine, ref.Seconds(), us.Seconds(), ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], others[len(others)-1].Seconds())
	}
	fmt.Println()
	return nil
}

func createDatabase(ctx context.Context, admin, name string) error {
	db, err := sql.Open("pgx", admin)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	return err
}

// A ledgerBank has one account with a hundred thousand operations. It says when
// it has said all.
type ledgerBank struct{ said chan time.Time }

func (*ledgerBank) Institutions(context.Context) ([]bank.Institution, error) {
	return []bank.Institution{{ID: "many", Name: "Many", Fields: []bank.Field{{ID: "login", Required: true}}}}, nil
}

func (l *ledgerBank) Run(_ context.Context, run bank.Run, sink bank.Sink) bank.Result {
	if run.Credentials["login"] != "many" {
		return bank.Result{Outcome: bank.Outcome{Kind: bank.OK}}
	}
	failed := bank.Result{Outcome: bank.Outcome{Kind: bank.ConnectorError, Reason: "bug"}}
	if err := sink.Account(ledger.Account{Ref: "a", Kind: ledger.Cash, Label: "Compte courant", Balance: ledger.Money{Minor: 1, Currency: "EUR"}}); err != nil {
		return failed
	}
	day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for n := 0; n < manyOperations; n += 500 {
		page := make([]ledger.Transaction, 500)
		for i := range page {
			on := ledger.DateOf(day.AddDate(0, 0, -(n+i)/40))
			page[i] = ledger.Transaction{
				Ref: fmt.Sprintf("OP%08d", n+i), Status: ledger.Booked, Type: "card", BookedOn: on, DoneOn: on, ValueOn: on,
				Amount: ledger.Money{Minor: -int64(n+i)%9000 - 1, Currency: "EUR"}, RawLabel: fmt.Sprintf("CB CARREFOUR CITY PARIS %d", n+i), Label: "Carrefour City",
			}
		}
		if err := sink.Transactions("a", page); err != nil {
			return failed
		}
	}
	l.said <- time.Now()
	return bank.Result{Outcome: bank.Outcome{Kind: bank.OK}, State: "session"}
}

// plain seals nothing: what it costs is not in the question.
type plain struct{}

func (plain) Seal(_, _, _ string, b []byte) ([]byte, error) {
	return append([]byte("seal "), b...), nil
}

func (plain) Open(_, _, _ string, b []byte) ([]byte, error) {
	return bytes.TrimPrefix(b, []byte("seal ")), nil
}

func (plain) Fingerprint(parts ...string) (string, error) {
	return hex.EncodeToString([]byte(strings.Join(parts, "/"))), nil
}

// land fetches once, and gives how long the landing took, and how long another
// person's small change waited at the most meanwhile.
func (b bench) land(source string) (landed, other time.Duration, err error) {
	clock := guichet.SystemClock()
	s, err := store.Open(b.ctx, source, store.Options{Clock: clock})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.Migrate(b.ctx); err != nil {
		return 0, 0, err
	}
	many := &ledgerBank{said: make(chan time.Time, 1)}
	desk := &bank.Desk{Store: s.Bank(), Clock: clock, Sealer: plain{}, Connectors: map[string]bank.Connector{"many": many}, Log: slog.New(slog.DiscardHandler)}
	defer func() { err = errors.Join(err, desk.Stop(b.ctx)) }()
	by := guichet.Actor{Kind: guichet.ByPerson, ID: clock.NewID(), Name: "bench"}
	c, _, err := desk.Open(b.ctx, by, bank.Opening{Institution: "many", Fields: map[string]guichet.Secret{"login": "many"}})
	if err != nil {
		return 0, 0, err
	}
	if err := desk.Perform(b.ctx, c.Attempt.ID); err != nil {
		return 0, 0, err
	}
	said := <-many.said
	// Someone else writes a little, again and again, until it has landed.
	over := make(chan struct{})
	slowest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			select {
			case <-over:
				slowest <- most
				return
			default:
			}
			began := time.Now()
			if _, err := s.SetOnce(b.ctx, "bench", []byte("x")); err != nil {
				b.wait(time.Millisecond)
			}
			most = max(most, time.Since(began))
			b.wait(20 * time.Millisecond)
		}
	}()
	c, err = desk.Wait(b.ctx, by, c.Attempt.ID, func(c bank.Case) bool { return !c.Attempt.State.Live() })
	landed = time.Since(said)
	close(over)
	other = <-slowest
	if err == nil && (c.Attempt.State != bank.AttemptSucceeded || c.Attempt.Counts.Added != manyOperations) {
		err = fmt.Errorf("it ended %s with %+v", c.Attempt.State, c.Attempt.Counts)
	}
	return landed, other, err
}

// insertAlone takes the rows out, and inserts them again and nothing else.
func insertAlone(ctx context.Context, source string) (time.Duration, error) {
	driver, empty := "pgx", "TRUNCATE transactions"
	if path, ok := strings.CutPrefix(source, "sqlite:"); ok {
		driver, source, empty = "sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate", "DELETE FROM transactions"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	const columns = "id, account_id, ref, status, type, amount, currency, original_amount, original_currency, raw_label, label, booked_on, done_on, value_on, seen_on, day"
	rows, err := db.QueryContext(ctx, "SELECT "+columns+" FROM transactions ORDER BY id")
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	const width, together = 16, 100
	var all [][]any
	for rows.Next() {
		one, to := make([]any, width), make([]any, width)
		for i := range one {
			to[i] = &one[i]
		}
		if err := rows.Scan(to...); err != nil {
			return 0, err
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	if _, err := db.ExecContext(ctx, empty); err != nil {
		return 0, err
	}
	var text strings.Builder
	text.WriteString("INSERT INTO transactions (" + columns + ") VALUES ")
	for i := range together {
		text.WriteString(strings.Repeat(", ", min(i, 1)) + "(")
		for j := range width {
			text.WriteString(strings.Repeat(", ", min(j, 1)))
			if driver == "sqlite" { // numbered ones are slow there
				text.WriteString("?")
			} else {
				fmt.Fprintf(&text, "$%d", i*width+j+1)
			}
		}
		text.WriteString(")")
	}
	began := time.Now()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	insert, err := tx.PrepareContext(ctx, text.String())
	if err != nil {
		return 0, errors.Join(err, tx.Rollback())
	}
	defer func() { _ = insert.Close() }()
	for chunk := range slices.Chunk(all, together) {
		if _, err := insert.ExecContext(ctx, slices.Concat(chunk...)...); err != nil {
			return 0, errors.Join(err, tx.Rollback())
		}
	}
	err = tx.Commit()
	return time.Since(began), err
}
