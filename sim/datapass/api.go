package simdatapass

import (
	"cmp"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	accessLife = 2 * time.Hour
	mostRows   = 1000
	fewRows    = 10
)

// apiRoutes are the part of DataPass's own API that reconciliation reads.
func (s *Site) apiRoutes() {
	s.mux.HandleFunc("POST /api/v1/oauth/token", s.apiToken)
	s.mux.HandleFunc("GET /api/v1/demandes", s.api(s.apiRequests))
	s.mux.HandleFunc("GET /api/v1/demandes/{id}", s.api(s.apiRequest))
	s.mux.HandleFunc("GET /api/v1/demandes/{id}/events", s.api(s.apiEvents))
	s.mux.HandleFunc("GET /api/v1/habilitations", s.api(s.apiAuthorizations))
	s.mux.HandleFunc("GET /api/v1/webhooks/{id}/attempts", s.api(s.apiAttempts))
}

// apiToken is OAuth2's grant of client credentials.
func (s *Site) apiToken(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	switch {
	case s.broken(w):
	case r.PostFormValue("grant_type") != "client_credentials":
		answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
	case s.clientID == "" || id != s.clientID || subtle.ConstantTimeCompare([]byte(secret), []byte(s.clientSecret.Reveal())) != 1:
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
	default:
		s.mu.Lock()
		now := s.clock.Now()
		token := s.clock.NewSecret().Reveal()
		s.access[token] = now.Add(accessLife)
		s.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{
			"access_token": token, "token_type": "Bearer", "expires_in": int(accessLife.Seconds()), "scope": "public read_authorizations read_webhooks", "created_at": now.Unix(),
		})
	}
}

// broken answers in the API's stead when a fault says so.
func (s *Site) broken(w http.ResponseWriter) bool {
	s.mu.Lock()
	kind := s.meet(FaultAPIDown, FaultAPILimit, FaultAPIGarbage)
	s.mu.Unlock()
	switch kind {
	case FaultAPIDown:
		http.Error(w, "<html><body>Service indisponible</body></html>", http.StatusServiceUnavailable)
	case FaultAPILimit:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "Trop de requêtes", "Réessayez plus tard.")
	case FaultAPIGarbage:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(`[{"id":50001,"state":"valid`))
	}
	return kind != ""
}

// api lets whoever has an access token that lives pass.
func (s *Site) api(h func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.broken(w) {
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		end, known := s.access[token]
		if known && s.meet(FaultAPIExpired) != "" {
			end = time.Time{}
			s.access[token] = end
		}
		alive := s.clock.Now().Before(end)
		s.mu.Unlock()
		switch {
		case !ok || !known:
			refuse(w, http.StatusUnauthorized, "Non autorisé", "Un jeton d'accès est requis mais absent dans les en-têtes de la requête.")
		case !alive:
			refuse(w, http.StatusUnauthorized, "Jeton expiré", "Le jeton d’accès a expiré. Veuillez en obtenir un nouveau.")
		default:
			h(w, r)
		}
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(write(v))
}

// refuse writes an error as the API does.
func refuse(w http.ResponseWriter, status int, title, detail string) {
	answer(w, status, map[string]any{"errors": []map[string]string{{"status": strconv.Itoa(status), "title": title, "detail": detail}}})
}

func (r *request) api() map[string]any {
	authorizations := []map[string]any{}
	for _, a := range r.Authorizations {
		authorizations = append(authorizations, a.json())
	}
	return map[string]any{
		"id": r.Number, "public_id": r.PublicID, "type": model(r.Provider), "state": r.State, "form_uid": strings.ReplaceAll(r.Provider, "_", "-"),
		"data": r.form(), "created_at": stamp(r.CreatedAt), "last_submitted_at": stamp(r.SubmittedAt), "last_validated_at": stamp(r.ValidatedAt),
		"reopening": r.Reopening, "reopened_at": stamp(r.ReopenedAt), "habilitations": authorizations,
		"organisation": map[string]any{"id": r.Number, "siret": r.SIRET, "raison_sociale": r.Organization, "insee_payload": nil},
	}
}

// rows gives one page of a list: no order is promised, and a row that changed
// comes last, so that a page may repeat one or pass over one.
func rows[T any](r *http.Request, all []T, most int) []T {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	if limit <= 0 {
		limit = fewRows
	}
	offset = max(0, min(offset, len(all)))
	return all[offset:min(len(all), offset+min(limit, most))]
}

func (s *Site) apiRequests(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sorted := slices.SortedStableFunc(slices.Values(s.memory.Requests), func(a, b *request) int { return cmp.Compare(a.Touched, b.Touched) })
	out := []map[string]any{}
	states, siret := r.URL.Query()["state[]"], r.URL.Query().Get("siret")
	for _, q := range sorted {
		if (len(states) == 0 || slices.Contains(states, q.State)) && (siret == "" || siret == q.SIRET) {
			out = append(out, q.api())
		}
	}
	if s.meet(FaultAPIEmpty) != "" {
		out = nil
	}
	answer(w, http.StatusOK, append([]map[string]any{}, rows(r, out, mostRows)...))
}

// found looks up the request of the path, and answers when there is none.
func (s *Site) found(w http.ResponseWriter, r *http.Request) *request {
	number, _ := strconv.Atoi(r.PathValue("id"))
	q := s.request(number)
	if q == nil {
		refuse(w, http.StatusNotFound, "Non trouvé", "La ressource demandée est introuvable.")
	}
	return q
}

func (s *Site) apiRequest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.found(w, r); q != nil {
		answer(w, http.StatusOK, q.api())
	}
}

