package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"guichet"
	"guichet/bank"
	"guichet/web/view"
)

// newAccess is where an access begins: first the bank, then its form. After a
// creation that failed, the form with what it kept, and why.
func (s *Server) newAccess(v visit) error {
	query := v.r.URL.Query()
	page, err := s.newAccessPage(v)
	if err != nil {
		return err
	}
	if id, err := guichet.ParseID(query.Get("attempt")); err == nil {
		return v.openAgain(page, id)
	}
	if id := query.Get("institution"); id != "" {
		inst, err := s.institution(v.r.Context(), id)
		if err != nil {
			return err
		}
		v.fill(&page, inst, nil)
	}
	v.showNewAccess(http.StatusOK, page)
	return nil
}

func (v visit) showNewAccess(status int, page view.NewAccess) {
	v.show(status, func(f view.Frame) component { return view.NewAccessPage(f, page) })
}

// newAccessPage lists the banks whose names have what was typed in them.
func (s *Server) newAccessPage(v visit) (view.NewAccess, error) {
	page := view.NewAccess{Query: strings.TrimSpace(v.r.URL.Query().Get("find")), KeepSecrets: true}
	all, err := s.Bank.Institutions(v.r.Context())
	if err != nil {
		return page, err
	}
	cases, _, err := v.cases()
	if err != nil {
		return page, err
	}
	page.First = len(cases) == 0
	for _, i := range all {
		if strings.Contains(plain(i.Name), plain(page.Query)) {
			page.Institutions = append(page.Institutions, v.institution(i))
		}
	}
	return page, nil
}

func (v visit) institution(i bank.Institution) view.Institution {
	hint := i.Connector
	if words := view.ViewerFrom(v.r.Context()).Words; words.Has("connector." + hint) {
		hint = words.Say("connector." + hint)
	}
	return view.Institution{
		ID: i.ID, Name: i.Name, Hint: hint, URL: view.PathNewAccess + "?" + url.Values{"institution": {i.ID}}.Encode(),
	}
}

func (s *Server) institution(ctx context.Context, id string) (bank.Institution, error) {
	all, err := s.Bank.Institutions(ctx)
	if err != nil {
		return bank.Institution{}, err
	}
	for _, i := range all {
		if i.ID == id {
			return i, nil
		}
	}
	return bank.Institution{}, bank.ErrNoInstitution
}

// fill makes the form of an institution, with what was typed before. A masked
// value is never among it: it is not given back by anything that ever had it.
func (v visit) fill(page *view.NewAccess, inst bank.Institution, typed map[string]string) {
	chosen := v.institution(inst)
	page.Chosen = &chosen
	page.Fields = form(inst, typed)
	page.Label = view.Field{
		Name: "label", Label: v.words("access.label"), Help: v.words("access.label_help"), MaxLength: 100, Autocomplete: "off", Value: typed["label"],
	}
	for i, f := range page.Fields {
		if f.Value == "" {
			page.Fields[i].Focus = true
			break
		}
	}
}

// form is the fields of an institution, filled with what was typed before.
func form(inst bank.Institution, typed map[string]string) []view.Field {
	var out []view.Field
	for _, f := range inst.Fields {
		one := field(f)
		one.Name = "fields." + f.ID
		if !f.Masked {
			one.Value = typed[f.ID]
		}
		out = append(out, one)
	}
	return out
}

// open creates an access. It answers with the question of the bank, with the
// access, or with the form and what is wrong.
func (s *Server) open(v visit) error {
	ctx, post := v.r.Context(), v.r.PostForm
	typed := v.typed()
	lend := post.Get("store_credentials") == ""
	c, _, err := s.Bank.Open(ctx, v.by(), bank.Opening{
		Institution: post.Get("institution"), Label: post.Get("label"), Locale: v.lang(), Fields: typed, Lend: lend,
	})
	var refused *guichet.Error
	switch {
	case err == nil:
	case errors.As(err, &refused) && (refused.Kind == guichet.Invalid || refused.Kind == guichet.Conflict) && refused.Code != bank.ErrNoInstitution.Code:
		return v.notOpened(refused, lend)
	default:
		return err
	}
	if lend { // so that the form, if it comes back, does not tick the box by itself
		s.session.Put(ctx, "lent", c.Attempt.ID.String())
	}
	if c, err = v.wait(c); err != nil {
		return err
	}
	return v.next(c)
}

// notOpened shows the form again with what is wrong in it.
func (v visit) notOpened(refused *guichet.Error, lend bool) error {
	ctx, post := v.r.Context(), v.r.PostForm
	page, err := v.s.newAccessPage(v)
	if err != nil {
		return err
	}
	inst, err := v.s.institution(ctx, post.Get("institution"))
	if err != nil {
		return err
	}
	typed := map[string]string{"label": post.Get("label")}
	for _, f := range inst.Fields {
		if !f.Masked {
			typed[f.ID] = post.Get("fields." + f.ID)
		}
	}
	v.fill(&page, inst, typed)
	page.KeepSecrets = !lend
	if !mark(page.Fields, refused, errorWords(ctx, refused)) {
		page.Problem = errorWords(ctx, refused)
	}
	v.showNewAccess(Status(refused.Kind), page)
	return nil
}

// mark puts an error at the field that it is about, if it is here.
func mark(fields []view.Field, refused *guichet.Error, words string) bool {
	for i := range fields {
		if fields[i].Name != refused.Field {
			continue
		}
		for j := range fields {
			fields[j].Focus = i == j
		}
		fields[i].Error = words
		return true
	}
	return false
}

// openAgain is the form of a creation that failed: bank, label and what is no
// secret are kept for a while, the rest is gone with the access.
func (v visit) openAgain(page view.NewAccess, id guichet.ID) error {
	ctx := v.r.Context()
	c, err := v.s.Bank.Attempt(ctx, v.by(), id)
	if err != nil {
		return err
	}
	a := c.Attempt
	if a.Purpose != bank.Create || a.State.Live() || c.Access.ID != "" {
		return v.next(c)
	}
	inst, err := v.s.institution(ctx, a.Institution)
	if err != nil {
		return err
	}
	typed, err := v.s.Bank.Form(a)
	if err != nil {
		return err
	}
	if typed == nil {
		typed = map[string]string{}
	}
	if a.Label != inst.Name {
		typed["label"] = a.Label
	}
	v.fill(&page, inst, typed)
	page.Error, page.BankSays = cmp.Or(outcomeWord(a.Outcome), string(bank.Cancelled)), a.Text
	page.KeepSecrets = v.s.session.GetString(ctx, "lent") != id.String()
	for i, f := range page.Fields {
		if slices.Contains(a.BadFields, strings.TrimPrefix(f.Name, "fields.")) {
			page.Fields[i].Error = v.words("access.field_refused")
		}
	}
	v.showNewAccess(http.StatusOK, page)
	return nil
}

// plain is a text as people search for it: neither case nor accents count.
func plain(s string) string {
	bare, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC), s)
	if err != nil {
		bare = s
	}
	return strings.ToLower(strings.TrimSpace(bare))
}
