package web

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet/grant"
	"guichet/web/view"
)

func (s *Server) officeRoutes(mux *http.ServeMux) {
	mux.Handle("GET "+view.PathRequests+".csv", s.operators(s.requestsCSV))
	mux.Handle("GET "+view.PathPurge, s.operators(s.purgePlan))
	mux.Handle("GET "+view.PathFigures, s.operators(s.figures))
	mux.Handle("GET "+view.PathJournal, s.operators(s.journal))
	mux.Handle("GET "+view.PathJournal+".jsonl", s.operators(s.journalExport))
	mux.Handle("POST "+view.PathJournal+"/verify", s.operators(s.verifyJournal))
	mux.Handle("GET "+view.PathJournal+"/verify", s.operators(s.verification))
	mux.Handle("POST "+view.PathJournal+"/verify/stop", s.operators(s.stopVerifying))
	mux.Handle("GET "+view.PathJournal+"/{id}", s.operators(s.delivery))
	mux.Handle("POST "+view.PathJournal+"/{id}/replay", s.operators(s.replay))
	mux.Handle("POST "+view.PathJournal+"/{id}/accept", s.operators(s.accept))
	mux.Handle("POST "+view.PathJournal+"/{id}/dismiss", s.operators(s.dismiss))
	mux.Handle("POST "+view.PathTokens+"/{id}/prolong", s.operators(s.extend))
}

// searched is what an address asks for: it can be kept and sent to somebody.
func (s *Server) searched(q url.Values) grant.Search {
	search := grant.Search{
		Provider: q.Get("provider"), Status: grant.Status(q.Get("status")), Scope: strings.TrimSpace(q.Get("scope")), SIRET: strings.TrimSpace(q.Get("siret")),
		Email: strings.TrimSpace(q.Get("email")), Words: q.Get("q"), Order: grant.Order(q.Get("order")), After: q.Get("before"),
		Archived: q.Get("archived") != "", From: s.day(q.Get("from")), To: s.day(q.Get("to")),
	}
	if !search.To.IsZero() {
		search.To = search.To.AddDate(0, 0, 1) // that day included
	}
	if search.Order != grant.ByOldest && search.Order != grant.ByChanged {
		search.Order = grant.ByNewest
	}
	return search
}

// day reads a date as people here write it; what is none asks for nothing.
func (s *Server) day(text string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, text, s.Zone)
	if err != nil {
		return time.Time{}
	}
	return t
}

var filterNames = []string{"provider", "scope", "siret", "email", "from", "to", "archived"}

func (s *Server) requests(v visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	search := s.searched(q)
	search.Limit = pageSize
	found, err := s.Office.Search(ctx, search)
	if err != nil {
		return err
	}
	page := view.RequestList{Filters: s.requestFilters(v), Purge: view.PathPurge, Empty: view.Empty{Says: view.Say(ctx, "request.empty")}}
	page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, "request.all"), URL: with(v.r.URL, "status", ""), On: search.Status == ""})
	for _, status := range grant.Statuses() {
		page.Chips = append(page.Chips, view.Chip{
			Label: view.Say(ctx, stateOf[status].Word), URL: with(v.r.URL, "status", string(status)), On: search.Status == status,
		})
	}
	sort := func(now, by grant.Order, descending bool) *view.Sort {
		return &view.Sort{URL: with(v.r.URL, "order", string(by)), Now: search.Order == now, Descending: descending}
	}
	page.Columns.Number = sort(search.Order, grant.ByOldest, true)
	if search.Order == grant.ByOldest {
		page.Columns.Number = sort(search.Order, grant.ByNewest, false)
	}
	page.Columns.Number.Now = search.Order != grant.ByChanged
	page.Columns.Changed = sort(grant.ByChanged, grant.ByChanged, true)
	if found.Next != "" {
		page.Pager.Older = with(v.r.URL, "before", found.Next)
	}
	if search.After != "" {
		page.Pager.Newer = with(v.r.URL, "before", "")
	}
	if found.Behind > 0 {
		page.Notice = view.Count(ctx, "request.behind", int(found.Behind))
	}
	for _, r := range found.Requests {
		row, err := s.requestRow(v, r)
		if err != nil {
			return err
		}
		page.Rows = append(page.Rows, row)
	}
	switch {
	case len(page.Rows) == 0 && found.Next != "":
		page.Empty = view.Empty{Says: view.Say(ctx, "request.go_on"), Action: &view.Action{Label: view.Say(ctx, "request.go_on_does"), URL: page.Pager.Older}}
	case len(page.Rows) == 0 && len(q) == 0:
		page.Empty.Says = view.Say(ctx, "request.none_yet")
	case len(page.Rows) == 0:
		page.Empty.Action = &view.Action{Label: view.Say(ctx, "filter.none"), URL: view.PathRequests}
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.RequestsPage(f, page) })
	return nil
}

