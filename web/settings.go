package web

import (
	"net/http"
	"strings"

	"guichet"
	"guichet/people"
	"guichet/web/view"
)

func (s *Server) settingsRoutes(mux *http.ServeMux) {
	mux.Handle("GET "+view.PathSettings, s.page(s.settings))
	mux.Handle("POST "+view.PathPassword, s.page(s.setPassword))
	mux.Handle("POST "+view.PathAPITokens, s.page(s.issueAPIToken))
	mux.Handle("POST "+view.PathAPITokens+"/{id}/revoke", s.page(s.revokeAPIToken))
	mux.Handle("POST "+view.PathSettings+"/sessions/{name}/end", s.page(s.endSession))
}

func (s *Server) settings(v visit) error {
	page, err := s.settingsPage(v)
	if err != nil {
		return err
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.SettingsOf(f, page) })
	return nil
}

func (s *Server) settingsPage(v visit) (view.SettingsPage, error) {
	ctx := v.r.Context()
	say := func(key string) string { return view.Say(ctx, key) }
	page := view.SettingsPage{
		Me: view.Person{Name: v.me.Name, Address: v.me.Email},
		Password: []view.Field{
			{Name: "old", Label: say("settings.current_password"), Masked: true, Required: true, Autocomplete: "current-password"},
			{Name: "new", Label: say("settings.new_password"), Help: say("setup.password_help"), Masked: true, Required: true, Autocomplete: "new-password"},
		},
	}
	tokens, err := s.People.APITokens(ctx, v.me.ID)
	if err != nil {
		return page, err
	}
	for _, t := range tokens {
		if t.RevokedAt.IsZero() {
			page.APITokens = append(page.APITokens, view.APIToken{Name: t.Name, Made: t.CreatedAt, LastUse: t.LastUsedAt, Revoke: view.Action{
				Label: say("settings.revoke"), URL: view.PathAPITokens + "/" + t.ID.String() + "/revoke", Post: true, Tone: view.Quiet,
			}})
		}
	}
	sessions, err := s.sessionsOf(ctx, v.me.ID)
	if err != nil {
		return page, err
	}
	for _, o := range sessions {
		page.Sessions = append(page.Sessions, view.Session{
			Device: device(o.agent), Place: o.from, LastUse: o.since, Current: o.current,
			End: view.Action{Label: say("settings.end"), URL: view.PathSettings + "/sessions/" + o.name + "/end", Post: true, Tone: view.Quiet},
		})
	}
	return page, nil
}

// setPassword asks for the old one first: an unlocked computer must not be
// enough to keep its owner out.
func (s *Server) setPassword(v visit) error {
	ctx := v.r.Context()
	old, fresh := guichet.Secret(v.r.PostFormValue("old")), guichet.Secret(v.r.PostFormValue("new"))
	field := 0
	_, err := s.People.SignIn(ctx, v.me.Email, old, address(v.r))
	if err == nil {
		field = 1
		err = s.People.SetPassword(ctx, v.by(), v.me.ID, fresh)
	}
	if err == nil {
		if err := s.begin(v.r, v.me); err != nil { // all other sessions have ended
			return err
		}
		v.say("settings.password_changed")
		return v.redirect(view.PathSettings)
	}
	kind := guichet.KindOf(err)
	if kind != guichet.Unauthorized && kind != guichet.Invalid && kind != guichet.TooMany {
		return err
	}
	page, perr := s.settingsPage(v)
	if perr != nil {
		return perr
	}
	page.Password[field].Error, page.Password[field].Focus = errorWords(ctx, err), true
	if kind == guichet.Unauthorized {
		page.Password[field].Error = view.Say(ctx, "settings.wrong_password")
	}
	v.show(Status(kind), func(f view.Frame) component { return view.SettingsOf(f, page) })
	return nil
}

func (s *Server) issueAPIToken(v visit) error {
	token, text, err := s.People.IssueAPIToken(v.r.Context(), v.by(), v.me.ID, v.r.PostFormValue("name"))
	if err != nil {
		return err
	}
	page, err := s.settingsPage(v)
	if err != nil {
		return err
	}
	// The only page that ever has it: it is not stored, and no cache keeps pages.
	page.Fresh = &view.Secret{ID: "fresh-token", Label: token.Name, Value: text.Reveal(), Open: true}
	v.show(http.StatusOK, func(f view.Frame) component { return view.SettingsOf(f, page) })
	return nil
}

func (s *Server) revokeAPIToken(v visit) error {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return people.ErrNoToken
	}
	if err := s.People.RevokeAPIToken(v.r.Context(), v.by(), id); err != nil {
		return err
	}
	v.say("settings.token_revoked")
	return v.redirect(view.PathSettings)
}

func (s *Server) endSession(v visit) error {
	mine, err := s.sessionsOf(v.r.Context(), v.me.ID)
	if err != nil {
		return err
	}
	for _, o := range mine {
		if o.name == v.r.PathValue("name") {
			if err := s.Sessions.End(v.r.Context(), o.name); err != nil {
				return err
			}
		}
	}
	return v.redirect(view.PathSettings)
}

// device says in a few words what a browser says of itself in many.
func device(agent string) string {
	find := func(names ...string) string {
		for _, n := range names {
			if marker, name, _ := strings.Cut(n, "="); strings.Contains(agent, marker) {
				return name
			}
		}
		return ""
	}
	browser := find("Firefox/=Firefox", "Edg/=Edge", "OPR/=Opera", "Chrome/=Chrome", "Safari/=Safari", "curl/=curl")
	system := find("Android=Android", "iPhone=iPhone", "iPad=iPad", "Windows=Windows", "Mac OS X=macOS", "Linux=Linux")
	switch {
	case browser == "" && system == "":
		return "?"
	case browser == "" || system == "":
		return browser + system
	}
	return browser + ", " + system
}
