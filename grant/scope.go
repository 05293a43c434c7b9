package grant

import (
	"slices"
	"strings"
	"time"
)

// Scopes puts scopes in their canonical form: every open_data_… becomes one
// open_data, each once, sorted.
func Scopes(raw []string) []string {
	out := make([]string, 0, len(raw))
	for _, s := range raw {
		if strings.HasPrefix(s, "open_data_") {
			s = "open_data"
		}
		if s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// renamed gives scopes the names that tokens have for them.
func renamed(scopes []string, names map[string]string) []string {
	if len(names) == 0 {
		return scopes
	}
	out := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if name, told := names[s]; told {
			s = name
		}
		out = append(out, s)
	}
	return Scopes(out)
}

// Entitlement is what an approval grants: the newest active authorization of
// the provider's definition and its scopes, else the scopes of the payload.
// Nothing else may widen scopes.
func (p Payload) Entitlement(definition string) (authorization string, scopes []string) {
	var best *Authorization
	for i, a := range p.Authorizations {
		if a.Definition != definition || !a.Active() {
			continue
		}
		if best == nil || newer(a, *best) {
			best = &p.Authorizations[i]
		}
	}
	if best == nil {
		return "", Scopes(p.Scopes)
	}
	if len(best.Scopes) == 0 {
		return best.ID, Scopes(p.Scopes)
	}
	return best.ID, Scopes(best.Scopes)
}

func newer(a, b Authorization) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.After(b.CreatedAt)
	}
	if len(a.ID) != len(b.ID) { // numbers of the source: longer is larger
		return len(a.ID) > len(b.ID)
	}
	return a.ID > b.ID
}

// paris is where the days of a token begin and end.
var paris = mustLocation("Europe/Paris")

func mustLocation(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		panic("grant: no time zone data: " + err.Error())
	}
	return l
}

// months adds calendar months in Paris and stays in the month aimed at: 31
// August plus 18 months is the last day of February, not 3 March.
func months(t time.Time, n int) time.Time {
	l := t.In(paris)
	first := time.Date(l.Year(), l.Month()+time.Month(n), 1, l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), paris)
	last := time.Date(first.Year(), first.Month()+1, 0, 0, 0, 0, 0, paris).Day()
	return time.Date(first.Year(), first.Month(), min(l.Day(), last), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), paris).UTC()
}

// Lifetime of a token, in calendar months.
const Lifetime = 18

// ExpiryFrom is when a token issued or prolonged at t ends.
func ExpiryFrom(t time.Time) time.Time { return months(t, Lifetime) }
