package guichet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Limit narrows the use of a token: from which networks, and how often. The zero
// Limit narrows nothing.
type Limit struct {
	From      []netip.Prefix `json:"from,omitempty"`       // only from these; none: from anywhere
	PerMinute int            `json:"per_minute,omitempty"` // at each gateway; zero: as often as it likes
}

// What a token's limit may be at the most: it is part of what is sent at every
// request.
const (
	MostNetworks  = 16
	MostPerMinute = 1_000_000
)

// ParseLimit reads networks as people write them: 192.0.2.0/24, or one address.
func ParseLimit(from []string, perMinute int) (l Limit, err error) {
	for _, text := range from {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil || address.Zone() != "" {
				return Limit{}, limitError("from", "A network is an address, or one with a length: 192.0.2.0/24.")
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		if network.Addr().Is4In6() {
			return Limit{}, limitError("from", "An address of IPv4 is written as one: 192.0.2.0/24.")
		}
		if network = network.Masked(); !slices.Contains(l.From, network) {
			l.From = append(l.From, network)
		}
	}
	if len(l.From) > MostNetworks {
		return Limit{}, limitError("from", fmt.Sprintf("A token has %d networks at the most.", MostNetworks))
	}
	if l.PerMinute = perMinute; perMinute < 0 || perMinute > MostPerMinute {
		return Limit{}, limitError("per_minute", fmt.Sprintf("This is a number from 0 (no limit) to %d.", MostPerMinute))
	}
	return l, nil
}

func limitError(field, reason string) error {
	return &Error{Kind: Invalid, Code: "invalid_limit", Field: field, Reason: reason}
}

// String is the limit for a journal: networks, then the rate.
func (l Limit) String() string {
	if l.IsZero() {
		return "none"
	}
	var words []string
	for _, n := range l.From {
		words = append(words, n.String())
	}
	if l.PerMinute > 0 {
		words = append(words, fmt.Sprintf("%d/min", l.PerMinute))
	}
	return strings.Join(words, " ")
}

// IsZero tells whether nothing is narrowed.
func (l Limit) IsZero() bool { return len(l.From) == 0 && l.PerMinute == 0 }

// Admits tells whether a token may be used from an address. One that is not known
// is in no network.
func (l Limit) Admits(from netip.Addr) bool {
	if len(l.From) == 0 {
		return true
	}
	from = from.Unmap().WithZone("")
	return slices.ContainsFunc(l.From, func(n netip.Prefix) bool { return n.Contains(from) })
}
