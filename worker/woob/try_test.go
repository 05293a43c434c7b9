package woob

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	simbank "guichet/sim/bank"
)

type logSink struct{ t *testing.T }

func (s logSink) Progress(p bank.Phase, a, b int) { s.t.Log("progress", p, a, b) }
func (s logSink) Account(a ledger.Account) error  { s.t.Logf("%+v", a); return nil }
func (s logSink) Transactions(r string, ts []ledger.Transaction) error {
	s.t.Log(r, len(ts))
	s.t.Logf("%+v", ts[0])
	return nil
}
func (s logSink) Warn(c, r string) { s.t.Log("warn", c, r) }

func TestTry(t *testing.T) {
	site := simbank.New(guichet.SystemClock())
	server := httptest.NewServer(site)
	defer server.Close()
	c, err := New(Config{Python: "../../.cache/woob/bin/python", Modules: "testdata/modules", Clock: guichet.SystemClock(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Modules(t.Context())
	t.Logf("%+v %v", m, err)
	for _, login := range []string{"simple", "otp", "app", "redirect", "captcha", "wrongpass", "expiredpass", "banned", "terms", "outage", "garbage"} {
		run := bank.Run{Institution: "guichetsim", Op: bank.FetchAll, Present: true, Now: time.Now(), Credentials: map[string]guichet.Secret{
			"login": guichet.Secret(login), "password": "sésame", "website": guichet.Secret(server.URL),
		}}
		r := c.Run(context.Background(), run, logSink{t})
		t.Logf("== %s %+v %+v %d", login, r.Outcome, r.Outcome.Question, len(r.State))
	}
}
