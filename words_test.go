package guichet_test

import (
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"guichet/web/locale"
)

// withoutWords lists the codes that no page ever tells, by the reason. Every other
// code has words in each language.
var withoutWords = map[string][]string{
	"the family of the error has the same words, fault.KIND.title": {"not_found", "internal"},
	"told to programs by the API, /check, OAuth and the gateways": {
		"unknown_route", "method_not_allowed", "unauthorized", "invalid_if_match", "invalid_blocklist_question", "unknown_status_list", "status_list_busy",
		"no_history", "not_acceptable", "invalid_client", "bad_gateway_credential", "invalid_api_token", "invalid_usage_report",
		"invalid_token", "token_expired", "token_revoked", "address_not_allowed", "insufficient_scope",
	},
	"between the server and a gateway, which has no pages": {
		"blocklist_gap", "blocklist_diverged", "blocklist_unreadable", "invalid_jwks",
		"gateway_cut_off", "gateway_state", "stale_after_too_short", "invalid_limits", "rate_exceeded",
	},
	"ends a start, before there is a page": {
		"invalid_configuration", "invalid_database", "invalid_smtp", "invalid_notification_secret", "invalid_notification_url", "database_too_new",
		"key_file_missing", "key_file_exposed", "key_file_damaged", "key_file_unusable", "wrong_key_file", "keyset_damaged",
	},
	"the command line speaks English, and no page does this": {
		"invalid_argument", "file_exists", "file_not_written", "file_not_read", "invalid_delay", "backup_damaged", "backup_version", "database_not_empty",
		"key_waiting", "key_spent", "keyset_changed", "sealed_values_left", "unknown_client", "invalid_client_scope", "invalid_client_name",
		"invalid_token_file", "woob_unusable", "no_modules", "modules_lost", "no_former_modules", "modules_not_fetched", "modules_too_large",
	},
	"ends a job, and is for the log": {"alarm_not_taken", "mail_server_unavailable", "mail_postponed", "mail_refused", "invalid_header", "too_many_runs", "reconcile_taken_over"},
	"kept with a notification; the pages say notice.problem.CODE": {
		"notification_unreachable", "notification_refused", "notification_redirected", "notification_address", "notification_gone", "no_notification_address",
	},
}

// madeElsewhere lists where a code is no literal, and what it can be.
var madeElsewhere = map[string][]string{
	"bank/form.go: code":        {"field_required", "field_invalid"},
	"api/bank.go: string(kind)": {}, // the outcome of a run, of which pages say outcome.KIND
	// said again for one field
	"bank/redirect.go: ErrBadReturn.Code": {"return_refused"},
}

// moreWords are the words of errors that are no code: the same error, told elsewhere.
var moreWords = []string{"too_many_sign_ins"}

// named are the words that speak of the issuer of OpenID Connect: only the page
// where one signs in, which knows its name, says them.
var named = []string{"openid_unavailable", "openid_refused", "openid_unverified_email", "no_account"}

// errorCodes finds the code of every error that our sources make, and where.
func errorCodes(t *testing.T) map[string]string {
	t.Helper()
	codes, made := map[string]string{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || !isError(s.pkg, lit.Type) {
				return true
			}
			code := codeIn(lit)
			text, isText := code.(*ast.BasicLit)
			if isText {
				word, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				codes[word] = s.path
				return true
			}
			place := s.path + ": " + written(code)
			some, listed := madeElsewhere[place]
			if made[place] = true; !listed {
				t.Errorf("%s: what codes can this error have?", place)
			}
			for _, word := range some {
				codes[word] = s.path
			}
			return true
		})
	}
	for place := range madeElsewhere {
		if !made[place] {
			t.Errorf("%s: there is no such code any more", place)
		}
	}
	if len(codes) < 150 {
		t.Fatalf("only %d codes found", len(codes))
	}
	return codes
}

func isError(pkg string, of ast.Expr) bool {
	switch of := of.(type) {
	case *ast.Ident:
		return pkg == "" && of.Name == "Error"
	case *ast.SelectorExpr:
		x, ok := of.X.(*ast.Ident)
		return ok && x.Name == "guichet" && of.Sel.Name == "Error"
	}
	return false
}

func codeIn(lit *ast.CompositeLit) ast.Expr {
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Code" {
				return pair.Value
			}
		}
	}
	return nil
}

func written(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return written(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return written(e.Fun) + "(" + written(e.Args[0]) + ")"
	}
	return "none"
}

// Every error that a page can tell has words of its own in every language, and
// every such words belong to an error.
func TestEveryErrorHasWords(t *testing.T) {
	codes := errorCodes(t)
	reasonOf := map[string]string{}
	for reason, list := range withoutWords {
		for _, code := range list {
			if codes[code] == "" || reasonOf[code] != "" {
				t.Errorf("%s is no code, or is listed twice", code)
			}
			reasonOf[code] = reason
		}
	}
	said := map[string][]string{}
	for _, lang := range locale.Languages() {
		words, err := locale.Keys(lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range slices.Sorted(maps.Keys(codes)) {
			text := words["error."+code]
			switch {
			case text == nil && reasonOf[code] == "":
				t.Errorf("%s: the code %q has no words in %s (error.%s)", codes[code], code, lang, code)
			case text != nil && reasonOf[code] != "":
				t.Errorf("%s has words in %s; it is listed as %q", code, lang, reasonOf[code])
			case text != nil && slices.Contains(said[code], text[0]):
				t.Errorf("%s says the same in two languages: %s", code, text[0])
			case text != nil:
				said[code] = append(said[code], text[0])
			}
		}
		for key, text := range words {
			code, ok := strings.CutPrefix(key, "error.")
			if ok && codes[code] == "" && !slices.Contains(moreWords, code) {
				t.Errorf("%s of %s is of no error", key, lang)
			}
			if ok && strings.Contains(text[0], "{{") != slices.Contains(named, code) {
				t.Errorf("%s of %s: who gives what these words speak of?", key, lang)
			}
		}
	}
}
