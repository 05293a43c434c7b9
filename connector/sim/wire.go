package simconnector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"guichet/bank"
)

// What a bank may send. More is a lie, or a flood.
const (
	maxPage      = 2 << 20
	maxRun       = 256 << 20
	maxImage     = 256 << 10
	maxAccounts  = 200
	maxPages     = 2_000
	maxOps       = 200_000
	maxRedirects = 5
)

var (
	errTooMuch   = errors.New("the bank sent more than is sensible")
	errElsewhere = errors.New("the bank leads to another site")
	errSink      = errors.New("what was read could not be kept")
)

// A page is one that came whole and was parsed.
type page struct {
	path  string
	doc   *html.Node
	forms map[string]form // by the path they post to
}

// client makes requests of the run: its own cookies, and no step off the bank's
// host. Time limits are the context's.
func (r *run) client() *http.Client {
	return &http.Client{
		Transport: r.connector.transport,
		Jar:       r.session.cookies,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Scheme != r.connector.base.Scheme || next.URL.Host != r.connector.base.Host || len(via) > maxRedirects {
				return errElsewhere
			}
			return nil
		},
	}
}

func (r *run) get(ctx context.Context, path string) (page, error) {
	return r.page(ctx, http.MethodGet, path, nil)
}

func (r *run) post(ctx context.Context, path string, form url.Values) (page, error) {
	return r.page(ctx, http.MethodPost, path, form)
}

// page asks for a page and reads it whole, or not at all.
func (r *run) page(ctx context.Context, method, path string, form url.Values) (page, error) {
	body, at, err := r.fetch(ctx, method, path, form, "text/html", maxPage)
	if err != nil {
		return page{}, err
	}
	doc, err := parsePage(body)
	if err != nil {
		return page{}, err
	}
	return page{at, doc, readForms(doc)}, nil
}

// parsePage refuses half a page: an HTML parser would mend it, and the rest of
// the operations would be missed without a word.
func parsePage(body []byte) (*html.Node, error) {
	switch {
	case !utf8.Valid(body):
		return nil, misreadf("not UTF-8")
	case !bytes.HasSuffix(bytes.TrimSpace(body), []byte("</html>")):
		return nil, misreadf("cut before its end")
	}
	doc, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, misreadf("%v", err)
	}
	return doc, nil
}

// status reads the small JSON that says what the phone answered.
func (r *run) status(ctx context.Context, id string) (string, error) {
	body, _, err := r.fetch(ctx, http.MethodGet, "/app/status?id="+url.QueryEscape(id), nil, "application/json", 4<<10)
	if err != nil {
		return "", err
	}
	var answer struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", misreadf("status of a validation: %v", err)
	}
	return answer.Status, nil
}

// image reads a captcha.
func (r *run) image(ctx context.Context, path string) ([]byte, error) {
	body, _, err := r.fetch(ctx, http.MethodGet, path, nil, "image/png", maxImage)
	if err == nil && !bytes.HasPrefix(body, []byte("\x89PNG\r\n\x1a\n")) {
		err = misreadf("an image that is none")
	}
	return body, err
}

// fetch is the only place that speaks to the bank.
func (r *run) fetch(ctx context.Context, method, path string, form url.Values, want string, limit int64) ([]byte, string, error) {
	address, err := r.connector.base.Parse(path)
	if err != nil || address.Host != r.connector.base.Host || address.Scheme != r.connector.base.Scheme {
		return nil, "", errElsewhere
	}
	var content io.Reader
	if form != nil {
		content = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, address.String(), content)
	if err != nil {
		return nil, "", errElsewhere
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("User-Agent", "guichet")
	request.Header.Set("Accept-Language", "fr")
	response, err := r.client().Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	if err := refusal(response, r.order.Now); err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	r.received += int64(len(body))
	switch {
	case int64(len(body)) > limit, r.received > maxRun:
		return nil, "", errTooMuch
	case err != nil:
		return nil, "", err
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != want {
		return nil, "", misreadf("%s where %s was expected", kind, want)
	}
	return body, response.Request.URL.Path, nil
}

// refusal is what an HTTP status other than 200 means.
func refusal(response *http.Response, now time.Time) error {
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusTooManyRequests:
		return stopWith(bank.Outcome{Kind: bank.RateLimited, RetryAfter: retryAfter(response, now)})
	case code == http.StatusForbidden:
		return stopWith(bank.Outcome{Kind: bank.Blocked})
	case code >= 500:
		return stopWith(bank.Outcome{Kind: bank.BankUnavailable, RetryAfter: retryAfter(response, now)})
	default:
		return misreadf("HTTP status %d", code)
	}
}

// retryAfter believes at most a day.
func retryAfter(response *http.Response, now time.Time) time.Time {
	told := response.Header.Get("Retry-After")
	at, err := http.ParseTime(told)
	if seconds, notNumber := strconv.ParseUint(told, 10, 32); notNumber == nil {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	switch {
	case err != nil || !at.After(now):
		return time.Time{}
	case at.After(now.Add(24 * time.Hour)):
		return now.Add(24 * time.Hour)
	}
	return at
}

// clip bounds a text of the bank: one line, no control characters, 300
// characters.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
	if runes := []rune(s); len(runes) > 300 {
		s = string(runes[:299]) + "…"
	}
	return s
}
