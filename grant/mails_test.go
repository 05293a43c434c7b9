package grant_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/grant"
)

// people are the contacts of a request; empty: there is none.
type people struct{ applicant, technical, business, procedure, scope string }

func (d desk) write(provider, name, state string, firedAt, id int, p people) {
	d.t.Helper()
	body := fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_id":%d,"data":{"state":%q,"form_uid":%q,"data":{"intitule":"Marchés de Valmont","scopes":[%q],
"contact_technique_email":%q,"contact_metier_email":%q},"applicant":{"email":%q,"given_name":"Claire","family_name":"Morel"},"reason":"pièce manquante"}}`,
		name, firedAt, id, state, p.procedure, p.scope, p.technical, p.business, p.applicant)
	if _, err := d.Receive(d.t.Context(), provider, grant.V2, []byte(body)); err != nil {
		d.t.Fatalf("%s: %v", name, err)
	}
}

// written gives "template → address" of every letter that waits to be sent, and
// forgets them. There must be one job at most.
func (d desk) written() (all []string) {
	d.t.Helper()
	jobs := d.db.Column("SELECT args FROM jobs WHERE kind = 'mail' ORDER BY id")
	if len(jobs) > 1 {
		d.t.Errorf("%d jobs for the letters of one event", len(jobs))
	}
	for _, args := range jobs {
		var post guichet.Post
		if err := json.Unmarshal([]byte(args), &post); err != nil {
			d.t.Fatal(err)
		}
		for _, l := range post.Letters {
			for _, to := range l.To {
				all = append(all, l.Template+" → "+to.Address)
			}
		}
	}
	d.db.SQL("DELETE FROM jobs WHERE kind = 'mail'")
	return all
}

// The table of mails, as the site that DataPass was made with has it and as it
// was meant: who gets which letter about what, for each combination of contacts.
func TestMailTable(t *testing.T) {
	const a, b, c = "claire@valmont.fr", "dsi@valmont.fr", "achats@valmont.fr"
	all := people{a, b, c, "api-entreprise-marches-publics", "entreprises"}
	alone := people{a, a, a, "", "entreprises"}
	each(t, func(t *testing.T, d desk) {
		d.Providers["api_particulier"] = grant.Provider{Name: "api_particulier", Title: "API Particulier", Mails: true}
		for i, row := range []struct {
			provider string
			before   []string // events that happened
			event    string
			people   people
			want     []string
		}{
			{"api_entreprise", nil, "create", all, nil},
			{"api_entreprise", nil, "submit", all, []string{"request_received → " + a}},
			{"api_entreprise", []string{"submit"}, "update", all, nil},
			{"api_entreprise", []string{"submit"}, "notify", all, nil},
			{"api_entreprise", []string{"submit"}, "request_changes", all, []string{"changes_requested → " + a}},
			{"api_entreprise", []string{"submit"}, "refuse", all, []string{"request_refused → " + a}},
			{"api_entreprise", []string{"submit"}, "approve", all, []string{"request_approved → " + a, "request_approved_technical → " + b, "request_approved_business → " + c}},
			{"api_entreprise", nil, "approve", alone, []string{"request_approved → " + a}},
			{"api_entreprise", nil, "approve", people{a, b, b, "", "x"}, []string{"request_approved → " + a, "request_approved_technical → " + b}},
			{"api_entreprise", nil, "approve", people{a, b, a, "", "x"}, []string{"request_approved → " + a, "request_approved_technical → " + b}},
			{"api_entreprise", nil, "approve", people{a, a, c, "", "x"}, []string{"request_approved → " + a, "request_approved_business → " + c}},
			{"api_entreprise", nil, "approve", people{applicant: a}, []string{"request_approved → " + a}},
			{"api_entreprise", nil, "approve", people{a, b, c, "api-entreprise-editeur", "x"}, []string{"request_approved → " + a, "request_approved → " + b, "request_approved → " + c}},
			// While a validated request is instructed again: what upstream marks ↻.
			{"api_entreprise", []string{"approve", "reopen"}, "update", all, nil},
			{"api_entreprise", []string{"approve", "reopen"}, "submit", all, []string{"request_received → " + a}},
			{"api_entreprise", []string{"approve", "reopen", "submit"}, "request_changes", all, []string{"changes_requested → " + a}},
			{"api_entreprise", []string{"approve", "reopen", "submit"}, "refuse", all, []string{"request_refused → " + a}},
			{"api_entreprise", []string{"approve", "reopen", "submit"}, "approve", all, []string{"request_updated → " + c, "request_updated → " + b, "request_updated → " + a}},
			{"api_entreprise", []string{"approve"}, "cancel_reopening", all, nil},
			{"api_entreprise", []string{"approve"}, "transfer", all, nil},
			// Nobody told people of a revocation before.
			{"api_entreprise", []string{"approve"}, "revoke", all, []string{"request_revoked → " + a, "request_revoked → " + b, "request_revoked → " + c}},
			{"api_entreprise", []string{"approve", "revoke"}, "revoke", all, nil},
			{"api_entreprise", nil, "archive", all, nil},
			{"api_entreprise", []string{"approve"}, "delete", all, nil},
			{"api_entreprise", []string{"approve", "revoke"}, "submit", all, nil},
			{"api_entreprise", []string{"approve", "revoke"}, "approve", all, nil}, // held
			{"api_particulier", nil, "approve", all, []string{"request_approved → " + a, "request_approved_technical → " + b}},
			{"api_particulier", nil, "approve", alone, []string{"request_approved → " + a}},
			{"api_particulier", []string{"approve"}, "approve", all, []string{"request_updated → " + c, "request_updated → " + b, "request_updated → " + a}},
		} {
			for at, name := range row.before {
				d.write(row.provider, name, "validated", noon+at, 100+i, row.people)
				d.db.SQL("DELETE FROM jobs WHERE kind = 'mail'")
			}
			d.write(row.provider, row.event, "validated", noon+len(row.before), 100+i, row.people)
			if diff := cmp.Diff(row.want, d.written()); diff != "" {
				t.Errorf("%s: %v, then %s of %+v (-want +got):\n%s", row.provider, row.before, row.event, row.people, diff)
			}
		}
	})
}

// Mails say which token they are about.
func TestMailsSayWhichToken(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		id := d.send("approve", noon, 1)
		short := string(id[24:28]) + "…" + string(id[32:])
		if l := d.letters("request_approved"); len(l) != 1 || l[0].Data["token"] != short || !strings.HasSuffix(l[0].Data["url"], id.String()) {
			t.Errorf("approved: %+v", l)
		}
		second, err := d.Issue(t.Context(), operator, "api_entreprise", "1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Block(t.Context(), operator, second, grant.Blocking{Reason: "leak"}); err != nil {
			t.Fatal(err)
		}
		if l := d.letters("token_blocked"); len(l) != 1 || !strings.HasPrefix(l[0].Data["token"], string(second[24:28])) {
			t.Errorf("blocked: %+v", l)
		}
		link, err := d.HandOver(t.Context(), guichet.Actor{Kind: guichet.ByPerson, Name: "claire@valmont.fr"}, id, "dsi@valmont.fr")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.TakeOver(t.Context(), link); err != nil {
			t.Fatal(err)
		}
		if l := d.letters("token_taken_over"); len(l) != 1 || l[0].Data["token"] != short || l[0].Data["to"] != "dsi@valmont.fr" || strings.Contains(fmt.Sprint(l), link.Reveal()) {
			t.Errorf("taken over: %+v", l)
		}
		d.send("revoke", noon+1, 1)
		if l := d.letters("request_revoked"); len(l) != 1 || l[0].Data["tokens"] != short {
			t.Errorf("revoked: %+v", l)
		}
	})
}

// rules gives the desk's provider the mails of a file.
func (d desk) rules(file string) {
	d.t.Helper()
	mails, err := grant.ReadMails([]byte(file))
	if err != nil {
		d.t.Fatal(err)
	}
	p := d.Providers["api_entreprise"]
	p.Mail = mails
	d.Providers["api_entreprise"] = p
}

// A letter that waits is a job with a due time. It is dropped when the status
// changed meanwhile, even if it changed back, and goes to the people of that day.
func TestLetterThatWaits(t *testing.T) {
	const file = `
