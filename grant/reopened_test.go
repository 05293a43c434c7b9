package grant

import (
	"fmt"
	"testing"
	"time"
)

// What says whether a validated request is instructed again, in whatever order it
// came: the newest event that begins such an instruction or ends one.
func TestReopened(t *testing.T) {
	begins := []string{"create", "created", "create_by_api", "update", "updated", "update_by_api", "submit", "send_application", "request_changes", "review_application", "notify", "reopen"}
	ends := []string{"approve", "validate", "validate_application", "refuse", "refuse_application", "cancel_reopening", "archive", "delete"}
	neither := []string{"transfer", "revoke", "import", "whatever"}
	type step struct {
		sent string
		at   int64
	}
	check := func(want bool, steps ...step) {
		t.Helper()
		var events, reversed []SourceEvent
		for _, s := range steps {
			e := SourceEvent{Sent: s.sent, At: time.Unix(s.at, 0)}
			events, reversed = append(events, e), append([]SourceEvent{e}, reversed...)
		}
		if Reopened(events) != want || steps[0].at != steps[len(steps)-1].at && Reopened(reversed) != want {
			t.Errorf("%s: %t", fmt.Sprint(steps), !want)
		}
	}
	for _, begin := range begins {
		check(true, step{begin, 1})
		for _, end := range ends {
			check(false, step{begin, 1}, step{end, 2})
			check(true, step{end, 1}, step{begin, 2})
			for _, other := range neither {
				check(false, step{begin, 1}, step{end, 2}, step{other, 3})
				check(true, step{end, 1}, step{begin, 2}, step{other, 3})
			}
		}
	}
	// Within a second an approval is the last, as everywhere in the rules; of two that
	// are equal in this, the one that came last.
	check(false, step{"submit", 1}, step{"approve", 1})
	check(false, step{"approve", 1}, step{"submit", 1})
	check(false, step{"reopen", 1}, step{"cancel_reopening", 1})
	check(true, step{"cancel_reopening", 1}, step{"reopen", 1})
	if Reopened(nil) {
		t.Error("of what nothing was told")
	}
}
