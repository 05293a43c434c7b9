//go:build !planted

package gateway

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The suite bites: each bug of planted.go is built in, and the tests named here
// must then fail. Without any they pass, built the same way.
func TestPlantedBugsAreCaught(t *testing.T) {
	t.Parallel()
	const model, bits = "TestModel", "TestBitsAreOrderedAsTheStandardSays|TestOutOfRangeIsNotKnown"
	for _, bug := range []struct{ name, pkg, tests string }{
		{"lease-from-receipt", "guichet/gateway", model},
		{"wall-clock", "guichet/gateway", model},
		{"fail-open", "guichet/gateway", model},
		{"verdict-cache", "guichet/gateway", "TestRevokedIsRefusedAtOnceAndForEver/sqlite"},
		{"out-of-range-is-valid", "guichet/blocklist", bits},
		{"msb-first", "guichet/blocklist", bits},
		{"sequence-gap", "guichet/store", "TestBlocklistFollowsCommits"},
		{"", "guichet/store", "TestBlocklistFollowsCommits"},
		{"", "guichet/gateway", "TestLeaseCountsFromTheQuestion|TestTokensThatAreNotQuiteOurs|TestMiddleware"},
		{"", "guichet/blocklist", bits},
	} {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-vet=off", "-tags", "planted",
			"-ldflags", "-X guichet/gateway.planted="+bug.name+" -X guichet/blocklist.planted="+bug.name+" -X guichet/store.planted="+bug.name, "-run", bug.tests, bug.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the program is built: what they share is compiled once
		out, err := cmd.CombinedOutput()
		ran := strings.Contains(string(out), "--- FAIL: ") || strings.Contains(string(out), "ok  \t"+bug.pkg)
		switch {
		case !ran || strings.Contains(string(out), "no tests to run"):
			t.Fatalf("%q: nothing was tested: %v\n%s", bug.name, err, out)
		case bug.name == "" && err != nil:
			t.Errorf("without a bug: %v\n%s", err, out)
		case bug.name != "" && err == nil:
			t.Errorf("%s is not caught by %s of %s", bug.name, bug.tests, bug.pkg)
		}
	}
}