func (s *Server) requestRow(v visit, r grant.Listed) (view.RequestRow, error) {
	state, err := s.requestState(v.r.Context(), r.Request)
	if err != nil {
		return view.RequestRow{}, err
	}
	title := r.Title
	if title == "" {
		title = view.Say(v.r.Context(), "request.untitled")
	}
	return view.RequestRow{
		ExternalID: r.ExternalID, Title: title, Organisation: r.Organization, Provider: s.providerTitle(r.Provider), State: state,
		Tokens: r.Live, Changed: r.UpdatedAt, URL: requestURL(r.Provider, r.ExternalID), Alert: r.Alerted,
	}, nil
}

// requestFilters is the form of the list, with what is asked for now.
func (s *Server) requestFilters(v visit) view.Filters {
	ctx, q := v.r.Context(), v.r.URL.Query()
	field := func(name, kind string) view.Field {
		return view.Field{Name: name, Label: view.Say(ctx, "filter."+name), Value: q.Get(name), Type: kind, Filter: true, Autocomplete: "off", MaxLength: 200}
	}
	provider := field("provider", "")
	provider.Choices = s.providerChoices(v)
	archived := field("archived", "")
	archived.Choices = []view.Choice{{Value: "", Label: view.Say(ctx, "filter.hidden")}, {Value: "yes", Label: view.Say(ctx, "filter.shown")}}
	filters := view.Filters{
		URL: view.PathRequests, Export: view.PathRequests + ".csv",
		Fields: []view.Field{provider, field("scope", "text"), field("siret", "text"), field("email", "text"), field("from", "date"), field("to", "date"), archived},
	}
	for _, name := range []string{"q", "status", "order"} {
		if q.Get(name) != "" {
			filters.Hidden = append(filters.Hidden, view.Hidden{Name: name, Value: q.Get(name)})
		}
	}
	for _, name := range append([]string{"q"}, filterNames...) {
		if value := q.Get(name); value != "" {
			switch name {
			case "provider":
				value = s.providerTitle(value)
			case "archived":
				value = view.Say(ctx, "filter.shown")
			case "from", "to":
				if s.day(value).IsZero() {
					continue // it filters nothing
				}
			}
			filters.On = append(filters.On, view.Chip{Label: view.Say(ctx, "filter.is", "Name", view.Say(ctx, "filter."+name), "Value", value), URL: with(v.r.URL, name, "")})
		}
	}
	return filters
}

func (s *Server) providerChoices(v visit) []view.Choice {
	all := []view.Choice{{Value: "", Label: view.Say(v.r.Context(), "filter.any")}}
	for name := range s.Grant.Providers {
		all = append(all, view.Choice{Value: name, Label: s.providerTitle(name)})
	}
	slices.SortFunc(all[1:], func(a, b view.Choice) int { return strings.Compare(a.Label, b.Label) })
	return all
}

// The columns of the file are for programs: they have one name in every language.
var csvHead = []string{
	"provider", "number", "status", "title", "organization", "siret", "scopes", "applicant", "received_at", "submitted_at", "validated_at", "revoked_at",
	"archived_at", "changed_at", "live_tokens", "last_used_at",
}

// requestsCSV gives every request that the page would show, as they are read: a
// million of them take no more memory than a page.
func (s *Server) requestsCSV(v visit) error {
	search := s.searched(v.r.URL.Query())
	search.After, search.Limit = "", 500
	detail := map[string]string{"query": v.r.URL.RawQuery}
	if err := s.Grant.Note(v.r.Context(), v.by(), "requests.exported", "requests", detail); err != nil {
		return err
	}
	found, err := s.Office.Search(v.r.Context(), search)
	if err != nil {
		return err
	}
	download(v, "text/csv; charset=utf-8", "requests.csv")
	_, _ = v.w.Write([]byte("\ufeff")) // spreadsheets then read the accents
	w := csv.NewWriter(v.w)
	w.UseCRLF = true
	_ = w.Write(csvHead)
	for {
		for _, r := range found.Requests {
			used, err := s.lastUseOf(v, r)
			if err != nil {
				s.Log.ErrorContext(v.r.Context(), "export broken off", "error", err)
				panic(http.ErrAbortHandler) // half a file must not look like a whole one
			}
			_ = w.Write(csvRow(r, used))
		}
		w.Flush()
		if w.Error() != nil || found.Next == "" {
			return nil // the browser went away, or all is said
		}
		search.After = found.Next
		if found, err = s.Office.Search(v.r.Context(), search); err != nil {
			s.Log.ErrorContext(v.r.Context(), "export broken off", "error", err)
			panic(http.ErrAbortHandler) // half a file must not look like a whole one
		}
	}
}

// lastUseOf tells when any token of a request was used last; what was never
// validated has none.
func (s *Server) lastUseOf(v visit, r grant.Listed) (time.Time, error) {
	if r.ValidatedAt.IsZero() {
		return time.Time{}, nil
	}
	return s.Office.LastUseOfRequest(v.r.Context(), r.ID)
}

