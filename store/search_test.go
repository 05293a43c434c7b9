package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// A sample is a request as the tests of searching send it.
type sample struct {
	id                        int
	event, title, scope       string
	organization, siret, mail string
}

func (s sample) send(t *testing.T, d *grant.Desk, at int) {
	t.Helper()
	text := fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"draft",
"data":{"intitule":%q,"scopes":[%q]},"organization":{"name":%q,"siret":%q},"applicant":{"email":%q,"given_name":"Zoé"}}}`,
		s.event, at, s.id, s.title, s.scope, s.organization, s.siret, s.mail)
	if _, err := d.Receive(t.Context(), "api_entreprise", grant.V2, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func numbers(t *testing.T, o grant.Office, s grant.Search) (all []string) {
	t.Helper()
	for pages := 0; ; pages++ {
		found, err := o.Search(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found.Requests {
			all = append(all, r.ExternalID)
		}
		if found.Next == "" {
			return all
		}
		if s.After = found.Next; pages > 100 {
			t.Fatal("the pages never end")
		}
	}
}

var samples = []sample{
	{1, "create", "Marchés publics de Valmont", "entreprises", "COMMUNE DE VALMONT", "21730065600011", "claire@valmont.example"},
	{2, "approve", "Aides économiques", "attestations", "RÉGION DU NORD", "23590001200010", "achats@nord.example"},
	{3, "archive", "Marché couvert", "entreprises", "COMMUNE DE BREUIL", "21140101600016", "mairie@breuil.example"},
	{4, "approve", "Marchés 100% en ligne", "entreprises", "DÉPARTEMENT", "22690001700013", "claire@valmont.example"},
	{5, "refuse", "Subventions_2026", "attestations", "COMMUNE DE VALMONT", "21730065600011", "dsi@valmont.example"},
}

func TestSearch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d, office := desk(db), db.Grant()
		var received []time.Time
		for i, s := range samples {
			received = append(received, db.Clock.Now())
			s.send(t, d, 1777880000+i)
			db.Clock.Advance(time.Hour)
		}
		samples[0].send(t, d, 1777890000) // the latest change
		for name, c := range map[string]struct {
			search grant.Search
			want   string
		}{
			"everything but what never mattered":  {grant.Search{}, "5 4 2 1"},
			"the oldest first":                    {grant.Search{Order: grant.ByOldest}, "1 2 4 5"},
			"the latest change first":             {grant.Search{Order: grant.ByChanged}, "1 5 4 2"},
			"archived asked for":                  {grant.Search{Status: grant.Archived}, "3"},
			"archived with the rest":              {grant.Search{Archived: true}, "5 4 3 2 1"},
			"status":                              {grant.Search{Status: grant.Validated}, "4 2"},
			"provider and status":                 {grant.Search{Provider: "api_entreprise", Status: grant.Refused}, "5"},
			"another provider":                    {grant.Search{Provider: "api_particulier"}, ""},
			"scope":                               {grant.Search{Scope: "entreprises"}, "4 1"},
			"SIRET":                               {grant.Search{SIRET: "217 300 656 00011"}, "5 1"},
			"SIREN as words":                      {grant.Search{Words: "217 300 656"}, "5 1"},
			"e-mail":                              {grant.Search{Email: "Claire@Valmont.example"}, "4 1"},
			"words begin, accents and case aside": {grant.Search{Words: "MARCHE val"}, "4 1"},
			"a word in the middle is none":        {grant.Search{Words: "arches"}, ""},
			"a number":                            {grant.Search{Words: "2"}, "5 4 2 1"}, // 217…, 2026
			"what looks like a pattern":           {grant.Search{Words: "100%"}, "4"},
			"another one":                         {grant.Search{Words: "_"}, "5 4 2 1"},
			"a quote":                             {grant.Search{Words: "' OR 1=1 --"}, ""},
			"since":                               {grant.Search{From: received[3]}, "5 4"},
			"until":                               {grant.Search{To: received[1]}, "1"},
			"between, the oldest first":           {grant.Search{From: received[1], To: received[4], Order: grant.ByOldest}, "2 4"},
			"by change, and rare":                 {grant.Search{Words: "valmont", Order: grant.ByChanged}, "1 5 4"},
		} {
			for _, size := range []int{1, 2, 50} {
				c.search.Limit = size
				if got := strings.Join(numbers(t, office, c.search), " "); got != c.want {
					t.Errorf("%s, pages of %d: %q, want %q", name, size, got, c.want)
				}
			}
		}
		if _, err := office.Search(t.Context(), grant.Search{After: "no.such/page"}); err == nil {
			t.Error("a page that begins nowhere was given")
		}
	})
}

// Whatever happens to a request, searches find it as it is now, and what was
// purged is found by nothing of its people.
func TestSearchFollowsChanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d, office := desk(db), db.Grant()
		s := samples[0]
		s.send(t, d, 1777880000)
		if got := numbers(t, office, grant.Search{Email: s.mail}); len(got) != 1 {
			t.Fatalf("found %v", got)
		}
		s.mail, s.title, s.event = "nora@valmont.example", "Cantines", "update"
		s.send(t, d, 1777880001)
		for mail, want := range map[string]int{"claire@valmont.example": 0, "nora@valmont.example": 1} {
			if got := numbers(t, office, grant.Search{Email: mail}); len(got) != want {
				t.Errorf("%s finds %v", mail, got)
			}
		}
		s.event = "archive"
		s.send(t, d, 1777880002)
		if got := numbers(t, office, grant.Search{}); len(got) != 0 {
			t.Errorf("an archived request is listed: %v", got)
		}
		db.Clock.Advance(800 * time.Hour)
		if _, purged, err := d.Sweep(t.Context()); err != nil || purged != 1 {
			t.Fatal(purged, err)
		}
		if n, err := office.Index(t.Context()); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if left := db.Value("SELECT terms FROM request_index"); strings.Contains(left, "valmont") || strings.Contains(left, "cantines") {
			t.Errorf("a purged request is still found by %q", left)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM request_terms"); n != "5" { // a, p, s, ps and its number
			t.Errorf("%s terms are left", n)
		}
	})
}

// The same questions, by the index and by looking at every request.
func TestSearchLikeAReader(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d, office := desk(db), db.Grant()
		dice := rand.New(rand.NewPCG(7, 7))
		pick := func(of ...string) string { return of[dice.IntN(len(of))] }
		var all []sample
		for i := range 150 {
			s := sample{
				i + 1, pick("create", "approve", "refuse", "submit"), pick("Marchés", "Aides", "Cantines") + " " + pick("publics", "de Breuil"),
				pick("a", "b"), pick("COMMUNE", "RÉGION"), pick("21730065600011", "21140101600016"), pick("x@a.example", "y@b.example"),
			}
			s.send(t, d, 1777880000+i)
			all = append(all, s)
		}
		status := map[string]grant.Status{"create": grant.Draft, "approve": grant.Validated, "refuse": grant.Refused, "submit": grant.Submitted}
		for range 40 {
			q := grant.Search{Limit: 1 + dice.IntN(20), Order: grant.Order(pick("", "oldest", "changed"))}
			q.Status = grant.Status(pick("", "", "draft", "validated"))
			q.Scope, q.Words, q.Email = pick("", "", "a"), pick("", "march", "breuil comm"), pick("", "", "y@b.example")
			var want []string
			for _, s := range all {
				title := strings.ToLower(s.title + " " + s.organization)
				if (q.Status == "" || status[s.event] == q.Status) && (q.Scope == "" || s.scope == q.Scope) && (q.Email == "" || s.mail == q.Email) &&
					(q.Words != "march" || strings.Contains(title, "march")) && (q.Words != "breuil comm" || strings.Contains(title, "breuil") && strings.Contains(title, "comm")) {
					want = append(want, fmt.Sprint(s.id))
				}
			}
			if q.Order != grant.ByOldest {
				slices.Reverse(want)
			}
			if d := cmp.Diff(want, numbers(t, office, q)); d != "" {
				t.Fatalf("%+v: every request (-), the index (+):\n%s", q, d)
			}
		}
	})
}

// All requests of an import came in one microsecond: each is found once, in their
// order, and none needed to try more than two places.
func TestSearchAfterImport(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d, office := desk(db), db.Grant()
		var tokens []grant.IssuedToken
		var want []string
		for i := range 300 {
			one := grant.IssuedToken{
				ID: db.Clock.Clock().NewID(), Request: strconv.Itoa(1000 + i), IssuedAt: db.Clock.Now(), ExpiresAt: db.Clock.Now().AddDate(1, 0, 0),
				Scopes: []string{"entreprises"}, Owner: "claire@valmont.example", Title: "Subventions",
			}
			tokens, want = append(tokens, one), append(want, one.Request)
		}
		if _, err := d.Import(t.Context(), guichet.System("test"), "api_entreprise", tokens, false); err != nil {
			t.Fatal(err)
		}
		if n := db.Value("SELECT CAST(COUNT(DISTINCT created_at) AS TEXT) FROM requests"); n != "1" {
			t.Fatalf("they came at %s instants", n)
		}
		for _, text := range countTries[db.Engine()] {
			db.SQL(text)
		}
		found := numbers(t, office, grant.Search{Words: "subventions", Order: grant.ByOldest})
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("(-imported +found):\n%s", diff)
		}
		if n, err := strconv.Atoi(db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM tries")); err != nil || n < len(want) || n > 2*len(want) {
			t.Errorf("%d tries for %d places, %v", n, len(want), err)
		}
	})
}

// countTries has each insertion into the index counted, also one that finds its place
// taken.
var countTries = map[store.Engine][]string{
	store.SQLite: {
		"CREATE TABLE tries (n BIGINT)",
		"CREATE TRIGGER tried BEFORE INSERT ON request_index BEGIN INSERT INTO tries VALUES (NEW.n); END",
	},
	store.PostgreSQL: {
		"CREATE TABLE tries (n BIGINT)",
		"CREATE FUNCTION tried() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO tries VALUES (NEW.n); RETURN NEW; END'",
		"CREATE TRIGGER tried BEFORE INSERT ON request_index FOR EACH ROW EXECUTE FUNCTION tried()",
	},
}

// Two processes that index at once leave what one would.
func TestIndexTwice(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, store.PostgreSQL)
	d, other := desk(db), db.Open().Grant()
	for i := range 60 {
		s := samples[i%len(samples)]
		s.id = i + 1
		s.send(t, d, 1777880000)
	}
	done := make(chan error, 2)
	for _, g := range []store.Grant{db.Grant(), other} {
		go func() { _, err := g.Index(t.Context()); done <- err }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM request_index"); n != "60" {
		t.Errorf("%s requests in the index", n)
	}
	if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM request_queue"); n != "0" {
		t.Errorf("%s still wait", n)
	}
}
