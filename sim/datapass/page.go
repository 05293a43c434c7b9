package simdatapass

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var pageFiles embed.FS

func parsePages() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"at":    func(t time.Time) string { return t.In(paris).Format("02/01 15:04:05") },
		"state": func(s string) string { return stateWords[s] },
		"verb":  func(s string) string { return verbs[s] },
		"dict": func(pairs ...any) map[string]any {
			m := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				m[pairs[i].(string)] = pairs[i+1]
			}
			return m
		},
		"shape": func(s string) string { return shapes[s] },
	}).ParseFS(pageFiles, "page/*.html"))
}

// What people read. A state is a word and a shape, and its colour comes last.
var (
	stateWords = map[string]string{
		"draft": "Brouillon", "submitted": "En instruction", "changes_requested": "Modifications demandées", "validated": "Validée",
		"refused": "Refusée", "revoked": "Révoquée", "archived": "Archivée", "active": "active", "obsolete": "obsolète",
		"waiting": "en attente", "received": "reçu", "retrying": "à renvoyer", "lost": "perdu",
	}
	shapes = map[string]string{
		"validated": "●", "received": "●", "active": "●", "submitted": "◐", "changes_requested": "◐", "waiting": "◐", "retrying": "▲",
		"refused": "■", "revoked": "■", "lost": "■", "draft": "○", "archived": "○", "obsolete": "○",
	}
	verbs = map[string]string{
		"update": "Modifier", "submit": "Soumettre", "request_changes": "Demander des modifications", "approve": "Valider", "refuse": "Refuser",
		"reopen": "Rouvrir", "cancel_reopening": "Annuler la réouverture", "transfer": "Transférer", "revoke": "Révoquer", "archive": "Archiver",
	}
)

// pageRoutes are for people: everything is a form, nothing needs a script. What a
// button does is sent before the next page is shown, so that a script that clicks
// knows that it is done.
func (s *Site) pageRoutes() {
	s.mux.HandleFunc("GET /{$}", s.home)
	s.mux.HandleFunc("GET /demandes/{id}", s.one)
	s.mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/style.css")
	})
	guard := http.NewCrossOriginProtection()
	post := func(path string, h func(r *http.Request) (string, error)) {
		s.mux.Handle("POST "+path, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.act(w, r, h) })))
	}
	post("/demandes", func(r *http.Request) (string, error) {
		number, err := s.Create(Draft{
			Provider: r.PostFormValue("provider"), Title: r.PostFormValue("title"), SIRET: r.PostFormValue("siret"), Organization: r.PostFormValue("organization"),
			Scopes: strings.FieldsFunc(r.PostFormValue("scopes"), func(c rune) bool { return c == ',' || c == ' ' }), Connect: r.PostFormValue("connect") != "",
		})
		return "Demande " + strconv.Itoa(number) + " créée.", err
	})
	post("/demandes/{id}/{event}", func(r *http.Request) (string, error) {
		number, _ := strconv.Atoi(r.PathValue("id"))
		return "Demande " + strconv.Itoa(number) + " : " + verbs[r.PathValue("event")] + ", fait.", s.Do(number, r.PathValue("event"))
	})
	post("/envois/{id}/rejouer", func(r *http.Request) (string, error) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		return "Envoi rejoué.", s.Replay(r.Context(), id)
	})
	post("/envois/retenir", func(r *http.Request) (string, error) {
		s.Hold(r.PostFormValue("on") != "")
		return "C’est noté.", nil
	})
	post("/pannes", func(r *http.Request) (string, error) {
		times, err := strconv.Atoi(r.PostFormValue("times"))
		if err != nil {
			times = 1
		}
		return "Panne notée.", s.Fault(r.PostFormValue("kind"), times)
	})
	post("/webhooks/{provider}/ping", func(r *http.Request) (string, error) {
		return "Essai envoyé.", s.Ping(r.PathValue("provider"))
	})
	post("/webhooks/{provider}/secret", func(r *http.Request) (string, error) {
		return "Le secret suivant signe désormais.", s.Rotate(r.PathValue("provider"))
	})
}

