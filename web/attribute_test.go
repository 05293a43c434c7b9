package web_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var (
	tag    = regexp.MustCompile(`<[a-zA-Z][^<>"]*(?:"[^"]*"[^<>"]*)*>`)
	quoted = regexp.MustCompile(`"[^"]*"`)
)

// twice names the attributes that an element of a page has twice. A browser keeps
// the first, which a template may have written empty.
func twice(page string) (found []string) {
	for _, t := range tag.FindAllString(page, -1) {
		seen := map[string]bool{}
		for _, a := range strings.Fields(quoted.ReplaceAllString(strings.TrimSuffix(strings.TrimSuffix(t, ">"), "/"), ""))[1:] {
			name, _, _ := strings.Cut(a, "=")
			if seen[name] {
				found = append(found, name+" in "+t)
			}
			seen[name] = true
		}
	}
	return found
}

func TestNoAttributeTwice(t *testing.T) {
	if len(twice(`<p class="a b" id="c"></p><a data-key data-key="x" href="/?a=b">y</a><br/>`)) != 1 {
		t.Error("the test does not see what it looks for")
	}
	s := gallery(t)
	for _, name := range names() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/gallery/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", name, answer.StatusCode, err)
		}
		for _, a := range twice(string(page)) {
			t.Errorf("%s: %s", name, a)
		}
	}
}