[[mail]]
name = "reminder"
on = "request_changes"
reopening = "also"
after = "14d"
template = "changes_waiting"
to = ["applicant", "technical_contact"]
`
	each(t, func(t *testing.T, d desk) {
		d.rules(file)
		before := people{"claire@valmont.fr", "dsi@valmont.fr", "", "", "a"}
		after := people{"nadia@valmont.fr", "", "", "", "a"}
		for i, row := range []struct {
			meanwhile []string
			dropped   bool
		}{
			{nil, false},
			{[]string{"update"}, false},
			{[]string{"submit"}, true},
			{[]string{"submit", "request_changes"}, true}, // the second has a letter of its own
			{[]string{"archive"}, true},
			{[]string{"submit", "approve"}, true},
		} {
			d.write("api_entreprise", "submit", "submitted", noon, 10+i, before)
			d.write("api_entreprise", "request_changes", "changes_requested", noon+1, 10+i, before)
			jobs := d.db.Column("SELECT args FROM jobs WHERE kind = 'letter' ORDER BY id")
			if len(jobs) != 1 {
				t.Fatalf("%d letters wait", len(jobs))
			}
			due := d.db.Value("SELECT CAST((run_at - created_at + 500000) / 1000000 AS TEXT) FROM jobs WHERE kind = 'letter'")
			if due != fmt.Sprint(14*24*3600) {
				t.Errorf("due after %s s", due)
			}
			d.db.Clock.Advance(time.Hour)
			for at, name := range row.meanwhile {
				state := map[string]string{"update": "changes_requested", "submit": "submitted", "request_changes": "changes_requested"}[name]
				d.write("api_entreprise", name, state, noon+2+at, 10+i, after)
			}
			d.db.Clock.Advance(14 * 24 * time.Hour)
			post, dropped, err := d.Waited(t.Context(), []byte(jobs[0]))
			if err != nil || (dropped != "") != row.dropped {
				t.Errorf("%v: dropped %q, %v", row.meanwhile, dropped, err)
			}
			if !row.dropped && len(row.meanwhile) > 0 && (len(post.Letters) != 1 || len(post.Letters[0].To) != 1 || post.Letters[0].To[0].Address != after.applicant) {
				t.Errorf("%v: to %+v", row.meanwhile, post.Letters)
			}
			d.db.SQL("DELETE FROM jobs")
		}
		// A rule that is gone, or off, sends nothing any more.
		d.write("api_entreprise", "submit", "submitted", noon, 50, before)
		d.write("api_entreprise", "request_changes", "changes_requested", noon+1, 50, before)
		job := d.db.Column("SELECT args FROM jobs WHERE kind = 'letter'")[0]
		d.rules(strings.Replace(file, "after =", "off = true\nafter =", 1))
		if _, dropped, err := d.Waited(t.Context(), []byte(job)); dropped == "" || err != nil {
			t.Errorf("an old rule writes: %v", err)
		}
	})
}

// Mistakes in a file are told with their line and key.
func TestMistakesInMails(t *testing.T) {
	const good = "[[mail]]\nname = \"one\"\non = \"submit\"\ntemplate = \"request_received\"\nto = [\"applicant\"]\n"
	if _, err := grant.ReadMails([]byte("# nothing\n")); err != nil {
		t.Error(err)
	}
	for file, want := range map[string][]string{
		good + "[[mail]]\nname = \"two\"\nonn = \"submit\"":                              {"line 8", "onn"},
		good + "colour = \"red\"":                                                        {"line 6", "colour"},
		strings.Replace(good, `"submit"`, `"sumbit"`, 1):                                 {"line 3", `"on"`, "sumbit"},
		strings.Replace(good, "request_received", "request_recieved", 1):                 {"line 4", `"template"`},
		strings.Replace(good, `"applicant"`, `"aplicant"`, 1):                            {"line 5", `"to"`, "aplicant"},
		strings.Replace(good, `["applicant"]`, `"applicant"`, 1):                         {"line 5", "to"},
		strings.Replace(good, `["applicant"]`, `[]`, 1):                                  {"line 5", `"to"`},
		good + "if = [\"token\", \"applicant is happy\"]":                                {"line 6", `"if"`, "happy"},
		good + "after = \"a week\"":                                                      {"line 6", `"after"`},
		good + "reopening = \"yes\"":                                                     {"line 6", `"reopening"`},
		good + good:                                                                      {"line 7", `"name"`, "another mail"},
		good + strings.Replace(good, `"one"`, `"T o"`, 1):                                {"line 7", `"name"`},
		strings.Replace(good, "request_received", "token_blocked", 1):                    {"line 4", `"template"`},
		strings.Replace(good, `"submit"`, `"token_expires"`, 1):                          {"line 4", `"template"`},
		strings.ReplaceAll(good, "request_received", "token_expires") + "after = \"1d\"": {"line"},
		"[[mail]]\nname = \"x\"\non = \"token_blocked\"\ntemplate = \"token_blocked\"\nto = [\"applicant\"]\nafter = \"1d\"": {"line 6", `"after"`},
		"[[mail]\n": {"line 1"},
		"[[mail]]\nname = \"x\"\ntemplate = \"request_received\"\nto = [\"applicant\"]": {"line 1", `"on"`},
	} {
		_, err := grant.ReadMails([]byte(file))
		if err == nil {
			t.Errorf("accepted:\n%s", file)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %s of:\n%s", err, part, file)
			}
		}
	}
	// The files that Guichet has are read, and use every letter.
	used := map[grant.LetterKind]bool{}
	for _, provider := range []string{"api_entreprise", "api_particulier"} {
		for _, m := range grant.DefaultMails(provider) {
			used[m.Template] = true
		}
	}
	for _, k := range grant.LetterKinds() {
		if !used[k] {
			t.Errorf("no file sends %s", k)
		}
	}
}

// Fixed addresses get a letter when a scope they answer for is asked for.
func TestReporters(t *testing.T) {
	each(t, func(t *testing.T, d desk) {
		d.rules("[[mail]]\nname = \"r\"\non = \"submit\"\ntemplate = \"request_reported\"\nscopes = [\"cnaf_\"]\nto = [\"reporters@cnaf.example\"]\n")
		d.write("api_entreprise", "submit", "submitted", noon, 1, people{applicant: "claire@valmont.fr", scope: "dgfip_x"})
		if got := d.written(); len(got) != 0 {
			t.Errorf("%v", got)
		}
		d.write("api_entreprise", "submit", "submitted", noon, 2, people{applicant: "claire@valmont.fr", scope: "cnaf_quotient_familial"})
		if got := d.written(); !slices.Equal(got, []string{"request_reported → reporters@cnaf.example"}) {
			t.Errorf("%v", got)
		}
	})
}