func (s *Site) apiEvents(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.found(w, r)
	if q == nil {
		return
	}
	out := []map[string]any{}
	for _, e := range q.Events {
		entity := map[string]any{"type": "AuthorizationRequest", "id": q.Number}
		if e.Reason != "" {
			entity["reason"] = e.Reason
		}
		by := e.By.json()
		out = append(out, map[string]any{"id": e.ID, "name": e.Name, "created_at": stamp(e.At), "entity": entity, "user": by})
	}
	answer(w, http.StatusOK, out)
}

func (s *Site) apiAuthorizations(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := r.URL.Query()["state[]"]
	out := []map[string]any{}
	for _, q := range s.memory.Requests {
		for _, a := range q.Authorizations {
			if len(states) == 0 || slices.Contains(states, a.State) {
				one := a.json()
				one["organisation"] = map[string]any{"id": q.Number, "siret": q.SIRET, "raison_sociale": q.Organization, "insee_payload": nil}
				out = append(out, one)
			}
		}
	}
	if s.meet(FaultAPIEmpty) != "" {
		out = nil
	}
	answer(w, http.StatusOK, append([]map[string]any{}, rows(r, out, mostRows)...))
}

// apiAttempts lists the sendings of a webhook that reached somebody, the latest
// first. The identifier of a webhook is the name of its provider here.
func (s *Site) apiAttempts(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.providers[r.PathValue("id")] == nil {
		refuse(w, http.StatusNotFound, "Non trouvé", "La ressource demandée est introuvable.")
		return
	}
	from, errFrom := time.Parse(time.RFC3339, cmp.Or(r.URL.Query().Get("start_time"), "1970-01-01T00:00:00Z"))
	to, errTo := time.Parse(time.RFC3339, cmp.Or(r.URL.Query().Get("end_time"), "9999-01-01T00:00:00Z"))
	if errFrom != nil || errTo != nil {
		refuse(w, http.StatusBadRequest, "Requête incorrecte", "start_time et end_time sont des instants ISO 8601.")
		return
	}
	type line struct {
		at  time.Time
		out map[string]any
	}
	var all []line
	for _, d := range s.memory.Deliveries {
		for _, a := range d.Attempts {
			if d.Provider == r.PathValue("id") && d.Number != 0 && !a.Unseen && !a.At.Before(from) && !a.At.After(to) {
				all = append(all, line{a.At, map[string]any{
					"id": a.ID, "event": d.Event, "status_code": a.Status, "response_body": a.Answer, "created_at": stamp(a.At), "authorization_request_id": d.Number, "abandoned_at": nil,
				}})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b line) int { return b.at.Compare(a.at) })
	out := []map[string]any{}
	for _, l := range rows(r, all, 100) {
		out = append(out, l.out)
	}
	answer(w, http.StatusOK, out)
}
