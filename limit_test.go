package guichet_test

import (
	"net/netip"
	"testing"

	"guichet"
)

func TestLimitAdmits(t *testing.T) {
	t.Parallel()
	l, err := guichet.ParseLimit([]string{"192.0.2.7/24", "2001:db8::1", "192.0.2.0/24"}, 0)
	if err != nil || l.String() != "192.0.2.0/24 2001:db8::1/128" {
		t.Fatalf("%v, %v", l, err)
	}
	for text, want := range map[string]bool{
		"192.0.2.0": true, "192.0.2.255": true, "::ffff:192.0.2.9": true, "2001:db8::1": true, "2001:db8::1%eth0": true,
		"192.0.3.0": false, "2001:db8::2": false, "::192.0.2.9": false,
	} {
		if got := l.Admits(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if l.Admits(netip.Addr{}) || !(guichet.Limit{}).Admits(netip.Addr{}) {
		t.Error("an address that nobody knows is in no network, and needs none where there is none")
	}
}

func TestParseLimitRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, guichet.MostNetworks+1)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()
	}
	for _, from := range [][]string{{""}, {"x"}, {"192.0.2.0/33"}, {"192.0.2"}, {"fe80::1%eth0"}, {"::ffff:192.0.2.0/120"}, {"::ffff:192.0.2.1"}, many} {
		if l, err := guichet.ParseLimit(from, 0); guichet.CodeOf(err) != "invalid_limit" {
			t.Errorf("%q: %v, %v", from, l, err)
		}
	}
	for _, rate := range []int{-1, guichet.MostPerMinute + 1} {
		if l, err := guichet.ParseLimit(nil, rate); guichet.CodeOf(err) != "invalid_limit" {
			t.Errorf("%d: %v, %v", rate, l, err)
		}
	}
}
