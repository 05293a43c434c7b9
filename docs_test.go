package guichet_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the documents name exists, and what the code has is named. A document that
// lies is worse than none.

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "docs/gateways/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			all[path] = document(t, path)
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

// anchor is what a heading is linked by.
func anchor(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	return strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, ""), " ", "-")
}

// Every link inside the repository leads somewhere.
func TestDocsLinks(t *testing.T) {
	all := documents(t)
	anchors := map[string][]string{}
	for path, text := range all {
		for _, heading := range regexp.MustCompile(`(?m)^#+ .*$`).FindAllString(text, -1) {
			anchors[path] = append(anchors[path], anchor(heading))
		}
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, fragment, _ := strings.Cut(m[1], "#")
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
			if fragment != "" && !slices.Contains(anchors[to], fragment) {
				t.Errorf("%s links to %s: there is no such heading", path, m[1])
			}
		}
	}
}

// A line of a list or a table stands once: two merges that both keep theirs leave it
// twice, and one of the two is old.
func TestDocsSayThingsOnce(t *testing.T) {
	for path, text := range documents(t) {
		seen, table := map[string]bool{}, 0
		for _, line := range strings.Split(text, "\n") {
			key := line
			switch {
			case strings.HasPrefix(line, "| --"):
				table++
				continue
			case strings.HasPrefix(line, "| "):
				first, _, _ := strings.Cut(line[2:], " |")
				key = strconv.Itoa(table) + first
			case !strings.HasPrefix(line, "* "):
				continue
			case len(line) > 60:
				key = line[:60]
			}
			if len(key) > 10 && seen[key] {
				t.Errorf("%s says twice: %s", path, line[:min(len(line), 80)])
			}
			seen[key] = true
		}
	}
}

// Every test that a document names is there, and every invariant of the table.
func TestDocsNameRealTests(t *testing.T) {
	tests := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test {
				tests[f.Name.Name] = true
			}
		}
	}
	name := regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]+(…)?`)
	for path, text := range documents(t) {
		for _, m := range name.FindAllString(text, -1) {
			prefix, open := strings.CutSuffix(m, "…")
			found := tests[m]
			for have := range tests {
				found = found || open && strings.HasPrefix(have, prefix)
			}
			if !found {
				t.Errorf("%s names %s, which does not exist", path, m)
			}
		}
	}
	_, table, ok := strings.Cut(document(t, "ARCHITECTURE.md"), "## What must stay true")
	if !ok {
		t.Fatal("no table of what must stay true")
	}
	checks := document(t, "store/check.go") + document(t, "store/check_bank.go")
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(table, -1) {
		if !strings.Contains(checks, `{"`+m[1]+`"`) {
			t.Errorf("ARCHITECTURE.md names the invariant %q, which is not checked", m[1])
		}
	}
}

// Every code of an error is in docs/errors.md, and every code there exists.
func TestDocsListErrors(t *testing.T) {
	codes := map[string]string{}
	words := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok {
				if word, err := strconv.Unquote(l.Value); err == nil {
					words[word] = true
				}
			}
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, isName := pair.Key.(*ast.Ident)
			value, isText := pair.Value.(*ast.BasicLit)
			if isName && isText && key.Name == "Code" {
				code, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				codes[code] = s.path
			}
			return true
		})
	}
	if len(codes) < 50 {
		t.Fatalf("only %d codes found", len(codes))
	}
	text := document(t, "docs/errors.md")
	for code, path := range codes {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("%s: the code %q is not in docs/errors.md", path, code)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(text, -1) {
		if !words[m[1]] {
			t.Errorf("docs/errors.md lists %q, which no code has", m[1])
		}
	}
}

// Every setting is in docs/configuration.md, and every one there is read.
func TestDocsListSettings(t *testing.T) {
	list := regexp.MustCompile(`(?s)var names = \[\]string\{(.*?)\}`).FindStringSubmatch(document(t, "cmd/guichet/config.go"))
	if list == nil {
		t.Fatal("the list of settings is not where it was")
	}
	text := document(t, "docs/configuration.md")
	known := []string{"GUICHET_SMTP_FILE"}
	for _, m := range regexp.MustCompile(`"([a-z_]+)"`).FindAllStringSubmatch(list[1], -1) {
		name := "GUICHET_" + strings.ToUpper(m[1])
		known = append(known, name)
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is not in docs/configuration.md", name)
		}
	}
	for _, name := range regexp.MustCompile(`GUICHET_[A-Z_]+`).FindAllString(text, -1) {
		if !slices.Contains(known, name) {
			t.Errorf("docs/configuration.md names %s, which is no setting", name)
		}
	}
}

// Every module that go.mod requires for itself has a line in the decision about
// dependencies, and every package of ours is in ARCHITECTURE.md.
func TestDocsListModulesAndPackages(t *testing.T) {
	decision := document(t, "docs/adr/0009-dependencies.md")
	direct := regexp.MustCompile(`(?m)^\t([a-z0-9./_-]+[a-zA-Z0-9./_-]*) v[^ ]+$`)
	for _, m := range direct.FindAllStringSubmatch(document(t, "go.mod")+document(t, "gateway/envoy/go.mod"), -1) {
		if m[1] == "guichet" {
			continue
		}
		base, sub, _ := strings.Cut(m[1], "/koanf/")
		if !strings.Contains(decision, m[1]) && (sub == "" || !strings.Contains(decision, base+"/koanf/") || !strings.Contains(decision, sub)) {
			t.Errorf("%s has no line in docs/adr/0009-dependencies.md", m[1])
		}
	}
	architecture := document(t, "ARCHITECTURE.md")
	for _, s := range sources(t) {
		if s.test || s.pkg == "" {
			continue
		}
		parts := strings.Split(s.pkg, "/")
		if !strings.Contains(architecture, "`"+s.pkg+"`") && !strings.Contains(architecture, "`"+parts[len(parts)-1]+"`") &&
			!strings.Contains(architecture, "`"+parts[len(parts)-1]+"/`") {
			t.Errorf("the package %s is not in ARCHITECTURE.md", s.pkg)
		}
	}
}