func csvRow(r grant.Listed, used time.Time) []string {
	applicant, _ := r.Contact(grant.Applicant)
	row := []string{
		r.Provider, r.ExternalID, string(r.Status), r.Title, r.Organization, r.SIRET, strings.Join(r.Scopes, " "), applicant.Email,
		stamp(r.CreatedAt), stamp(r.FirstSubmittedAt), stamp(r.ValidatedAt), stamp(r.RevokedAt), stamp(r.ArchivedAt), stamp(r.UpdatedAt), fmt.Sprint(r.Live), stamp(used),
	}
	for i := range row {
		row[i] = harmless(row[i])
	}
	return row
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// harmless keeps a spreadsheet from taking what somebody wrote in a form for a
// formula: an apostrophe makes it text. Blanks before the sign do not hide it.
func harmless(cell string) string {
	bare := strings.TrimLeft(cell, " \t\r\n\u00a0\u200b\ufeff")
	if bare == "" || !strings.ContainsAny(bare[:1], "=+-@|%") && !strings.HasPrefix(bare, "＝") && !strings.HasPrefix(bare, "＋") && !strings.HasPrefix(bare, "－") && !strings.HasPrefix(bare, "＠") {
		if strings.IndexAny(cell, "\t\r\n") == 0 {
			return "'" + cell
		}
		return cell
	}
	return "'" + cell
}

// download names the file that the browser keeps.
func download(v visit, kind, name string) {
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
}

// facts are what else the source said of a request.
func (s *Server) facts(r grant.Request) (all []view.Fact) {
	add := func(f view.Fact) {
		if f.Value != "" || !f.At.IsZero() {
			all = append(all, f)
		}
	}
	add(view.Fact{Name: "about", Value: r.Description})
	add(view.Fact{Name: "procedure", Value: r.Procedure})
	add(view.Fact{Name: "received", At: r.CreatedAt})
	add(view.Fact{Name: "submitted", At: r.FirstSubmittedAt})
	add(view.Fact{Name: "validated", At: r.ValidatedAt})
	add(view.Fact{Name: "archived", At: r.ArchivedAt})
	add(view.Fact{Name: "deleted", At: r.DeletedAtSource})
	add(view.Fact{Name: "purge", At: r.PurgeAt})
	if r.PreviousID != "" {
		add(view.Fact{Name: "previous", Value: r.PreviousID, URL: requestURL(r.Provider, r.PreviousID)})
	}
	if at := s.Grant.Providers[r.Provider].SourceURL(r.ExternalID); at != "" {
		add(view.Fact{Name: "source", Value: strings.TrimPrefix(at, "https://"), URL: at})
	}
	return all
}

func authorizationState(a grant.Authorization) view.State {
	switch {
	case a.Revoked || a.State == "revoked":
		return view.AuthorizationRevoked
	case a.Active():
		return view.AuthorizationActive
	}
	return view.AuthorizationObsolete
}

// purgeAhead is how far ahead the page of the purge looks.
const purgeAhead = 30

func (s *Server) purgePlan(v visit) error {
	ctx, now := v.r.Context(), s.Clock.Now()
	due, _, err := s.Grant.Store.Due(ctx, now.AddDate(0, 0, purgeAhead))
	if err != nil {
		return err
	}
	page := view.Purge{Says: view.Count(ctx, "purge.says", len(due), "Days", fmt.Sprint(purgeAhead))}
	for _, r := range due {
		title := r.Title
		if title == "" {
			title = view.Say(ctx, "request.untitled")
		}
		page.Lines = append(page.Lines, view.PurgeLine{
			ExternalID: r.ExternalID, Title: title, Provider: s.providerTitle(r.Provider), At: r.PurgeAt, URL: requestURL(r.Provider, r.ExternalID),
		})
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.PurgePage(f, page) })
	return nil
}

// extend gives a token 18 more months by the hand of an operator.
func (s *Server) extend(v visit) error {
	t, err := s.standing(v)
	if err != nil {
		return err
	}
	if err := s.Grant.Extend(v.r.Context(), v.by(), t.ID); err != nil {
		return err
	}
	v.say("token.prolonged_toast", "Short", short(t.ID))
	return v.redirect(view.PathTokens + "/" + t.ID.String())
}

// reasonField asks why. The browser refuses blanks, so that the question stays open.
func reasonField(ctx context.Context, id string, required bool) view.Field {
	f := view.Field{ID: id, Name: "reason", Label: view.Say(ctx, "request.revoke_reason"), Required: required, MaxLength: 500, Autocomplete: "off"}
	if required {
		f.Pattern, f.Wants = `.*\S.*`, view.Say(ctx, "error.reason_needed")
	}
	return f
}

// reason is why somebody does what they do, as text that any database takes.
func (v visit) reason() string {
	return strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(v.r.PostFormValue("reason"), "\x00", ""), ""))
}
