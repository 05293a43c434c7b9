package datapass_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"guichet"
	"guichet/grant"
	"guichet/store/storetest"
)

// Revoked reads every page of the list of authorizations, and keeps those of the
// provider that were taken back.
func TestRevoked(t *testing.T) {
	site, client, _ := source(t)
	client.PageSize = 2
	if got, err := client.Revoked(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	var want []string
	for i := range 14 {
		provider := []string{"api_entreprise", "api_particulier"}[i%2]
		events := [][]string{{"submit", "approve"}, {"submit", "approve", "revoke"}}[i/2%2]
		number := create(t, site, provider, events...)
		if provider == "api_entreprise" && len(events) == 3 {
			r, err := client.Get(t.Context(), strconv.Itoa(number))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, r.Authorizations[0].ID)
		}
	}
	slices.Sort(want)
	if got, err := client.Revoked(t.Context()); err != nil || !slices.Equal(got, want) || len(want) != 3 {
		t.Errorf("%v, want %v; %v", got, want, err)
	}
}

// altered is a DataPass whose requests say nothing of their authorizations, and
// whose list of authorizations says that all of them were taken back.
type altered struct{ next http.RoundTripper }

func (a altered) RoundTrip(r *http.Request) (*http.Response, error) {
	list := strings.HasSuffix(r.URL.Path, "/habilitations")
	if list {
		q := r.URL.Query()
		q.Del("state[]")
		r.URL.RawQuery = q.Encode()
	}
	response, err := a.next.RoundTrip(r)
	if err != nil || !list && !strings.Contains(r.URL.Path, "/demandes") || strings.HasSuffix(r.URL.Path, "/events") {
		return response, err
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	one := !bytes.HasPrefix(text, []byte("["))
	if one {
		text = append(append([]byte{'['}, text...), ']')
	}
	var rows []map[string]any
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, err
	}
	for _, row := range rows {
		if list {
			row["revoked"], row["state"] = true, "revoked"
		} else {
			row["habilitations"] = []any{}
		}
	}
	var out any = rows
	if one {
		out = rows[0]
	}
	if text, err = json.Marshal(out); err != nil {
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	response.Header.Del("Content-Length")
	return response, nil
}

// A token that works under an authorization that the list of authorizations says
// was taken back is a drift, although its request tells nothing of it. Nothing is
// blocked by it, and it is over when the list says otherwise.
func TestTokenUnderRevokedAuthorization(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := newScene(t, db)
		number := s.create("submit", "approve")
		s.run()
		if got := s.drifts(grant.DriftOpen); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		s.api.HTTP = &http.Client{Transport: altered{http.DefaultTransport}}
		s.run()
		open := s.drifts(grant.DriftOpen)
		if len(open) != 1 || open[0].Kind != grant.DriftTokenAlive || open[0].ExternalID != number || !strings.HasPrefix(open[0].What, "partial/") || open[0].Tokens != 1 {
			t.Fatalf("%+v", open)
		}
		if _, err := s.r.Repair(t.Context(), operator, open[0].ID, ""); guichet.CodeOf(err) != grant.ErrNothingToDo.Code {
			t.Errorf("%v", err)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM tokens WHERE blocked_at <> 0"); n != "0" {
			t.Errorf("%s tokens were blocked by a reading", n)
		}
		s.api.HTTP = nil
		s.run()
		if open, gone := s.drifts(grant.DriftOpen), s.drifts(grant.DriftGone); len(open) != 0 || len(gone) != 1 {
			t.Errorf("open %+v, gone %+v", open, gone)
		}
	})
}
