package guichet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules of ARCHITECTURE.md, as tests. Whoever needs another rule changes it
// there first.

// mayImport lists, for each of our packages, which others of ours it may know. A
// package that is not listed may not exist.
var mayImport = map[string][]string{
	"":                  {},
	"grant":             {""},
	"ledger":            {""},
	"bank":              {"", "ledger"},
	"people":            {""},
	"keyring":           {""},
	"job":               {""},
	"mail":              {""},
	"alarm":             {""},
	"notify":            {"", "keyring"},
	"openid":            {""},
	"store":             {"", "grant", "bank", "ledger", "people", "job", "store/query"},
	"store/query":       {},
	"blocklist":         {""},
	"usage":             {""},
	"gateway":           {"", "keyring", "blocklist", "usage"},
	"api":               {"", "grant", "bank", "ledger", "people", "keyring", "blocklist", "usage"},
	"web":               {"", "grant", "bank", "ledger", "people", "keyring", "openid", "web/view", "web/asset", "web/locale"},
	"web/view":          {"", "web/asset", "web/locale"},
	"web/locale":        {},
	"web/asset":         {},
	"web/assetgen":      {"web/asset"},
	"connector/sim":     {"", "bank", "ledger"},
	"connector/process": {"", "bank", "ledger"},
	"connector/file":    {"", "bank", "ledger"},
	"worker/woob":       {"", "connector/process"},
	"sim/bank":          {"", "bank", "ledger"},
	"sim/datapass":      {""},
	"cmd/guichet":       {"*"},
	"bench":             {"*"},
	"canary":            {""},
	"store/storetest":   {"", "store", "canary"},
	"people/peopletest": {"", "people"},
	"web/webtest":       {},
	"gateway/envoy":     {"", "gateway", "keyring"},

	"gateway/envoy/guichet-envoy": {"", "gateway", "gateway/envoy"},

	"gateway/gatewaytest": {"", "grant", "keyring", "api", "sim/datapass", "store", "store/storetest", "canary"},

	"connector/connectortest": {"", "bank", "ledger", "sim/bank"},
	"connector/datapass":      {"", "grant"},
}

// mayUse lists the outside packages that only some of ours may import, by the
// beginning of their path.
var mayUse = map[string][]string{
	"database/sql":                   {"bench", "store", "store/query", "store/storetest"},
	"github.com/jackc/pgx":           {"store", "store/storetest"},
	"modernc.org/sqlite":             {"store", "bench"},
	"github.com/klauspost/compress":  {"store"},
	"github.com/pressly/goose":       {"store"},
	"net/http":                       {"api", "canary", "web", "web/view", "web/asset", "web/webtest", "gateway", "alarm", "notify", "openid", "gateway/gatewaytest", "gateway/envoy", "gateway/envoy/guichet-envoy", "sim/bank", "sim/datapass", "connector/sim", "connector/datapass", "connector/connectortest", "cmd/guichet", "bench"},
	"github.com/a-h/templ":           {"web", "web/view"},
	"github.com/chromedp":            {"web/webtest"},
	"github.com/golang-jwt/jwt":      {"keyring"},
	"github.com/go-jose/go-jose":     {"keyring"},
	"github.com/tink-crypto/tink-go": {"keyring"},
	"github.com/wneessen/go-mail":    {"mail"},
	"github.com/coreos/go-oidc":      {"openid"},
	"golang.org/x/oauth2":            {"openid"},
	"github.com/getsentry":           {"alarm"},
	"github.com/nicholas-fedor":      {"alarm"},
	"golang.org/x/crypto":            {"people", "keyring"},
	"github.com/alecthomas/kong":     {"cmd/guichet"},
	"github.com/knadh/koanf":         {"cmd/guichet"},
	"github.com/prometheus":          {"cmd/guichet"},
	"github.com/danielgtaylor/huma":  {"api"},
	"github.com/evanw/esbuild":       {"web/assetgen"},
	"github.com/go-json-experiment":  {"grant", "api"},
	"os/exec":                        {"store/storetest", "web/webtest", "bench", "connector/process", "worker/woob"},
	"math/rand":                      {"sim/bank", "bench"},
	"testing":                        {"canary", "store/storetest", "people/peopletest", "web/webtest", "connector/connectortest", "gateway/gatewaytest"},
	"google.golang.org/grpc":         {"gateway/envoy", "gateway/envoy/guichet-envoy"},
	"google.golang.org/genproto":     {"gateway/envoy"},
	"github.com/envoyproxy":          {"gateway/envoy"},
}

