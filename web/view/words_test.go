package view

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
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
	add("prolong.", ProlongSteps(), ".title", ".says")
	add("mail.on.", MailCauses())
	add("notice.type.", NoticeTypes())
	add("notice.problem.", NoticeProblems())
	add("fault.", FaultKinds(), ".title", ".lost", ".next")
	for _, tense := range []string{"past", "future"} {
		add("time."+tense+".", []string{"seconds", "minutes", "hours", "days"})
	}
	return keys
}

// Every key that a source names exists, and every key that exists is used: some
// source holds it whole, or holds the beginning of it that it completes from a
// closed list. The samples of the gallery count, because handlers will take the
// words they show.
func TestEveryKeyUsedExists(t *testing.T) {
	said, held := literals(t, ".", "..", "../locale")
	for key := range dynamic() {
		said[key] = true
	}
	for _, lang := range locale.Languages() {
		have, err := locale.Keys(lang)
		if err != nil {
			t.Fatal(err)
		}
		for key := range said {
			if have[key] == nil {
				t.Errorf("%s has no words for %s", lang, key)
			}
		}
		for key := range have {
			if !said[key] && !held[key] && !begun(held, key) {
				t.Errorf("nobody uses %s of %s", key, lang)
			}
		}
	}
}

// begun tells whether a source holds the beginning of a key, up to a dot.
func begun(held map[string]bool, key string) bool {
	for i, r := range key {
		if r == '.' && held[key[:i+1]] {
			return true
		}
	}
	return false
}

// literals collects the keys that sources give to what says something, and all
// strings that sources hold.
func literals(t *testing.T, dirs ...string) (said, held map[string]bool) {
	t.Helper()
	said, held = map[string]bool{}, map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(filepath.Base(name), "sample") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && says(call) {
					for _, arg := range call.Args {
						if s, ok := text(arg); ok && strings.Contains(s, ".") && !strings.HasSuffix(s, ".") && !strings.ContainsAny(s, " /") {
							said[s] = true
						}
					}
				}
				if e, ok := n.(ast.Expr); ok {
					if s, ok := text(e); ok {
						held[s] = true
					}
				}
				return true
			})
		}
	}
	if len(said) < 100 {
		t.Fatalf("only %d keys were found in the sources", len(said))
	}
	return said, held
}

// says tells whether a call is one that takes a key.
func says(call *ast.CallExpr) bool {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name == "Say" || f.Name == "Count" || f.Name == "key"
	case *ast.SelectorExpr:
		return f.Sel.Name == "Say" || f.Sel.Name == "Count"
	}
	return false
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
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
	for _, lang := range locale.Languages() {
		ctx := WithViewer(context.Background(), Viewer{Words: locale.In(lang, nil)})
		for _, kind := range AlertKinds() {
			for count := range 3 { // how many tokens live
				a := Alert{Kind: kind, Params: []any{"Name", "edge-1", "Event", "suspend"}, Count: count}
				for _, s := range []string{a.title(ctx), a.detail(ctx)} {
					if s == "" || strings.HasPrefix(s, "[") || strings.Contains(s, "no value") {
						t.Errorf("%s with %d in %s: %q", kind, count, lang, s)
					}
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
