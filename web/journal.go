package web

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

func deliveryURL(id guichet.ID) string { return view.PathJournal + "/" + id.String() }

// journalFilter is what the address of the page asks for.
func (s *Server) journalFilter(v visit) grant.DeliveryFilter {
	q := v.r.URL.Query()
	f := grant.DeliveryFilter{
		Provider: q.Get("provider"), ExternalID: strings.TrimSpace(q.Get("number")), Effect: grant.Effect(q.Get("effect")), Open: q.Get("open") != "",
		Before: guichet.ID(q.Get("before")),
	}
	if to := s.day(q.Get("to")); f.Before == "" && !to.IsZero() {
		f.Before = firstID(to.AddDate(0, 0, 1))
	}
	return f
}

// firstID is before every identifier made from the instant on.
func firstID(t time.Time) guichet.ID {
	ms := t.UnixMilli()
	return guichet.ID(fmt.Sprintf("%08x-%04x-7000-8000-000000000000", ms>>16, ms&0xffff))
}

func (s *Server) journal(v visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	filter := s.journalFilter(v)
	filter.Limit = pageSize + 1
	list, err := s.Grant.Store.Deliveries(ctx, filter)
	if err != nil {
		return err
	}
	page := view.Journal{Verify: s.verificationView(v), Empty: view.Empty{Says: view.Say(ctx, "journal.empty")}}
	all := with(v.r.URL, "open", "")
	page.Chips = append(page.Chips,
		view.Chip{Label: view.Say(ctx, "journal.chip.all"), URL: without(all, "effect"), On: !filter.Open && filter.Effect == ""},
		view.Chip{Label: view.Say(ctx, "journal.chip.open"), URL: without(with(v.r.URL, "open", "yes"), "effect"), On: filter.Open})
	for _, e := range []grant.Effect{grant.Held, grant.Quarantined, grant.Late, grant.NotKnown} {
		page.Chips = append(page.Chips, view.Chip{
			Label: view.Say(ctx, "journal.chip."+string(e)), URL: without(with(v.r.URL, "effect", string(e)), "open"), On: filter.Effect == e && !filter.Open,
		})
	}
	field := func(name, kind string) view.Field {
		return view.Field{Name: name, Label: view.Say(ctx, "filter."+name), Value: q.Get(name), Type: kind, Filter: true, Autocomplete: "off", MaxLength: 200}
	}
	provider := field("provider", "")
	provider.Choices = s.providerChoices(v)
	page.Filters = view.Filters{URL: view.PathJournal, Fields: []view.Field{field("number", "text"), provider, field("to", "date")}, Export: view.PathJournal + ".jsonl"}
	for _, name := range []string{"effect", "open"} {
		if q.Get(name) != "" {
			page.Filters.Hidden = append(page.Filters.Hidden, view.Hidden{Name: name, Value: q.Get(name)})
		}
	}
	for _, name := range []string{"number", "provider", "to"} {
		if value := q.Get(name); value != "" {
			page.Filters.On = append(page.Filters.On, view.Chip{Label: view.Say(ctx, "filter.is", "Name", view.Say(ctx, "filter."+name), "Value", value), URL: with(v.r.URL, name, "")})
		}
	}
	if len(list) > pageSize {
		list, page.Pager.Older = list[:pageSize], with(v.r.URL, "before", list[pageSize-1].ID.String())
	}
	if q.Get("before") != "" {
		page.Pager.Newer = with(v.r.URL, "before", "")
	}
	for _, d := range list {
		page.Rows = append(page.Rows, view.DeliveryRow{
			Event: eventName(ctx, d), Subject: d.ExternalID, Provider: s.providerTitle(d.Provider), Meaning: entryMeaning(d), Says: entryWords(ctx, d),
			Open: undecided(d), At: d.ReceivedAt, URL: deliveryURL(d.ID),
		})
	}
	if filter.Open {
		page.Empty.Says = view.Say(ctx, "journal.none_waits")
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.JournalPage(f, page) })
	return nil
}

// without takes one more value out of an address.
func without(address, name string) string {
	path, query, _ := strings.Cut(address, "?")
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(s string) bool { return s == "" || strings.HasPrefix(s, name+"=") })
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}

