package bank

import (
	"testing"
	"time"
)

// Until when a bank trusts an access: what the law allows, what the institution
// says, what the session says, whichever is first.
func TestTrust(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	strong := noon.Add(-10 * day)
	for name, c := range map[string]struct {
		access      Access
		institution time.Duration
		want        time.Time
	}{
		"never asked, nothing known":          {Access{}, 0, time.Time{}},
		"a session of some hours is no trust": {Access{SessionExpires: noon.Add(2 * time.Hour)}, 0, time.Time{}},
		"the session says":                    {Access{SessionExpires: noon.Add(90 * day)}, 0, noon.Add(90 * day)},
		"180 days after an answer":            {Access{StrongAt: strong}, 0, strong.Add(180 * day)},
		"the institution knows better":        {Access{StrongAt: strong}, 90 * day, strong.Add(90 * day)},
		"the session ends first":              {Access{StrongAt: strong, SessionExpires: noon.Add(30 * day)}, 0, noon.Add(30 * day)},
		"the session outlives the law":        {Access{StrongAt: strong, SessionExpires: noon.Add(400 * day)}, 0, strong.Add(180 * day)},
		"it should have asked, and did not":   {Access{StrongAt: noon.Add(-181 * day)}, 0, time.Time{}},
		"nothing is kept":                     {Access{StrongAt: strong, Lent: true}, 0, time.Time{}},
	} {
		if got := c.access.trust(c.institution, noon); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Fourteen, seven and one civil days before, each once, and none late.
func TestDueWarning(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	late := time.Date(2026, 5, 4, 21, 59, 0, 0, time.UTC) // a minute before midnight in Paris
	for name, c := range map[string]struct {
		access Access
		now    time.Time
		want   int
		due    bool
	}{
		"fifteen days":                     {Access{TrustedUntil: noon.AddDate(0, 0, 15)}, noon, 0, false},
		"fourteen":                         {Access{TrustedUntil: noon.AddDate(0, 0, 14)}, noon, 14, true},
		"fourteen, told":                   {Access{TrustedUntil: noon.AddDate(0, 0, 14), TrustWarned: 14}, noon, 14, false},
		"ten, never told":                  {Access{TrustedUntil: noon.AddDate(0, 0, 10)}, noon, 14, true},
		"five, fourteen was missed":        {Access{TrustedUntil: noon.AddDate(0, 0, 5)}, noon, 7, true},
		"seven, told of fourteen":          {Access{TrustedUntil: noon.AddDate(0, 0, 7), TrustWarned: 14}, noon, 7, true},
		"one":                              {Access{TrustedUntil: noon.AddDate(0, 0, 1), TrustWarned: 7}, noon, 1, true},
		"the same day, told":               {Access{TrustedUntil: noon.Add(time.Hour), TrustWarned: 1}, noon, 1, false},
		"a session renewed each night":     {Access{TrustedUntil: noon.AddDate(0, 0, 14), TrustWarned: 7}, noon, 14, false},
		"over":                             {Access{TrustedUntil: noon.Add(-time.Hour), TrustWarned: 7}, noon, 0, false},
		"paused: they were told already":   {Access{TrustedUntil: noon.AddDate(0, 0, 1), Pause: PausedForAnswer}, noon, 0, false},
		"disabled":                         {Access{TrustedUntil: noon.AddDate(0, 0, 1), Disabled: true}, noon, 0, false},
		"a minute, over midnight in Paris": {Access{TrustedUntil: late.Add(2 * time.Minute), TrustWarned: 7}, late, 1, true},
	} {
		warning, _, due := c.access.dueWarning(c.now, paris)
		if due != c.due || due && warning != c.want {
			t.Errorf("%s: %d %v", name, warning, due)
		}
	}
}