// pure packages are handed time and randomness; they never ask for them.
var pure = []string{"", "grant", "bank", "ledger", "people"}

const (
	mostLines   = 500
	mostMethods = 12
	mostIfaces  = 28
)

type source struct {
	path, pkg string
	test      bool
	lines     int
	file      *ast.File
}

func sources(t *testing.T) (all []source) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "testdata", "tools", "bin", "var"}, name)) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(files, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		all = append(all, source{path, pkg, strings.HasSuffix(name, "_test.go"), strings.Count(string(text), "\n"), file})
		return nil
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("read %d files: %v", len(all), err)
	}
	return all
}

func generated(path string) bool {
	return strings.HasSuffix(path, ".sql.go") || strings.HasSuffix(path, "_templ.go")
}

// Who may know whom.
func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		allowed, listed := mayImport[s.pkg]
		if !listed {
			t.Errorf("%s: the package %q is not in the table of this test", s.path, s.pkg)
			continue
		}
		for _, i := range s.file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			own, ours := strings.CutPrefix(path+"/", "guichet/")
			if ours {
				own = strings.TrimSuffix(own, "/")
				if !slices.Contains(allowed, own) && !slices.Contains(allowed, "*") {
					t.Errorf("%s: %q must not know %q", s.path, s.pkg, own)
				}
				continue
			}
			if s.pkg == "" && strings.Contains(path, ".") {
				t.Errorf("%s: the root imports %s; it may import the standard library only", s.path, path)
			}
			for prefix, users := range mayUse {
				if (path == prefix || strings.HasPrefix(path, prefix+"/")) && !slices.Contains(users, s.pkg) {
					t.Errorf("%s: %q must not use %s", s.path, s.pkg, path)
				}
			}
		}
	}
}

// The domain sees no clock and no randomness of its own.
func TestDomainIsPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.pkg) || s.path == "guichet.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && (x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep"}, sel.Sel.Name) || x.Name == "rand" && x.Obj == nil) {
				t.Errorf("%s: %s.%s in the domain", s.path, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// No program links what hears of secrets, and nobody else makes itself heard of them.
func TestNobodyWatches(t *testing.T) {
	knows := map[string][]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, i := range s.file.Imports {
			if own, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "guichet/"); ours {
				knows[s.pkg] = append(knows[s.pkg], own)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok && name.Name == "WatchSecrets" && s.pkg != "" && s.pkg != "canary" {
				t.Errorf("%s watches secrets", s.path)
			}
			return true
		})
	}
	for _, program := range []string{"cmd/guichet", "gateway/envoy/guichet-envoy"} {
		linked := []string{program}
		for i := 0; i < len(linked); i++ {
			for _, pkg := range knows[linked[i]] {
				if !slices.Contains(linked, pkg) {
					linked = append(linked, pkg)
				}
			}
		}
		if len(linked) < 5 || slices.Contains(linked, "canary") {
			t.Errorf("%s links %q", program, linked)
		}
	}
}

// Budgets: a file over the limit is asking what it is really about.
func TestBudgets(t *testing.T) {
	interfaces := 0
	for _, s := range sources(t) {
		if !generated(s.path) && s.lines > mostLines {
			t.Errorf("%s has %d lines; the most is %d", s.path, s.lines, mostLines)
		}
		if s.test || generated(s.path) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			i, ok := spec.Type.(*ast.InterfaceType)
			if !ok {
				return true
			}
			interfaces++
			if n := i.Methods.NumFields(); n > mostMethods {
				t.Errorf("%s: %s has %d methods; the most is %d", s.path, spec.Name, n, mostMethods)
			}
			return true
		})
	}
	if interfaces > mostIfaces {
		t.Errorf("%d interfaces; the most is %d", interfaces, mostIfaces)
	}
}

// Tests wait for events, not for time, and are never skipped.
func TestTestsAreHonest(t *testing.T) {
	skip := regexp.MustCompile(`\b(t|b|f|tb)\.(Skip|SkipNow|Skipf)\(|time\.Sleep\(`)
	for _, s := range sources(t) {
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if m := skip.Find(text); m != nil && s.path != "arch_test.go" {
			t.Errorf("%s: %s", s.path, m)
		}
	}
}

// Every exported name of ours says what it is for.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || generated(s.path) || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && !methodOfHidden(d) {
					t.Errorf("%s: %s has no comment", s.path, d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					ts, ok := spec.(*ast.TypeSpec)
					if ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: %s has no comment", s.path, ts.Name)
					}
				}
			}
		}
	}
}

func methodOfHidden(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && !name.IsExported()
}