func eventName(ctx context.Context, d grant.Delivery) string {
	if d.Event == "" {
		return view.Say(ctx, "journal.no_event")
	}
	return d.Event
}

// undecided tells whether an operator has to decide.
func undecided(d grant.Delivery) bool {
	return d.Resolved.IsZero() && (d.Effect == grant.Held || d.Effect == grant.Quarantined)
}

func (s *Server) deliveryOf(v visit) (grant.Delivery, error) {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return grant.Delivery{}, grant.ErrNoDelivery
	}
	return s.Grant.Store.Delivery(v.r.Context(), id)
}

func (s *Server) delivery(v visit) error {
	ctx := v.r.Context()
	d, err := s.deliveryOf(v)
	if err != nil {
		return err
	}
	page := view.Delivery{
		ID: d.ID.String(), Event: eventName(ctx, d), Provider: s.providerTitle(d.Provider), Format: string(d.Format), Subject: d.ExternalID,
		FiredAt: d.FiredAt, ReceivedAt: d.ReceivedAt, Problem: problemOfDelivery(ctx, d.Problem, d.Refused), Place: fmt.Sprintf("%s n° %d", d.Chain(), d.N), Hash: hex.EncodeToString(d.Hash[:]),
		Entry: timeline(ctx, []grant.Delivery{d}, nil)[0], Body: indented(d.Body),
	}
	page.Entry.Says = entryWords(ctx, d) // why, stands below, once
	if d.ExternalID != "" {
		page.SubjectURL = requestURL(d.Provider, d.ExternalID)
	}
	if d.TokenID != "" {
		page.TokenURL, page.TokenShort = view.PathTokens+"/"+d.TokenID.String(), short(d.TokenID)
	}
	if undecided(d) && d.Body != nil {
		preview, err := s.Grant.DryRun(ctx, d.ID)
		if err != nil {
			return err
		}
		drawn := previewView(ctx, preview)
		page.Preview = &drawn
		if drawn.Problem == page.Problem {
			page.Problem = ""
		}
		page.Actions = decisions(ctx, d, preview)
	} else if d.Body != nil && d.Effect != grant.Pinged && d.Format != grant.TokenFile {
		page.Actions = []view.Action{{Label: view.Say(ctx, "journal.replay"), URL: deliveryURL(d.ID) + "/replay", Post: true}}
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.DeliveryPage(f, page) })
	return nil
}

// indented is a body as people read it; what is no JSON stays as it came.
func indented(body []byte) string {
	if body == nil {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") == nil {
		return b.String()
	}
	if !utf8.Valid(body) {
		return hex.Dump(body)
	}
	return string(body)
}

// previewView says in words what would happen, each thing on its line.
func previewView(ctx context.Context, p grant.Preview) view.Preview {
	drawn := view.Preview{Title: view.Say(ctx, "preview.replay"), Problem: problemOfDelivery(ctx, p.Problem, p.Delivery.Refused)}
	if p.Accepted {
		drawn.Title = view.Say(ctx, "preview.accept")
	}
	if p.Problem != "" {
		return drawn
	}
	d := p.Decision
	say := func(words string) { drawn.Says = append(drawn.Says, words) }
	if d.Effect != grant.Applied {
		say(view.Say(ctx, "effect."+string(d.Effect)))
	}
	if d.Effect == grant.Applied {
		say(view.Say(ctx, "note."+string(d.Note)))
	}
	if len(d.Block) > 0 {
		say(view.Count(ctx, "note.blocked", len(d.Block)))
	}
	for _, kind := range d.Alerts {
		say(view.Say(ctx, "preview.alert", "Title", view.Say(ctx, "alert.kind."+string(kind)+".title")))
	}
	if len(d.Letters) > 0 {
		say(view.Say(ctx, "preview.letters"))
	}
	if p.Before.Status != d.Request.Status {
		drawn.Changes = []view.Change{{Name: view.Say(ctx, "request.state_name"), Before: statusWord(ctx, p.Before.Status), After: statusWord(ctx, d.Request.Status)}}
	}
	return drawn
}

