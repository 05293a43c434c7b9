package grant

import (
	"context"
	"errors"
	"slices"
	"time"

	"guichet"
)

// A Run is one reading of a source, from the first page to the last. It is a row:
// a run that was killed, or that the source left in the middle, goes on where it
// stopped.
type Run struct {
	ID        guichet.ID
	Provider  string
	State     RunState
	Worker    guichet.ID // who runs it; another one may take over when it is silent
	StartedAt time.Time
	BeatAt    time.Time // the last sign of life
	EndedAt   time.Time
	Offset    int  // of the next page
	Listed    bool // the list was read to its end
	Read      int  // requests read
	Opened    int  // drifts it found first
	Failure   string
	DoneAt    time.Time // when a run of this provider was last complete
	Version   int64
}

// A RunState is how far a run came.
type RunState string

// The states of a run.
const (
	RunRunning RunState = "running" // ends in done or failed; whoever comes after a silence goes on
	RunDone    RunState = "done"
	RunFailed  RunState = "failed" // the source failed us; the next one goes on from here
)

// The alerts of a reconciliation.
const (
	AlertDrift        AlertKind = "drift"
	AlertDrifts       AlertKind = "drifts"          // many in one run: one alert for the rest
	AlertReconcileOut AlertKind = "reconcile_fails" // nothing complete for days
)

// Errors of reconciliation.
var (
	ErrNoSource      = &guichet.Error{Kind: guichet.Conflict, Code: "no_source", Reason: "Nothing is configured to read this provider's source."}
	ErrRunning       = &guichet.Error{Kind: guichet.Conflict, Code: "reconcile_running", Reason: "A reconciliation of this provider runs already."}
	ErrNoDrift       = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_drift", Reason: "No drift has this identifier."}
	ErrDriftSettled  = &guichet.Error{Kind: guichet.Conflict, Code: "drift_settled", Reason: "This drift was settled already, or went away by itself."}
	ErrNothingToDo   = &guichet.Error{Kind: guichet.Conflict, Code: "no_repair", Reason: "Guichet has no repair to propose. Look at the request, here and at its source."}
	ErrNotRepaired   = &guichet.Error{Kind: guichet.Conflict, Code: "not_repaired", Reason: "The rules did not apply the missed event. Look at the journal of the request."}
	errRunTakenOver  = &guichet.Error{Kind: guichet.Conflict, Code: "reconcile_taken_over", Reason: "Another process goes on with this reconciliation."}
	quietAfter       = time.Minute    // a run without a sign of life may be taken over
	resumableFor     = 12 * time.Hour // a run that failed longer ago begins again
	alertsOfOneRun   = 25
	fewMissing       = 10 // as many may lack from a list before it is implausible, or a tenth
	alertWithoutRun  = 3 * 24 * time.Hour
	unseenAtOnce     = 200
	deliveriesLooked = 1000
)

// A DriftFilter narrows a list of drifts; zero fields do not.
type DriftFilter struct {
	Provider string
	State    DriftState
	Before   guichet.ID // the last of the page before
	Limit    int
}

// A DriftStore keeps runs and drifts. Update is the only way to change anything,
// as in [Store].
type DriftStore interface {
	Update(ctx context.Context, fn func(DriftTx) error) error
	// Runs gives the newest run of each provider.
	Runs(ctx context.Context) ([]Run, error)
	Drifts(ctx context.Context, f DriftFilter) ([]Drift, error)
	Drift(ctx context.Context, id guichet.ID) (Drift, error)
	// Unseen lists numbers of requests that have tokens or open drifts and that the
	// run has not seen, after one, in order; and counts: of those with tokens that
	// work, how many there are and how many the run has not seen.
	Unseen(ctx context.Context, r Run, after string, limit int) (externalIDs []string, err error)
	CountUnseen(ctx context.Context, r Run) (unseen, all int, err error)
	// Since is when the first delivery of the provider came; zero: none did.
	Since(ctx context.Context, provider string) (time.Time, error)
}

// A DriftTx is what a verb can do about drifts inside one transaction.
type DriftTx interface {
	guichet.Outbox
	// NewestRun takes the provider's run for itself until the end of the
	// transaction; one without identifier: there was none.
	NewestRun(provider string) (Run, error)
	// SaveRun and SaveDrift write the row of that version and no other. A drift
	// whose version is 0 is a new row.
	SaveRun(r *Run) error
	SaveDrift(d *Drift) error
	// Drifts lists those of a request that are open or dismissed.
	Drifts(provider, externalID string) ([]Drift, error)
	// See notes that a run has looked at requests.
	See(r Run, externalIDs []string) error
}

