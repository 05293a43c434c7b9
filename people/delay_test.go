package people

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 5, 4, 7, 33, 21, 0, time.UTC)

func TestDelayLaw(t *testing.T) {
	for n, want := range map[int64]time.Duration{
		0: 0, 1: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 7: 2 * time.Minute, 8: 4 * time.Minute,
		9: 8 * time.Minute, 10: 15 * time.Minute, 11: 15 * time.Minute, 1 << 62: 15 * time.Minute, -1: 0,
	} {
		if got := Delay(n); got != want {
			t.Errorf("after %d failures: %v, want %v", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<40).Draw(t, "n")
		if a, b := Delay(n), Delay(n+1); a > b || b > longestDelay {
			t.Fatalf("%d: %v, %d: %v", n, a, n+1, b)
		}
	})
}

// Whenever an attacker tries, however impatiently, no 24 hours let in more than
// 110 wrong attempts, and nobody ever waits longer than the longest delay.
func TestNoScheduleTriesMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Failures
		var let []time.Time
		now := start
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			until := f.RetryAt(now)
			if wait := until.Sub(now); wait > longestDelay || wait < 0 {
				t.Fatalf("after %d failures: wait %v", f.Count, wait)
			}
			if !until.After(now) {
				f = f.counted(now)
				let = append(let, now)
			}
			switch rapid.IntRange(0, 4).Draw(t, "pause") {
			case 0:
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "short")))
			case 1:
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "long")))
			default: // as soon as possible, the best an attacker can do
				if next := f.RetryAt(now); next.After(now) {
					now = next
				}
			}
		}
		for i, first := range let {
			n := 0
			for _, at := range let[i:] {
				if at.Sub(first) < 24*time.Hour {
					n++
				}
			}
			if n > 110 {
				t.Fatalf("%d attempts let in within a day", n)
			}
		}
	})
}

func TestFailuresAreForgotten(t *testing.T) {
	f := Failures{Count: 20, LastAt: start}
	for _, c := range []struct {
		now  time.Time
		want time.Duration // to wait
	}{
		{start, 15 * time.Minute},
		{start.Add(14 * time.Minute), time.Minute},
		{start.Add(15 * time.Minute), 0},
		{start.Add(-time.Minute), 16 * time.Minute}, // another replica's clock, a little behind
		{start.AddDate(-1, 0, 0), 0},                // a clock that was a year ahead
		{start.Add(ForgetAfter), 0},
	} {
		if got := max(0, f.RetryAt(c.now).Sub(c.now)); got != c.want {
			t.Errorf("at %v: wait %v, want %v", c.now, got, c.want)
		}
	}
	if got := f.counted(start.Add(time.Hour)); got.Count != 21 {
		t.Errorf("an hour later: %d", got.Count)
	}
	if got := f.counted(start.Add(ForgetAfter)); got.Count != 1 {
		t.Errorf("a day later: %d", got.Count)
	}
	if got := (Failures{}).takenBack(); got.Count != 0 {
		t.Errorf("taken back from nothing: %d", got.Count)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := Failures{Count: rapid.Int64Range(0, 50).Draw(t, "n"), LastAt: start}
		if got := f.counted(start.Add(time.Minute)).takenBack(); got.Count != f.Count {
			t.Fatalf("counted and taken back: %d, was %d", got.Count, f.Count)
		}
	})
}

func TestAddressKeys(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.7": "ip/192.0.2.7", "::ffff:192.0.2.7": "ip/192.0.2.7", "2001:db8:1:2:3:4:5:6": "ip/2001:db8:1:2::/64",
		"2001:db8:1:2::1": "ip/2001:db8:1:2::/64", "fe80::1%eth0": "ip/fe80::/64",
	} {
		if got := addressKey(netip.MustParseAddr(from)); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if got := addressKey(netip.Addr{}); got != "" {
		t.Errorf("no address: %q", got)
	}
	if a, b := emailKey("a@b.fr"), emailKey("c@b.fr"); a == b || len(a) != len("email/")+32 {
		t.Errorf("%s, %s", a, b)
	}
}