// decisions are what an operator may do with a delivery that waits.
func decisions(ctx context.Context, d grant.Delivery, p grant.Preview) (all []view.Action) {
	why := func(id, says string) *view.Confirm {
		return &view.Confirm{
			ID: id, Title: view.Say(ctx, "journal."+id+"_title"), Says: says,
			Fields: []view.Field{reasonField(ctx, id+"-reason", true)},
		}
	}
	switch {
	case p.Accepted && p.Decision.Effect == grant.Applied:
		all = append(all, view.Action{
			Label: view.Say(ctx, "journal.accept"), URL: deliveryURL(d.ID) + "/accept", Post: true, Confirm: why("accept", view.Say(ctx, "journal.accept_says")),
		})
	case d.Effect == grant.Quarantined && p.Problem == "":
		all = append(all, view.Action{Label: view.Say(ctx, "journal.replay"), URL: deliveryURL(d.ID) + "/replay", Post: true, Tone: view.Primary})
	}
	return append(all, view.Action{
		Label: view.Say(ctx, "journal.dismiss"), URL: deliveryURL(d.ID) + "/dismiss", Post: true, Confirm: why("dismiss", view.Say(ctx, "journal.dismiss_says")),
	})
}

func (s *Server) replay(v visit) error {
	d, err := s.deliveryOf(v)
	if err != nil {
		return err
	}
	done, err := s.Grant.Replay(v.r.Context(), v.by(), d.ID)
	if err != nil {
		return err
	}
	v.say("journal.replayed_toast", "Effect", entryWords(v.r.Context(), done))
	return v.redirect(deliveryURL(done.ID))
}

func (s *Server) accept(v visit) error {
	d, err := s.deliveryOf(v)
	if err != nil {
		return err
	}
	done, err := s.Grant.Accept(v.r.Context(), v.by(), d.ID, v.reason())
	if err != nil {
		return err
	}
	v.say("journal.accepted_toast")
	return v.redirect(requestURL(done.Provider, done.ExternalID))
}

func (s *Server) dismiss(v visit) error {
	d, err := s.deliveryOf(v)
	if err != nil {
		return err
	}
	if err := s.Grant.Dismiss(v.r.Context(), v.by(), d.ID, v.reason()); err != nil {
		return err
	}
	v.say("journal.dismissed_toast")
	return v.redirect(view.PathJournal + "?open=yes")
}

// journalLine is one delivery for programs; contract: docs/http.md.
type journalLine struct {
	ID         guichet.ID      `json:"id"`
	Chain      string          `json:"chain"`
	N          int64           `json:"n"`
	Provider   string          `json:"provider"`
	Number     string          `json:"number"`
	Format     grant.Format    `json:"format"`
	Event      string          `json:"event"`
	FiredAt    *time.Time      `json:"fired_at"`
	ReceivedAt time.Time       `json:"received_at"`
	Effect     grant.Effect    `json:"effect"`
	Note       grant.Note      `json:"note"`
	Before     grant.Status    `json:"before"`
	After      grant.Status    `json:"after"`
	Token      guichet.ID      `json:"token"`
	Problem    string          `json:"problem,omitempty"`
	Blocked    int             `json:"blocked"`
	Mails      int             `json:"mails"`
	Actor      string          `json:"actor"`
	Body       json.RawMessage `json:"body,omitempty"`
	BodyText   string          `json:"body_text,omitempty"` // when it is no JSON
	BodyHash   string          `json:"body_sha256"`
	Prev       string          `json:"prev"`
	Hash       string          `json:"hash"`
}

func lineOf(d grant.Delivery) journalLine {
	l := journalLine{
		ID: d.ID, Chain: d.Chain(), N: d.N, Provider: d.Provider, Number: d.ExternalID, Format: d.Format, Event: d.Event, ReceivedAt: d.ReceivedAt,
		Effect: d.Effect, Note: d.Note, Before: d.Before, After: d.After, Token: d.TokenID, Problem: d.Problem, Blocked: d.Blocked, Mails: d.Mails,
		Actor: d.Actor.Name, BodyHash: hex.EncodeToString(d.BodyHash[:]), Prev: hex.EncodeToString(d.Prev[:]), Hash: hex.EncodeToString(d.Hash[:]),
	}
	if !d.FiredAt.IsZero() {
		l.FiredAt = &d.FiredAt
	}
	if json.Valid(d.Body) && utf8.Valid(d.Body) {
		l.Body = d.Body
	} else {
		l.BodyText = strings.ToValidUTF8(string(d.Body), "\ufffd")
	}
	return l
}

