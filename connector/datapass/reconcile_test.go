package datapass_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/connector/datapass"
	"guichet/grant"
	simdatapass "guichet/sim/datapass"
	"guichet/store"
	"guichet/store/storetest"
)

const secret = guichet.Secret("k")

// A scene is the two sides with real HTTP between them: DataPass sends to a desk
// on a real database, and the reconciler asks DataPass.
type scene struct {
	t    testing.TB
	db   *storetest.DB
	desk *grant.Desk
	site *simdatapass.Site
	api  *datapass.Client
	r    *grant.Reconciler
}

var operator = guichet.Actor{Kind: guichet.ByPerson, Name: "nora@guichet.test"}

func newScene(t testing.TB, db *storetest.DB) *scene { return newSceneOf(t, db, "v2") }

func newSceneOf(t testing.TB, db *storetest.DB, format string) *scene {
	s := &scene{t: t, db: db}
	clock := db.Clock.Clock()
	s.desk = &grant.Desk{
		Store: db.Grant(), Clock: clock, URL: "http://guichet.test", PurgeAfter: 240 * time.Hour, PurgeRefusedAfter: -1,
		Providers: map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise"}, "api_particulier": {Name: "api_particulier"}},
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.TrimSuffix(r.URL.Path, "/webhook"), "/") // /api/datapass[/v2]/{provider}
		format := map[bool]grant.Format{true: grant.V2, false: grant.V1}[parts[3] == "v2"]
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		answer, err := s.desk.Receive(context.WithoutCancel(r.Context()), parts[len(parts)-1], format, body)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintf(w, `{"token_id":%q}`, answer.TokenID)
	}))
	t.Cleanup(receiver.Close)
	s.site = simdatapass.New(simdatapass.Options{
		Clock: clock, Receiver: receiver.URL, ClientID: "guichet", ClientSecret: "s3cret",
		Providers: []simdatapass.Provider{{Name: "api_entreprise", Format: format, Secrets: []guichet.Secret{secret}}, {Name: "api_particulier", Secrets: []guichet.Secret{secret}}},
	})
	web := httptest.NewServer(s.site)
	t.Cleanup(web.Close)
	s.api = &datapass.Client{
		URL: web.URL + "/api/v1", ClientID: "guichet", Secret: "s3cret", Definition: "api_entreprise", Webhook: "api_entreprise", Clock: clock, PageSize: 4,
		Wait: func(context.Context, time.Duration) error { return nil },
	}
	s.r = &grant.Reconciler{Desk: s.desk, Store: db.Drifts(), Sources: map[string]grant.Source{"api_entreprise": s.api}, Settle: map[string]time.Duration{"api_entreprise": 5 * time.Minute}}
	create(t, s.site, "api_particulier") // the list has another provider's too
	s.create("submit")                   // we listen from here on
	return s
}

