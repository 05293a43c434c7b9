package canary_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"guichet"
	"guichet/canary"
)

// A deaf test hears no error and ends when it is told to.
type deaf struct {
	testing.TB

	errors []string
	ends   []func()
}

func (d *deaf) Errorf(string, ...any) { d.errors = append(d.errors, "an error") }
func (d *deaf) Cleanup(f func())      { d.ends = append(d.ends, f) }

// A secret in an answer, in a header, in a log or in a mail is found when the test
// ends, even when nobody knew that it was one while it passed.
func TestPlantedAtTheDoor(t *testing.T) {
	t.Parallel()
	test := &deaf{TB: t}
	d := canary.NewDoor(test, canary.Showing{
		Place: regexp.MustCompile(`^answer 201 to POST /made$`), Kind: regexp.MustCompile(`door_test.go`), Reason: "it is new",
	})
	secret := "cnry-typed-by-somebody"
	server := httptest.NewServer(d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.Header().Set("Location", "/?code="+secret)
		case "/made":
			w.WriteHeader(http.StatusCreated)
			fallthrough
		case "/body":
			_, _ = io.WriteString(w, "you said "+secret)
			w.(http.Flusher).Flush()
		}
	})))
	defer server.Close()
	for _, path := range []string{"/body", "/header", "/made", "/nothing"} {
		response, err := http.Post(server.URL+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	var log strings.Builder
	d.Log(&log).Debug("tried", "password", secret)
	if !strings.Contains(log.String(), secret) {
		t.Errorf("the log did not pass: %s", &log)
	}
	d.Log(nil).Info("tried", "password", guichet.Secret(secret)) // this one hides itself
	d.Pass("a mail", []byte("Subject: x\r\n\r\ncnry-typed=\r\n-by-somebody\r\n"))
	guichet.Secret(secret).Reveal() // only now is it known
	server.Close()
	var places []string
	for _, f := range d.Close() {
		places = append(places, f.Place)
	}
	slices.Sort(places)
	if want := []string{"a log", "a mail", "answer 200 to POST /body", "answer 200 to POST /header"}; !slices.Equal(places, want) {
		t.Errorf("found in %q, want %q", places, want)
	}
	for _, end := range test.ends {
		end()
	}
	if len(test.errors) != len(places) {
		t.Errorf("the test failed %d times", len(test.errors))
	}
}