// journalExport gives the journal, the latest first, one line each.
func (s *Server) journalExport(v visit) error {
	ctx, filter := v.r.Context(), s.journalFilter(v)
	filter.Limit = 200
	if err := s.Grant.Note(ctx, v.by(), "journal.exported", "journal", map[string]string{"query": v.r.URL.RawQuery}); err != nil {
		return err
	}
	list, err := s.Grant.Store.Deliveries(ctx, filter)
	if err != nil {
		return err
	}
	download(v, "application/jsonl; charset=utf-8", "journal.jsonl")
	lines := json.NewEncoder(v.w)
	for {
		for _, d := range list {
			if lines.Encode(lineOf(d)) != nil {
				return nil // the browser went away
			}
		}
		if len(list) < filter.Limit {
			return nil
		}
		filter.Before = list[len(list)-1].ID
		if list, err = s.Grant.Store.Deliveries(ctx, filter); err != nil {
			s.Log.ErrorContext(ctx, "export broken off", "error", err)
			panic(http.ErrAbortHandler) // half a file must not look like a whole one
		}
	}
}

// proof is a verification of the journal under way in this process, or the last
// one. It is worth nothing to anybody else: losing it loses nothing.
type proof struct {
	mu           sync.Mutex
	running      bool
	begun, ended time.Time
	checked, of  int64
	breaks       []grant.Break
	failed       bool
	stopped      bool // by somebody
	stop         context.CancelFunc
}

// mostBreaks are shown; the command line lists them all.
const mostBreaks = 50

// verifyJournal begins to prove the journal, and lets whoever asked go on.
func (s *Server) verifyJournal(v visit) error {
	p := &s.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		ctx, stop := context.WithCancel(context.WithoutCancel(v.r.Context()))
		p.running, p.begun, p.ended, p.checked, p.of, p.breaks, p.failed = true, s.Clock.Now(), time.Time{}, 0, 0, nil, false
		p.stopped, p.stop = false, stop
		go s.prove(ctx, stop)
	}
	return v.redirect(view.PathJournal)
}

// stopVerifying ends a verification; what it found stays.
func (s *Server) stopVerifying(v visit) error {
	p := &s.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		p.stopped = true
		p.stop()
	}
	return v.redirect(view.PathJournal)
}

func (s *Server) prove(ctx context.Context, cancel context.CancelFunc) {
	defer cancel()
	if s.Stopping != nil {
		go func() {
			select {
			case <-s.Stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	p := &s.proof
	n, err := s.Grant.Store.VerifyJournal(ctx, func(b grant.Break) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.breaks) < mostBreaks {
			p.breaks = append(p.breaks, b)
		}
	}, func(done, of int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.checked, p.of = done, of
	})
	if err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "journal not verified", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.ended, p.checked, p.failed = false, s.Clock.Now(), n, err != nil
}

func (s *Server) verification(v visit) error {
	if !v.partial() {
		return v.redirect(view.PathJournal)
	}
	Render(v.w, v.r, http.StatusOK, view.VerificationOf(s.verificationView(v)))
	return nil
}

func (s *Server) verificationView(v visit) view.Verification {
	p := &s.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	drawn := view.Verification{
		Start:   view.Action{Label: view.Say(v.r.Context(), "journal.verify"), URL: view.PathJournal + "/verify", Post: true},
		Running: p.running, Begun: p.begun, Ended: p.ended, Checked: p.checked, Of: p.of, Failed: p.failed && !p.stopped, Stopped: p.stopped,
	}
	if p.running {
		drawn.StatusURL = view.PathJournal + "/verify"
		drawn.Stop = view.Action{Label: view.Say(v.r.Context(), "journal.stop_verifying"), URL: view.PathJournal + "/verify/stop", Post: true}
	}
	for _, b := range p.breaks {
		line := view.Break{Chain: b.Chain, Problem: b.Problem}
		if b.Delivery != "" {
			line.URL = deliveryURL(b.Delivery)
		}
		drawn.Breaks = append(drawn.Breaks, line)
	}
	return drawn
}