// act does what a button says, sends what is due, and goes back to the page the
// button was on.
func (s *Site) act(w http.ResponseWriter, r *http.Request, h func(*http.Request) (string, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "Formulaire illisible.", http.StatusBadRequest)
		return
	}
	said, err := h(r)
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		s.draw(w, "refused", map[string]any{"Says": err.Error(), "Back": back(r)})
		return
	}
	s.Step(r.Context())
	s.mu.Lock()
	s.said = said
	s.mu.Unlock()
	http.Redirect(w, r, back(r), http.StatusSeeOther)
}

// back is the page of this site that the form came from.
func back(r *http.Request) string {
	if to := r.PostFormValue("back"); strings.HasPrefix(to, "/demandes/") && !strings.ContainsAny(to, "\\\n\r") {
		return to
	}
	return "/"
}

type requestView struct {
	request
	Moves     []string
	Scopes    string
	SentCount int
}

func (s *Site) view(r *request) requestView {
	v := requestView{request: *r, Moves: r.moves(s.providers[r.Provider].Format), Scopes: strings.Join(r.Scopes, ", ")}
	v.Authorizations, v.Events = slices.Clone(r.Authorizations), slices.Clone(r.Events)
	for _, d := range s.memory.Deliveries {
		if d.Number == r.Number {
			v.SentCount++
		}
	}
	return v
}

const mostShown = 60

func (s *Site) home(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	data := map[string]any{"Title": "DataPass de démonstration", "Receiver": s.receiver, "Said": s.news(), "Hold": s.memory.Hold, "Back": "/"}
	var requests []requestView
	for _, r := range slices.Backward(s.memory.Requests) {
		requests = append(requests, s.view(r))
		if len(requests) == mostShown {
			break
		}
	}
	data["Requests"], data["All"] = requests, len(s.memory.Requests)
	data["Deliveries"] = s.sent(0, 15)
	type providerView struct {
		Name, Format string
		Secrets      int
	}
	var providers []providerView
	for _, name := range s.providerNames() {
		providers = append(providers, providerView{name, s.providers[name].Format, len(s.providers[name].Secrets)})
	}
	data["Providers"] = providers
	data["Faults"] = s.faultViews()
	s.mu.Unlock()
	s.draw(w, "home", data)
}

type faultView struct {
	Kind, Says string
	Left       int
}

func (s *Site) faultViews() (all []faultView) {
	for _, k := range faultKinds {
		v := faultView{Kind: k.Kind, Says: k.Says}
		for _, f := range s.memory.Faults {
			if f.Kind == k.Kind {
				v.Left = f.Left
			}
		}
		all = append(all, v)
	}
	return all
}

// sent lists deliveries, the latest first; of one request, or of all.
func (s *Site) sent(number, most int) []delivery {
	var all []delivery
	for _, d := range slices.Backward(s.memory.Deliveries) {
		if number == 0 || d.Number == number {
			copied := *d
			copied.Attempts = slices.Clone(d.Attempts)
			all = append(all, copied)
		}
		if len(all) == most {
			break
		}
	}
	return all
}

func (s *Site) one(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	q := s.request(number)
	if q == nil {
		s.mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
		s.draw(w, "refused", map[string]any{"Says": "Aucune demande n’a ce numéro.", "Back": "/"})
		return
	}
	data := map[string]any{
		"Title": strconv.Itoa(number) + " · " + q.Title, "R": s.view(q), "Deliveries": s.sent(number, mostShown), "Said": s.news(), "Back": "/demandes/" + strconv.Itoa(number),
	}
	s.mu.Unlock()
	s.draw(w, "one", data)
}

// news is what a page tells once, and that nothing is kept as long as that is so.
func (s *Site) news() (said string) {
	if said, s.said = s.said, ""; s.unkept != nil {
		said = strings.TrimSpace(said + " Ce qui arrive n’est plus gardé : " + s.unkept.Error())
	}
	return said
}

func (s *Site) draw(w http.ResponseWriter, name string, data any) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, "Erreur interne.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = w.Write(page.Bytes())
}
