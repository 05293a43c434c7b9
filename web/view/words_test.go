package view

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"guichet/web/locale"
)

// dynamic lists the keys that the sources put together from a closed list.
func dynamic() map[string]bool {
	keys := map[string]bool{}
	add := func(prefix string, names []string, suffixes ...string) {
		for _, n := range names {
			if len(suffixes) == 0 {
				keys[prefix+n] = true
			}
			for _, s := range suffixes {
				keys[prefix+n+s] = true
			}
		}
	}
	for _, s := range States() {
		keys[s.Word] = true
	}
	var methods []string
	for _, m := range Methods() {
		methods = append(methods, string(m))
	}
	add("outcome.", Outcomes())
	add("phase.", Phases())
	add("question.method.", methods)
	add("question.sent.", Media())
	add("question.sent_to.", Media())
	add("question.problem.", Problems())
	add("effect.", Effects())
	add("contact.", ContactRoles())
	add("alert.kind.", AlertKinds(), ".title", ".detail")
	add("fault.", FaultKinds(), ".title", ".lost", ".next")
	for _, tense := range []string{"past", "future"} {
		add("time."+tense+".", []string{"seconds", "minutes", "hours", "days"})
	}
	return keys
}

// forHandlers are the words that handlers put into the values they fill: the
// labels of actions, mostly.
func forHandlers() []string {
	return []string{
		"access.answer", "access.refresh", "access.resume", "access.discard", "access.edit", "access.label", "access.label_help",
		"question.code", "operation.all", "operation.review", "operation.empty", "request.empty", "token.empty",
		"request.revoke_and_block", "request.revoke_title", "request.revoke_says", "request.revoke_reason",
		"token.prolong", "token.block", "token.block_title", "token.block_says", "token.hand_over", "token.secret",
		"alert.seen", "alert.intended", "alert.chip.open", "alert.chip.done", "action.undo", "home.gateways",
		"signin.refused", "signin.with", "settings.end", "settings.revoke", "fault.retry",
	}
}

// Every key that a source names exists, and every key that exists is used.
func TestEveryKeyUsedExists(t *testing.T) {
	used := literals(t, ".", "../locale", "..")
	for key := range dynamic() {
		used[key] = true
	}
	for _, key := range forHandlers() {
		used[key] = true
	}
	for _, lang := range locale.Languages() {
		have, err := locale.Keys(lang)
		if err != nil {
			t.Fatal(err)
		}
		for key := range used {
			if have[key] == nil {
				t.Errorf("%s has no words for %s", lang, key)
			}
		}
		for key := range have {
			if !used[key] {
				t.Errorf("nobody uses %s of %s", key, lang)
			}
		}
	}
}

// literals collects the keys that sources give to Say, Count and sections.
func literals(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, key := range keysOf(n) {
					found[key] = true
				}
				return true
			})
		}
	}
	if len(found) < 100 {
		t.Fatalf("only %d keys were found in the sources", len(found))
	}
	return found
}

// keysOf reads the keys out of one node: the literal argument of a call that
// says something, the key of a section, the result of searchPath.
func keysOf(n ast.Node) []string {
	var from []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if name == "Say" || name == "Count" || name == "key" {
			from = n.Args
		}
	case *ast.KeyValueExpr:
		if k, ok := n.Key.(*ast.Ident); ok && k.Name == "key" {
			from = []ast.Expr{n.Value}
		}
	case *ast.ReturnStmt:
		if len(n.Results) == 2 {
			from = n.Results[1:]
		}
	}
	var keys []string
	for _, e := range from {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			continue
		}
		s, err := strconv.Unquote(lit.Value)
		if err == nil && strings.Contains(s, ".") && !strings.HasSuffix(s, ".") && s == strings.ToLower(s) && !strings.Contains(s, " ") {
			keys = append(keys, s)
		}
	}
	return keys
}

// Every state has words in both languages, a shape and one of the five meanings.
func TestEveryStateIsDrawn(t *testing.T) {
	for _, m := range Meanings() {
		if shapes[m] == "" {
			t.Errorf("%s has no shape", m)
		}
	}
	for _, lang := range locale.Languages() {
		ctx := WithViewer(context.Background(), Viewer{Words: locale.In(lang, nil)})
		for _, s := range States() {
			var b bytes.Buffer
			if err := Badge(s).Render(ctx, &b); err != nil {
				t.Fatal(err)
			}
			html := b.String()
			if strings.Contains(html, "["+s.Word+"]") || !strings.Contains(html, "<svg") || !strings.Contains(html, string(s.Meaning)) || shapes[s.Meaning] == "" {
				t.Errorf("%s in %s: %s", s.Word, lang, html)
			}
		}
	}
	if got := Say(context.Background(), RequestRevoked.Word); got != "Habilitation révoquée" {
		t.Errorf("revoked is %q", got)
	}
}

// The detail of an alert is told whether its kind counts or not, and for a kind
// that these pages do not know.
func TestEveryAlertIsTold(t *testing.T) {
	counted := map[string]bool{"archive_without_revoke": true, "partial_revocation": true}
	for _, lang := range locale.Languages() {
		ctx := WithViewer(context.Background(), Viewer{Words: locale.In(lang, nil)})
		for _, kind := range AlertKinds() {
			a := Alert{Kind: kind, Params: []any{"Name", "edge-1", "Event", "suspend"}}
			if counted[kind] {
				a.Count = 2
			}
			for _, s := range []string{a.title(ctx), a.detail(ctx)} {
				if s == "" || strings.HasPrefix(s, "[") || strings.Contains(s, "no value") {
					t.Errorf("%s in %s: %q", kind, lang, s)
				}
			}
		}
		unknown := Alert{Kind: "newer_than_us", Consequence: "It says so itself."}
		if !strings.Contains(unknown.title(ctx), "newer_than_us") || unknown.detail(ctx) != "It says so itself." {
			t.Errorf("unknown kind: %q, %q", unknown.title(ctx), unknown.detail(ctx))
		}
	}
}

// Whatever a bank, a source or a person writes stays text.
func TestNothingForeignBecomesMarkup(t *testing.T) {
	const evil = `<script>x</script>"'><img src=x onerror=x>`
	ctx := WithViewer(context.Background(), Viewer{Words: locale.In(locale.French, nil)})
	var b bytes.Buffer
	q := Question{ID: "q", Institution: evil, Access: evil, Method: AskCode, Medium: "sms", MediumLabel: evil, Prompt: evil, Fields: []Field{{Name: evil, Label: evil, Help: evil, Pattern: evil}}, RedirectURL: "javascript:x"}
	if err := QuestionBox(q).Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	q.Method = AskRedirect
	if err := QuestionBox(q).Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	if err := AccessLineOf(AccessLine{ID: "1", Institution: evil, Label: evil, State: AccessFailed, Outcome: "locked", BankSays: evil}).Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	if err := TimelineOf([]Entry{{Verb: evil, Says: evil, Who: evil, URL: "javascript:x", Changes: []Change{{evil, evil, evil}}}}).Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	for _, bad := range []string{"<script", "<img", "javascript:", `'>`} {
		if strings.Contains(html, bad) {
			t.Errorf("%q came through", bad)
		}
	}
	if !strings.Contains(html, "&lt;script&gt;") {
		t.Error("the text itself is gone")
	}
}
