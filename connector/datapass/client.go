// Package datapass asks DataPass what it knows, by its own API: OAuth2 with client
// credentials, lists in pages, histories, attempts of webhooks. It only reads.
//
// What the API is: requests of every definition the client may see come in one
// list, without any order, so the client keeps those of its provider; applicants
// are not told; an authorization tells its class and not its definition.
package datapass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"guichet"
	"guichet/grant"
)

// A Client reads one provider's requests. All methods may be called concurrently.
type Client struct {
	URL        string // https://datapass.api.gouv.fr/api/v1
	ClientID   string
	Secret     guichet.Secret
	Definition string // of the provider's authorizations
	Webhook    string // number of its webhook, whose attempts are read; empty: they are not
	Clock      guichet.Clock
	HTTP       *http.Client // nil: one with a time-out that follows no redirection
	PageSize   int          // 0: 200

	// Wait waits when the source asks us to; nil: it really waits, as long as ctx.
	Wait func(ctx context.Context, d time.Duration) error

	mu    sync.Mutex
	token guichet.Secret
	until time.Time
}

const (
	mostBody    = 64 << 20
	mostTries   = 4
	longestWait = time.Minute
	earlier     = time.Minute // a token is renewed before its end
)

// List implements grant.Source.
func (c *Client) List(ctx context.Context, offset int) (page []grant.SourceRequest, next int, err error) {
	size := c.page()
	var rows []json.RawMessage
	err = c.get(ctx, "/demandes", url.Values{"limit": {strconv.Itoa(size)}, "offset": {strconv.Itoa(offset)}}, &rows)
	if guichet.CodeOf(err) == grant.ErrNotAtSource.Code { // how older versions say that there is nothing more
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for _, row := range rows {
		r, ours, err := c.request(row)
		if err != nil {
			return nil, 0, grant.ErrSourceUnreadable.Because(err)
		}
		if ours {
			page = append(page, r)
		}
	}
	if len(rows) < size {
		return page, 0, nil
	}
	return page, offset + len(rows), nil
}

// Get implements grant.Source.
func (c *Client) Get(ctx context.Context, externalID string) (grant.SourceRequest, error) {
	var row json.RawMessage
	if err := c.get(ctx, "/demandes/"+url.PathEscape(externalID), nil, &row); err != nil {
		return grant.SourceRequest{}, err
	}
	r, ours, err := c.request(row)
	switch {
	case err != nil:
		return r, grant.ErrSourceUnreadable.Because(err)
	case r.ExternalID != externalID:
		return r, grant.ErrSourceUnreadable.Because(fmt.Errorf("asked for %s, told of %s", externalID, r.ExternalID))
	case !ours:
		return r, grant.ErrNotAtSource // another provider's
	}
	return r, nil
}

// Events implements grant.Source.
func (c *Client) Events(ctx context.Context, externalID string) ([]grant.SourceEvent, error) {
	var rows []eventRow
	if err := c.get(ctx, "/demandes/"+url.PathEscape(externalID)+"/events", nil, &rows); err != nil {
		return nil, err
	}
	var events []grant.SourceEvent
	for _, row := range rows {
		e, err := row.event()
		if err != nil {
			return nil, grant.ErrSourceUnreadable.Because(err)
		}
		events = append(events, e)
	}
	slices.SortStableFunc(events, func(a, b grant.SourceEvent) int { return a.At.Compare(b.At) })
	return events, nil
}

const attemptsAtOnce = 100

// Attempts implements grant.Source. The API gives the newest ones only, so each
// page ends where the one before began.
func (c *Client) Attempts(ctx context.Context, since time.Time) ([]string, error) {
	if c.Webhook == "" {
		return nil, nil
	}
	named, known := map[string]bool{}, map[string]bool{}
	until := c.Clock.Now()
	for {
		var rows []struct {
			ID      text `json:"id"`
			Request text `json:"authorization_request_id"`
			Created text `json:"created_at"`
		}
		err := c.get(ctx, "/webhooks/"+url.PathEscape(c.Webhook)+"/attempts", url.Values{
			"start_time": {since.UTC().Format(time.RFC3339)}, "end_time": {until.UTC().Add(time.Second).Format(time.RFC3339)}, "limit": {strconv.Itoa(attemptsAtOnce)},
		}, &rows)
		if guichet.CodeOf(err) == grant.ErrNotAtSource.Code {
			return nil, grant.ErrSourceRefuses.Because(errors.New("the webhook is not one of ours"))
		}
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, row := range rows {
			fresh = fresh || !known[string(row.ID)]
			known[string(row.ID)], named[string(row.Request)] = true, true
			if at := row.Created.instant(); !at.IsZero() && at.Before(until) {
				until = at
			}
		}
		if len(rows) < attemptsAtOnce || !fresh { // more than a page in one second: those are in the list of requests all the same
			return sortedKeys(named), nil
		}
	}
}

// Revoked implements grant.Source. Whose an authorization is, its list tells by its
// class alone.
func (c *Client) Revoked(ctx context.Context) ([]string, error) {
	known, ours := map[string]bool{}, map[string]bool{}
	for offset := 0; ; {
		var rows []authorizationRow
		err := c.get(ctx, "/habilitations", url.Values{"state[]": {"revoked"}, "limit": {strconv.Itoa(c.page())}, "offset": {strconv.Itoa(offset)}}, &rows)
		if guichet.CodeOf(err) == grant.ErrNotAtSource.Code { // how older versions say that there is nothing more
			return sortedKeys(ours), nil
		}
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, row := range rows {
			if row.ID == "" || row.Class == "" {
				return nil, grant.ErrSourceUnreadable.Because(errors.New("an authorization without number or class"))
			}
			fresh = fresh || !known[string(row.ID)]
			known[string(row.ID)] = true
			if (row.Revoked || row.State == "revoked") && c.definition(string(row.Class)) == c.Definition {
				ours[string(row.ID)] = true
			}
		}
		if len(rows) < c.page() || !fresh {
			return sortedKeys(ours), nil
		}
		offset += len(rows)
	}
}

func (c *Client) page() int {
	if c.PageSize == 0 {
		return 200
	}
	return c.PageSize
}

// get asks for one document. It renews the access token when it is over, and waits
// when it is asked to, a few times.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	renewed := false
	for try := 1; ; try++ {
		token, err := c.access(ctx)
		if guichet.CodeOf(err) == grant.ErrSourceBusy.Code && try < mostTries {
			err = c.wait(ctx, time.Second)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path+"?"+query.Encode(), nil)
		if err != nil {
			return grant.ErrSourceDown.Because(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		r.Header.Set("Accept", "application/json")
		status, body, wait, err := c.send(r)
		switch {
		case err != nil:
			return err
		case status == http.StatusUnauthorized && !renewed:
			renewed = true
			c.forget(token)
			continue
		case status == http.StatusTooManyRequests && try < mostTries && wait <= longestWait:
			if err := c.wait(ctx, max(wait, time.Second)); err != nil {
				return err
			}
			continue
		}
		return read(status, body, into)
	}
}

// read says what an answer means.
func read(status int, body []byte, into any) error {
	told := fmt.Errorf("status %d", status)
	switch {
	case status == http.StatusOK:
		if err := json.Unmarshal(body, into); err != nil {
			return grant.ErrSourceUnreadable.Because(errors.New("not the JSON that was expected")) // its text may name people
		}
		return nil
	case status == http.StatusNotFound:
		return grant.ErrNotAtSource
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return grant.ErrSourceRefuses.Because(told)
	case status == http.StatusTooManyRequests:
		return grant.ErrSourceBusy
	case status >= 500:
		return grant.ErrSourceDown.Because(told)
	}
	return grant.ErrSourceUnreadable.Because(told)
}

// access gives a token that lives, a new one when needed.
func (c *Client) access(ctx context.Context) (guichet.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Clock.Now()
	if c.token != "" && now.Add(earlier).Before(c.until) {
		return c.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.Secret.Reveal()}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", grant.ErrSourceDown.Because(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, _, err := c.send(r)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token   guichet.Secret `json:"access_token"`
		Type    string         `json:"token_type"`
		Expires int64          `json:"expires_in"`
	}
	if status == http.StatusBadRequest || status == http.StatusNotFound {
		status = http.StatusUnauthorized // how some servers say that they do not know us
	}
	if err := read(status, body, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" || !strings.EqualFold(answer.Type, "bearer") || strings.ContainsAny(answer.Token.Reveal(), "\r\n") {
		return "", grant.ErrSourceUnreadable.Because(errors.New("no bearer token"))
	}
	c.token, c.until = answer.Token, now.Add(time.Duration(answer.Expires)*time.Second)
	return c.token, nil
}

func (c *Client) forget(token guichet.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
}

var client = &http.Client{Timeout: 60 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// send asks once. Whatever happens to the connection is the source's outage; its
// address may hold nothing secret, and the error says no more than it.
func (c *Client) send(r *http.Request) (status int, body []byte, wait time.Duration, err error) {
	use := c.HTTP
	if use == nil {
		use = client
	}
	response, err := use.Do(r)
	if err != nil {
		return 0, nil, 0, grant.ErrSourceDown.Because(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(response.Body, mostBody+1))
	if err != nil {
		return 0, nil, 0, grant.ErrSourceDown.Because(err)
	}
	if len(body) > mostBody {
		return 0, nil, 0, grant.ErrSourceUnreadable.Because(errors.New("a page of more than 64 MiB"))
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 && seconds < 86_400 {
		wait = time.Duration(seconds) * time.Second
	}
	return response.StatusCode, body, wait, nil
}

func (c *Client) wait(ctx context.Context, d time.Duration) error {
	if c.Wait != nil {
		return c.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
