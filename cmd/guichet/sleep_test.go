package main

import (
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
)

// A machine that sleeps keeps no lease: a gateway measures it by the clock that
// goes on meanwhile. Here Guichet is away and a gateway starts from what the last
// one kept, on a machine that has slept since: a time namespace, where that clock
// is ahead and everything else is as it was.
func TestMachineSlept(t *testing.T) {
	t.Parallel()
	const bound = 10 * time.Minute
	db, s := startServer(t)
	blocked, bad := newToken(t, s, 1)
	_, good := newToken(t, s, 2)
	state, credential := t.TempDir(), s.credential(t, "edge")
	start := func(upstream string, through ...string) *edgeProcess {
		e := runEdgeIn(t, spot{through: through}, freeAddress(t), []string{"GUICHET_GATEWAY_TOKEN=" + credential},
			"--upstream", "http://"+upstream, "--stale-after", bound.String(), "--state", state)
		t.Cleanup(func() { e.stop(syscall.SIGKILL) })
		return e
	}
	first := start(s.address)
	desk := &grant.Desk{Store: db.Grant(), Clock: guichet.SystemClock()}
	if _, err := desk.Block(t.Context(), guichet.System("test"), blocked, grant.Blocking{Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	until(t, 30*time.Second, "the gateway knows both", func() bool {
		return status(first, good) == http.StatusNoContent && status(first, bad) == http.StatusUnauthorized
	})
	first.stop(syscall.SIGTERM)

	slept := []string{"unshare", "--time"}
	if os.Geteuid() != 0 {
		slept = append(slept, "--map-root-user")
	}
	nobody := freeAddress(t)
	for _, c := range []struct {
		name      string
		through   []string
		good, bad int
	}{
		{"at once", nil, http.StatusNoContent, http.StatusUnauthorized},
		{"after a nap", append(slept, "--boottime", "300"), http.StatusNoContent, http.StatusUnauthorized},
		{"after a sleep longer than the bound", append(slept, "--boottime", "601"), http.StatusServiceUnavailable, http.StatusServiceUnavailable},
		// The clock that stands still in sleep has no say, or the line above proves nothing.
		{"with the other clock ahead", append(slept, "--monotonic", "36000"), http.StatusNoContent, http.StatusUnauthorized},
	} {
		e := start(nobody, c.through...)
		if status(e, good) != c.good || status(e, bad) != c.bad {
			t.Errorf("%s: %d for a good token, %d for a blocked one", c.name, status(e, good), status(e, bad))
		}
		e.stop(syscall.SIGTERM)
	}
}
