package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"guichet"
	simdatapass "guichet/sim/datapass"
	"guichet/store/storetest"
)

// PostgreSQL is stopped in the middle of everything: connections stand and nothing
// answers. What is delivered is refused with 503 within a bound and never taken for
// received; a token is refused with 503 by the server, which looks at its row, and
// let through by a gateway from its memory until its lease ends, no longer. When the
// database goes on, the same delivery sent again is taken, once.
func TestFrozenPostgreSQL(t *testing.T) {
	t.Parallel()
	const lease = 8 * time.Second
	db, freeze := storetest.Apart(t)
	address := freeAddress(t)
	s := startServerOn(t, db, address, address)
	_, jwt := newToken(t, s, 1)
	edge := s.edge(t, "edge", freeAddress(t), s.address, lease, spot{})
	until(t, 30*time.Second, "the gateway lets the token through", func() bool { return status(edge, jwt) == http.StatusNoContent })
	if got := send(t, s, jwt).status; got != http.StatusNoContent {
		t.Fatalf("the server: %d", got)
	}

	update := delivery("update", 1_777_880_001, 1)
	thaw := freeze()
	frozen := time.Now()
	if err := quickly(t, db); err == nil {
		t.Fatal("the database answers although it is stopped")
	}
	answers := make(chan sent, 1)
	go func() { answers <- deliverTo(t, s, update) }()
	checks := make(chan sent, 1)
	go func() { checks <- send(t, s, jwt) }()
	pages := make(chan sent, 1)
	go func() { pages <- openPage(t, s) }()

	// The gateway, asked all the while.
	var last time.Time
	remembered := 0
	for time.Since(frozen) < 2*lease {
		began := time.Now()
		switch got := status(edge, jwt); got {
		case http.StatusNoContent:
			last = began
			remembered++
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("the gateway answered %d", got)
		}
		<-time.After(20 * time.Millisecond)
	}
	if got := status(edge, jwt); got != http.StatusServiceUnavailable {
		t.Errorf("the gateway, after twice its lease: %d", got)
	}
	if kept := last.Sub(frozen); remembered == 0 || kept > lease || kept < lease/4 {
		t.Errorf("the gateway let %d through, the last %v after the database stopped", remembered, kept)
	}
	check := <-checks
	if check.status != http.StatusServiceUnavailable || check.took > 10*time.Second {
		t.Errorf("/check of the server: %d after %v", check.status, check.took)
	}
	answer := <-answers
	if answer.status != http.StatusServiceUnavailable || answer.took > 30*time.Second || answer.retry == "" {
		t.Errorf("the delivery: %+v", answer)
	}
	page := <-pages
	if page.status != http.StatusServiceUnavailable || page.took > time.Minute || !strings.Contains(page.body, "La page n’était pas prête à temps") {
		t.Errorf("a page: %d after %v: %s", page.status, page.took, page.body)
	}
	if err := quickly(t, db); err == nil {
		t.Error("the database answered before it was let go on")
	}
	t.Logf("the delivery was refused after %v, a token by the server after %v, a page after %v; the gateway let %d through, the last after %v",
		answer.took, check.took, page.took, remembered, last.Sub(frozen))

	thaw()
	until(t, 30*time.Second, "the delivery is taken", func() bool { return deliverTo(t, s, update).status == http.StatusOK })
	if got := deliverTo(t, s, update).status; got != http.StatusOK {
		t.Errorf("sent once more: %d", got)
	}
	for i, effect := range db.Column("SELECT effect FROM deliveries WHERE event = 'update' ORDER BY id") {
		if want := map[bool]string{true: "applied", false: "duplicate"}[i == 0]; effect != want {
			t.Errorf("copy %d of the delivery is %s", i+1, effect)
		}
	}
	if got := send(t, s, jwt).status; got != http.StatusNoContent {
		t.Errorf("the server: %d", got)
	}
	until(t, 30*time.Second, "the gateway lets the token through again", func() bool { return status(edge, jwt) == http.StatusNoContent })
}

// quickly asks the database for nothing, with little patience.
func quickly(t *testing.T, db *storetest.DB) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return db.Ping(ctx)
}

// sent is how something that was asked for went.
type sent struct {
	status int
	retry  string
	body   string
	took   time.Duration
}

func deliverTo(t *testing.T, s runningServer, body string) sent {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/api/datapass/v2/api_entreprise/webhook", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return sent{}
	}
	r.Header.Set("X-Hub-Signature-256", simdatapass.Sign(guichet.Secret("dev-verify-token"), []byte(body)))
	return timedBy(t, r)
}

// openPage opens a page with a cookie that only the database can tell from a good one.
func openPage(t *testing.T, s runningServer) sent {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/requests", http.NoBody)
	if err != nil {
		t.Error(err)
		return sent{}
	}
	r.Header.Set("Cookie", "guichet=somebody")
	return timedBy(t, r)
}

// send asks the server itself about a token.
func send(t *testing.T, s runningServer, jwt string) sent {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/check", http.NoBody)
	if err != nil {
		t.Error(err)
		return sent{}
	}
	r.Header.Set("Authorization", "Bearer "+jwt)
	return timedBy(t, r)
}

func timedBy(t *testing.T, r *http.Request) sent {
	began := time.Now()
	response, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		t.Error(err)
		return sent{}
	}
	body := readAll(response)
	_ = response.Body.Close()
	return sent{response.StatusCode, response.Header.Get("Retry-After"), body, time.Since(began)}
}