// A Reconciler compares what we hold with what sources tell. It blocks nothing and
// unblocks nothing: it notes drifts, and carries out the repair that a person
// chose.
type Reconciler struct {
	Desk    *Desk
	Store   DriftStore
	Sources map[string]Source
	Settle  map[string]time.Duration // how long a delivery may be on its way
}

// Providers lists those whose source can be asked, in order.
func (r *Reconciler) Providers() []string {
	var all []string
	for name := range r.Sources {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Run reads the source of one provider, or goes on where a reading stopped, and
// tells of each page. What it returns is also what it left in the database, also
// with an error.
func (r *Reconciler) Run(ctx context.Context, provider string, tell func(Run)) (Run, error) {
	source, ok := r.Sources[provider]
	if !ok {
		return Run{}, ErrNoSource
	}
	run, err := r.begin(ctx, provider)
	if err != nil {
		return run, err
	}
	if tell == nil {
		tell = func(Run) {}
	}
	if err := r.read(ctx, source, &run, tell); err != nil {
		if errors.Is(err, errRunTakenOver) || ctx.Err() != nil {
			return run, err // we were stopped: the row tells where to go on
		}
		return run, errors.Join(err, r.fail(context.WithoutCancel(ctx), &run, err))
	}
	return run, nil
}

// begin takes the newest run of the provider over when it stopped in the middle,
// or makes another.
func (r *Reconciler) begin(ctx context.Context, provider string) (run Run, err error) {
	worker := r.Desk.Clock.NewID()
	err = r.Store.Update(ctx, func(tx DriftTx) error {
		now := r.Desk.Clock.Now()
		newest, err := tx.NewestRun(provider)
		if err != nil {
			return err
		}
		if newest.State == RunRunning && now.Sub(newest.BeatAt) < quietAfter {
			return ErrRunning
		}
		run = newest
		if newest.ID == "" || newest.State == RunDone || now.Sub(newest.StartedAt) > resumableFor {
			run = Run{ID: r.Desk.Clock.NewID(), Provider: provider, StartedAt: now, DoneAt: newest.DoneAt, Version: newest.Version}
		}
		run.State, run.Worker, run.BeatAt, run.Failure = RunRunning, worker, now, ""
		return tx.SaveRun(&run)
	})
	return run, err
}

// save writes progress, unless somebody else goes on with the run by now.
func (r *Reconciler) save(ctx context.Context, run *Run, more func(tx DriftTx, run *Run) error) error {
	var next Run
	err := r.Store.Update(ctx, func(tx DriftTx) error {
		next = *run
		newest, err := tx.NewestRun(run.Provider)
		if err != nil {
			return err
		}
		if newest.ID != run.ID || newest.Worker != run.Worker || newest.State != RunRunning {
			return errRunTakenOver
		}
		next.Version, next.BeatAt = newest.Version, r.Desk.Clock.Now()
		if err := more(tx, &next); err != nil {
			return err
		}
		return tx.SaveRun(&next)
	})
	if err == nil {
		*run = next
	}
	return err
}

func (r *Reconciler) fail(ctx context.Context, run *Run, cause error) error {
	return r.save(ctx, run, func(tx DriftTx, run *Run) error {
		run.State, run.EndedAt, run.Failure = RunFailed, r.Desk.Clock.Now(), guichet.CodeOf(cause)
		if errors.Is(cause, ErrImplausible) { // the list is read again from its beginning
			run.Offset, run.Listed, run.Read = 0, false, 0
		}
		last := run.DoneAt
		if last.IsZero() {
			last = run.StartedAt
		}
		if run.EndedAt.Sub(last) < alertWithoutRun {
			return nil
		}
		return tx.Alert(guichet.Alert{
			ID: r.Desk.Clock.NewID(), Kind: string(AlertReconcileOut), Subject: run.Provider + "/", OpenedAt: run.EndedAt,
			Once: "reconcile_fails/" + run.Provider + "/" + last.UTC().Format(time.DateOnly), Detail: jsonOf(map[string]string{"problem": run.Failure, "since": last.Format(time.RFC3339)}),
		})
	})
}

// read goes through the list, then looks after what the list lacks. Each page and
// each closer look is a transaction with the progress it makes: if we die
// anywhere, what was noted is true and the rest is read again.
func (r *Reconciler) read(ctx context.Context, source Source, run *Run, tell func(Run)) error {
	since := run.DoneAt
	if since.IsZero() {
		since = run.StartedAt.AddDate(0, 0, -2)
	}
	named, err := source.Attempts(ctx, since.Add(-time.Hour))
	if err != nil {
		return err
	}
	revoked, err := source.Revoked(ctx)
	if err != nil {
		return err
	}
	for !run.Listed {
		page, next, err := source.List(ctx, run.Offset)
		if err != nil {
			return err
		}
		if err := r.page(ctx, source, run, page, next, named, revoked); err != nil {
			return err
		}
		tell(*run)
	}
	if err := r.plausible(ctx, *run); err != nil {
		return err
	}
	for after := ""; ; {
		unseen, err := r.Store.Unseen(ctx, *run, after, unseenAtOnce)
		if err != nil {
			return err
		}
		for _, number := range unseen {
			found, err := r.examine(ctx, source, run.Provider, number, revoked)
			if err != nil {
				return err
			}
			if err := r.note(ctx, run, map[string][]Finding{number: found}, nil); err != nil {
				return err
			}
			after = number
		}
		tell(*run)
		if len(unseen) < unseenAtOnce {
			return r.end(ctx, run)
		}
	}
}

// page compares one page of the list, and looks closer where something is odd.
func (r *Reconciler) page(ctx context.Context, source Source, run *Run, page []SourceRequest, next int, named, revoked []string) error {
	t, err := r.terms(ctx, run.Provider, revoked)
	if err != nil {
		return err
	}
	standing, err := r.standing(ctx, run.Provider)
	if err != nil {
		return err
	}
	found := map[string][]Finding{}
	for _, theirs := range page {
		ours, err := r.ours(ctx, run.Provider, theirs.ExternalID)
		if err != nil {
			return err
		}
		found[theirs.ExternalID] = nil
		if !Suspicious(ours, theirs, t) && !standing[theirs.ExternalID] && !slices.Contains(named, theirs.ExternalID) {
			continue
		}
		if found[theirs.ExternalID], err = r.examine(ctx, source, run.Provider, theirs.ExternalID, revoked); err != nil {
			return err
		}
	}
	return r.note(ctx, run, found, func(run *Run) { run.Offset, run.Listed, run.Read = next, next == 0, run.Read+len(page) })
}

// standing are the requests with a drift that is open or dismissed: only a closer
// look may say that it is gone.
func (r *Reconciler) standing(ctx context.Context, provider string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, state := range []DriftState{DriftOpen, DriftDismissed} {
		f := DriftFilter{Provider: provider, State: state, Limit: deliveriesLooked}
		for {
			drifts, err := r.Store.Drifts(ctx, f)
			if err != nil {
				return nil, err
			}
			for _, d := range drifts {
				all[d.ExternalID], f.Before = true, d.ID
			}
			if len(drifts) < f.Limit {
				break
			}
		}
	}
	return all, nil
}

// plausible refuses to conclude from a list that lacks what it cannot lack: a
// source that answers nothing has not lost ten thousand requests.
func (r *Reconciler) plausible(ctx context.Context, run Run) error {
	unseen, all, err := r.Store.CountUnseen(ctx, run)
	if err != nil {
		return err
	}
	if unseen > max(fewMissing, all/10) || all > 0 && run.Read == 0 {
		return ErrImplausible
	}
	return nil
}

func (r *Reconciler) terms(ctx context.Context, provider string, revoked []string) (DriftTerms, error) {
	since, err := r.Store.Since(ctx, provider)
	if err != nil {
		return DriftTerms{}, err
	}
	now := r.Desk.Clock.Now()
	if since.IsZero() {
		since = now // nothing ever came: nothing was missed
	}
	return DriftTerms{Terms: r.Desk.terms(provider, now), Provider: provider, Since: since.Add(-slack), Settle: r.Settle[provider], Revoked: revoked}, nil
}

// ours is a request as we hold it; one without identifier when we do not.
func (r *Reconciler) ours(ctx context.Context, provider, number string) (Request, error) {
	ours, err := r.Desk.Store.Request(ctx, provider, number)
	if guichet.CodeOf(err) == ErrNoRequest.Code {
		return Request{Provider: provider, ExternalID: number}, nil
	}
	return ours, err
}

// examine asks the source for everything about one request. Theirs is read before
// ours, so that a delivery that comes meanwhile makes no drift.
func (r *Reconciler) examine(ctx context.Context, source Source, provider, number string, revoked []string) ([]Finding, error) {
	found, _, _, err := r.compare(ctx, source, provider, number, revoked)
	return found, err
}

func (r *Reconciler) compare(ctx context.Context, source Source, provider, number string, revoked []string) (found []Finding, theirs SourceRequest, events []SourceEvent, err error) {
	theirs, err = source.Get(ctx, number)
	absent := guichet.CodeOf(err) == ErrNotAtSource.Code
	if err != nil && !absent {
		return nil, theirs, nil, err
	}
	if !absent {
		if events, err = source.Events(ctx, number); err != nil {
			return nil, theirs, nil, err
		}
	}
	ours, err := r.ours(ctx, provider, number)
	if err != nil {
		return nil, theirs, nil, err
	}
	if absent {
		if live := len(ours.Live()); live > 0 && ours.DeletedAtSource.IsZero() { // a deletion that was told of has its own alert
			found = []Finding{{Kind: DriftGoneAtSource, What: "gone", Ours: ours.Status, Tokens: live}}
		}
		return found, theirs, nil, nil
	}
	journal, err := r.Desk.Store.Deliveries(ctx, DeliveryFilter{Provider: provider, ExternalID: number, Limit: deliveriesLooked})
	if err != nil {
		return nil, theirs, nil, err
	}
	t, err := r.terms(ctx, provider, revoked)
	if err != nil {
		return nil, theirs, nil, err
	}
	return ripe(ours, journal, theirs, events, t), theirs, events, nil
}

// ripe is every disagreement of this moment, with those that may settle by
// themselves marked: they open no drift, and close none that stands.
func ripe(ours Request, journal []Delivery, theirs SourceRequest, events []SourceEvent, t DriftTerms) []Finding {
	settled := Compare(ours, journal, theirs, events, t)
	t.Settle = 0
	found := Compare(ours, journal, theirs, events, t)
	for i, f := range found {
		found[i].young = !slices.ContainsFunc(settled, func(s Finding) bool { return s.Kind == f.Kind && s.What == f.What })
	}
	return found
}

// note writes what was found about some requests together with the progress of the
// run: what is new is opened, what is not found any more is over.
func (r *Reconciler) note(ctx context.Context, run *Run, found map[string][]Finding, progress func(*Run)) error {
	return r.save(ctx, run, func(tx DriftTx, run *Run) error {
		numbers := make([]string, 0, len(found))
		for number := range found {
			numbers = append(numbers, number)
		}
		slices.Sort(numbers) // two runs lock in the same order
		if progress != nil {
			progress(run)
		}
		for _, number := range numbers {
			if err := r.settle(tx, run, run.Provider, number, found[number]); err != nil {
				return err
			}
		}
		return tx.See(*run, numbers)
	})
}

// settle makes the drifts of one request those that were found.
func (r *Reconciler) settle(tx DriftTx, run *Run, provider, number string, found []Finding) error {
	known, err := tx.Drifts(provider, number)
	if err != nil {
		return err
	}
	now := r.Desk.Clock.Now()
	for _, f := range found {
		i := slices.IndexFunc(known, func(d Drift) bool { return d.same(f) })
		if i >= 0 {
			d := known[i]
			known = slices.Delete(known, i, i+1)
			d.Finding, d.SeenAt = f, now
			if err := tx.SaveDrift(&d); err != nil {
				return err
			}
			continue
		}
		if f.young {
			continue
		}
		d := Drift{ID: r.Desk.Clock.NewID(), Provider: provider, ExternalID: number, Finding: f, State: DriftOpen, OpenedAt: now, SeenAt: now}
		if run != nil {
			run.Opened++
			d.Alerted = run.Opened <= alertsOfOneRun
		}
		if err := tx.SaveDrift(&d); err != nil {
			return err
		}
		if !d.Alerted {
			continue
		}
		if err := r.raise(tx, AlertDrift, d.Subject(), "drift/"+d.ID.String(), map[string]string{"drift": d.ID.String(), "problem": string(f.Kind)}); err != nil {
			return err
		}
	}
	for _, d := range known {
		d.State, d.ClosedAt = DriftGone, now
		if err := tx.SaveDrift(&d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) raise(tx DriftTx, kind AlertKind, subject, once string, detail map[string]string) error {
	return tx.Alert(guichet.Alert{ID: r.Desk.Clock.NewID(), Kind: string(kind), Subject: subject, Once: once, Detail: jsonOf(detail), OpenedAt: r.Desk.Clock.Now()})
}

func (r *Reconciler) end(ctx context.Context, run *Run) error {
	return r.save(ctx, run, func(tx DriftTx, run *Run) error {
		run.State, run.EndedAt = RunDone, r.Desk.Clock.Now()
		run.DoneAt = run.StartedAt
		if run.Opened <= alertsOfOneRun {
			return nil
		}
		return r.raise(tx, AlertDrifts, run.Provider+"/", "drifts/"+run.ID.String(), map[string]string{"run": run.ID.String()})
	})
}