func (s *scene) create(events ...string) string {
	s.t.Helper()
	n, err := s.site.Create(simdatapass.Draft{Provider: "api_entreprise", Title: "Aides"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.site.Step(s.t.Context())
	s.do(fmt.Sprint(n), events...)
	return fmt.Sprint(n)
}

// do makes events happen; "-revoke" happens and its delivery is lost.
func (s *scene) do(number string, events ...string) {
	s.t.Helper()
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		s.db.Clock.Advance(10 * time.Minute)
		name, lost := strings.CutPrefix(e, "-")
		if lost {
			if err := s.site.Fault(simdatapass.FaultDrop, 2); err != nil {
				s.t.Fatal(err)
			}
		}
		if err := s.site.Do(n, name); err != nil {
			s.t.Fatal(err)
		}
		s.site.Step(s.t.Context())
		if err := s.site.Fault(simdatapass.FaultDrop, 0); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *scene) run() grant.Run {
	s.t.Helper()
	s.db.Clock.Advance(10 * time.Minute) // everything has settled
	run, err := s.r.Run(s.t.Context(), "api_entreprise", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return run
}

func (s *scene) drifts(state grant.DriftState) []grant.Drift {
	s.t.Helper()
	all, err := s.db.Drifts().Drifts(s.t.Context(), grant.DriftFilter{State: state})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

func (s *scene) alerts(kind grant.AlertKind) int {
	s.t.Helper()
	all, err := s.db.Store.Alerts().List(s.t.Context(), guichet.AlertFilter{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, a := range all {
		if a.Kind == string(kind) {
			n++
		}
	}
	return n
}

func (s *scene) live(number string) int {
	s.t.Helper()
	r, err := s.desk.Store.Request(s.t.Context(), "api_entreprise", number)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(r.Live())
}

// A revocation that never came: found once, told once, repaired by a person and by
// nobody else.
func TestLostRevocation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := newScene(t, db)
		number := s.create("submit", "approve")
		if run := s.run(); run.State != grant.RunDone || run.Read != 2 || len(s.drifts(grant.DriftOpen)) != 0 {
			t.Fatalf("%+v %+v", run, s.drifts(grant.DriftOpen))
		}
		s.do(number, "-revoke")
		for range 3 {
			s.run()
		}
		open := s.drifts(grant.DriftOpen)
		if len(open) != 1 || open[0].Kind != grant.DriftTokenAlive || open[0].Repair != grant.RepairReplay || open[0].Tokens != 1 || s.alerts(grant.AlertDrift) != 1 {
			t.Fatalf("%+v, %d alerts", open, s.alerts(grant.AlertDrift))
		}
		if s.live(number) != 1 {
			t.Fatal("a reconciliation blocked a token by itself")
		}
		done, err := s.r.Repair(t.Context(), operator, open[0].ID, "")
		if err != nil || done.State != grant.DriftRepaired || done.ClosedBy != operator.Name || s.live(number) != 0 {
			t.Fatalf("%+v %v, %d live", done, err, s.live(number))
		}
		if _, err := s.r.Repair(t.Context(), operator, open[0].ID, ""); !errors.Is(err, grant.ErrDriftSettled) {
			t.Errorf("repaired twice: %v", err)
		}
		s.run()
		if left := s.drifts(grant.DriftOpen); len(left) != 0 {
			t.Errorf("%+v", left)
		}
		journal, err := db.Grant().Deliveries(t.Context(), grant.DeliveryFilter{Provider: "api_entreprise", ExternalID: number, Limit: 1})
		if err != nil || journal[0].Format != grant.SourceAPI || journal[0].Actor != operator || journal[0].Blocked != 1 {
			t.Errorf("the journal says who: %+v %v", journal, err)
		}
	})
}

// Each way in which the two sides can disagree, and what is proposed about it.
func TestKindsOfDrift(t *testing.T) {
	for name, c := range map[string]struct {
		history []string
		also    func(s *scene, number string)
		want    string
		after   string // what is left once everything proposed was done
	}{
		"nothing":                     {history: []string{"submit", "approve", "reopen", "submit", "refuse"}},
		"nothing after all that":      {history: []string{"submit", "request_changes", "update", "submit", "approve", "reopen", "cancel_reopening", "transfer", "revoke", "archive"}},
		"missed approval":             {history: []string{"submit", "-approve"}, want: "missed_event approve replay"},
		"missed second approval":      {history: []string{"submit", "approve", "reopen", "submit", "-approve"}, want: "missed_event approve replay"},
		"approval missed, and over":   {history: []string{"submit", "-approve", "revoke"}},
		"both missed":                 {history: []string{"submit", "-approve", "-revoke"}, want: "missed_event revoke replay"},
		"missed submission":           {history: []string{"-submit"}, want: "missed_event submit replay"},
		"missed refusal":              {history: []string{"submit", "-refuse"}, want: "missed_event refuse replay"},
		"missed archive":              {history: []string{"-archive"}, want: "missed_event archive replay"},
		"missed revoke and archive":   {history: []string{"submit", "approve", "-revoke", "-archive"}, want: "token_alive revoke replay, missed_event archive replay"},
		"missed transfer":             {history: []string{"submit", "approve", "-transfer"}, want: "missed_event transfer replay"},
		"revoked while reopened":      {history: []string{"submit", "approve", "reopen", "-revoke"}, want: "token_alive revoke replay"},
		"what came later says it too": {history: []string{"-submit", "approve"}},
		"revoked here by hand": {history: []string{"submit", "approve"}, also: func(s *scene, number string) {
			if _, err := s.desk.Revoke(s.t.Context(), operator, "api_entreprise", number, "doute"); err != nil {
				s.t.Fatal(err)
			}
		}, want: "status_differs", after: "status_differs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, storetest.New(t, store.SQLite))
			number := s.create(c.history...)
			if c.also != nil {
				c.also(s, number)
			}
			for range 2 { // and it stays, also when no attempt names the request any more
				s.db.Clock.Advance(48 * time.Hour)
				s.run()
				if got := told(s.drifts(grant.DriftOpen)); got != c.want || len(s.drifts(grant.DriftGone)) != 0 {
					t.Errorf("%q, want %q; gone: %q", got, c.want, told(s.drifts(grant.DriftGone)))
				}
			}
			s.repairAll()
			s.run()
			if got := told(s.drifts(grant.DriftOpen)); got != c.after {
				t.Errorf("after the repairs: %q, want %q", got, c.after)
			}
		})
	}
}

func told(drifts []grant.Drift) string {
	var all []string
	for _, d := range drifts {
		all = append(all, strings.TrimSpace(strings.Join([]string{string(d.Kind), string(d.Event), string(d.Repair)}, " ")))
	}
	return strings.TrimSpace(strings.Join(all, ", "))
}

func (s *scene) repairAll() {
	s.t.Helper()
	for _, d := range s.drifts(grant.DriftOpen) {
		if d.Repair == grant.RepairNone {
			continue
		}
		if _, err := s.r.Repair(s.t.Context(), operator, d.ID, ""); err != nil && !errors.Is(err, grant.ErrDriftSettled) {
			s.t.Fatalf("%s: %v", told([]grant.Drift{d}), err)
		}
	}
}

// A request that was created and approved while nothing reached us.
func TestUnknownRequest(t *testing.T) {
	s := newScene(t, storetest.New(t, store.SQLite))
	if err := s.site.Fault(simdatapass.FaultDrop, 3); err != nil {
		t.Fatal(err)
	}
	s.db.Clock.Advance(time.Hour)
	number := s.create("submit", "-approve")
	s.run()
	if got := told(s.drifts(grant.DriftOpen)); got != "unknown_request approve replay" {
		t.Fatal(got)
	}
	s.repairAll()
	r, err := s.desk.Store.Request(t.Context(), "api_entreprise", number)
	if err != nil || r.Status != grant.Validated || len(r.Live()) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if c, ok := r.Contact(grant.Applicant); !ok || c.Email != "claire.morel@exemple.test" {
		t.Errorf("the applicant is whoever wrote it there: %+v", r.Contacts)
	}
}

// What is on its way is no drift yet.
func TestSettling(t *testing.T) {
	s := newScene(t, storetest.New(t, store.SQLite))
	number := s.create("submit", "approve")
	s.do(number, "-revoke")
	if _, err := s.r.Run(t.Context(), "api_entreprise", nil); err != nil || len(s.drifts(grant.DriftOpen)) != 0 {
		t.Errorf("%v %+v", err, s.drifts(grant.DriftOpen))
	}
	s.db.Clock.Advance(6 * time.Minute)
	s.run()
	if len(s.drifts(grant.DriftOpen)) != 1 {
		t.Errorf("%+v", s.drifts(grant.DriftOpen))
	}
	// The delivery comes after all (somebody replayed it there): the drift is gone
	// by itself.
	if err := s.site.Replay(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	s.run()
	if len(s.drifts(grant.DriftOpen)) != 0 || len(s.drifts(grant.DriftGone)) != 1 || s.live(number) != 0 {
		t.Errorf("%+v %d", s.drifts(grant.DriftGone), s.live(number))
	}
}

// A source that fails makes no drift, closes none, and after days an alert.
func TestSourceFails(t *testing.T) {
	s := newScene(t, storetest.New(t, store.SQLite))
	var numbers []string
	for range 14 {
		numbers = append(numbers, s.create("submit", "approve"))
	}
	s.do(numbers[0], "-revoke")
	s.run()
	for fault, want := range map[string]string{
		simdatapass.FaultAPIDown: "source_unreachable", simdatapass.FaultAPIGarbage: "source_unreadable", simdatapass.FaultAPILimit: "source_rate_limited",
		simdatapass.FaultAPIExpired: "source_refuses", simdatapass.FaultAPIEmpty: "source_implausible",
	} {
		if err := s.site.Fault(fault, 1000); err != nil {
			t.Fatal(err)
		}
		s.db.Clock.Advance(10 * time.Minute)
		run, err := s.r.Run(t.Context(), "api_entreprise", nil)
		if guichet.CodeOf(err) != want || run.State != grant.RunFailed || run.Failure != want {
			t.Errorf("%s: %+v %v", fault, run, err)
		}
		if open := s.drifts(grant.DriftOpen); len(open) != 1 || len(s.drifts(grant.DriftGone)) != 0 {
			t.Errorf("%s: %+v", fault, open)
		}
		_ = s.site.Fault(fault, 0)
	}
	if s.alerts(grant.AlertReconcileOut) != 0 {
		t.Error("an alert after minutes")
	}
	_ = s.site.Fault(simdatapass.FaultAPIDown, 1000)
	for range 5 {
		s.db.Clock.Advance(24 * time.Hour)
		_, _ = s.r.Run(t.Context(), "api_entreprise", nil)
	}
	if n := s.alerts(grant.AlertReconcileOut); n != 1 {
		t.Errorf("%d alerts after five days", n)
	}
	_ = s.site.Fault(simdatapass.FaultAPIDown, 0)
	if run := s.run(); run.State != grant.RunDone {
		t.Errorf("%+v", run)
	}
}

// A run that is killed goes on where it stopped; meanwhile nobody else begins one.
func TestRunGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := newScene(t, db)
		for range 9 {
			s.create("submit", "approve")
		}
		s.do("50004", "-revoke")
		s.do("50010", "-revoke")
		db.Clock.Advance(10 * time.Minute)
		dying, kill := context.WithCancel(t.Context())
		first, err := s.r.Run(dying, "api_entreprise", func(r grant.Run) {
			if r.Offset == 8 {
				kill() // after two pages
			}
		})
		if !errors.Is(err, context.Canceled) || first.Read == 0 || first.Listed {
			t.Fatalf("%+v %v", first, err)
		}
		if _, err := s.r.Run(t.Context(), "api_entreprise", nil); !errors.Is(err, grant.ErrRunning) {
			t.Fatalf("two at once: %v", err)
		}
		db.Clock.Advance(2 * time.Minute)
		offsets := []int{}
		second, err := s.r.Run(t.Context(), "api_entreprise", func(r grant.Run) { offsets = append(offsets, r.Offset) })
		if err != nil || second.ID != first.ID || second.State != grant.RunDone || second.Read != 10 || offsets[0] == 4 {
			t.Errorf("%+v %v %v", second, offsets, err)
		}
		if len(s.drifts(grant.DriftOpen)) != 2 || s.alerts(grant.AlertDrift) != 2 {
			t.Errorf("%+v", s.drifts(grant.DriftOpen))
		}
	})
}

// What fails to commit leaves nothing, and what commits and is not told of is
// found again: the run ends the same.
func TestCommitOfAPageFails(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := newScene(t, db)
		number := s.create("submit", "approve")
		s.do(number, "-revoke")
		for i, stored := range []bool{false, true} {
			db.Clock.Advance(10 * time.Minute)
			var run grant.Run
			var err error
			run, err = s.r.Run(t.Context(), "api_entreprise", func(grant.Run) {
				if i >= 0 {
					db.FailCommit(stored)
					i = -1
				}
			})
			if err == nil {
				t.Fatalf("%+v: the commit did not fail", run)
			}
		}
		s.run()
		if len(s.drifts(grant.DriftOpen)) != 1 || s.alerts(grant.AlertDrift) != 1 {
			t.Errorf("%+v", s.drifts(grant.DriftOpen))
		}
	})
}

// What somebody wants so stays so, as long as it is the same.
func TestDismissed(t *testing.T) {
	s := newScene(t, storetest.New(t, store.SQLite))
	number := s.create("submit", "approve")
	s.do(number, "-revoke")
	s.run()
	id := s.drifts(grant.DriftOpen)[0].ID
	if _, err := s.r.Dismiss(t.Context(), operator, id, "  "); !errors.Is(err, grant.ErrNeedsReason) {
		t.Errorf("%v", err)
	}
	if _, err := s.r.Dismiss(t.Context(), operator, id, "erreur de saisie là-bas"); err != nil {
		t.Fatal(err)
	}
	s.run()
	if len(s.drifts(grant.DriftOpen)) != 0 || len(s.drifts(grant.DriftDismissed)) != 1 || s.alerts(grant.AlertDrift) != 1 || s.live(number) != 1 {
		t.Errorf("%+v", s.drifts(grant.DriftOpen))
	}
	if _, err := s.r.Repair(t.Context(), operator, id, ""); !errors.Is(err, grant.ErrDriftSettled) {
		t.Errorf("%v", err)
	}
}

// Many drifts are one alert for each up to a number, and one for the rest.
func TestManyDrifts(t *testing.T) {
	s := newScene(t, storetest.New(t, store.SQLite))
	for range 30 {
		s.create("submit", "approve", "-revoke")
	}
	s.run()
	if len(s.drifts(grant.DriftOpen)) != 30 || s.alerts(grant.AlertDrift) != 25 || s.alerts(grant.AlertDrifts) != 1 {
		t.Errorf("%d drifts, %d alerts and %d", len(s.drifts(grant.DriftOpen)), s.alerts(grant.AlertDrift), s.alerts(grant.AlertDrifts))
	}
}
