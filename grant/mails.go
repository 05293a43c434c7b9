package grant

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet"
)

// A MailCause is something people may be written to about.
type MailCause string

// The causes of mails.
const (
	MailCreate         MailCause = "create"
	MailSubmit         MailCause = "submit"
	MailRequestChanges MailCause = "request_changes"
	MailRefuse         MailCause = "refuse"
	MailApprove        MailCause = "approve"
	MailArchive        MailCause = "archive"
	MailRevoke         MailCause = "revoke"
	MailTokenBlocked   MailCause = "token_blocked"    // by an operator, now or at a date
	MailTokenExpires   MailCause = "token_expires"    // 90, 60, 30, 14, 7, 1 and 0 days before
	MailTokenTakenOver MailCause = "token_taken_over" // somebody used a link of hand-over
)

// MailCauses lists them all.
func MailCauses() []MailCause {
	return []MailCause{
		MailCreate, MailSubmit, MailRequestChanges, MailRefuse, MailApprove, MailArchive, MailRevoke, MailTokenBlocked, MailTokenExpires,
		MailTokenTakenOver,
	}
}

// aboutTokens are the causes that are always about one token, and never wait.
func (c MailCause) aboutTokens() bool {
	return c == MailTokenBlocked || c == MailTokenExpires || c == MailTokenTakenOver
}

// LetterKinds lists the letters that mails to the people of a request may be.
func LetterKinds() []LetterKind {
	return []LetterKind{
		"draft_waiting", "request_received", "changes_requested", "changes_waiting", "request_refused", "request_updated",
		LetterApproved, "request_approved_technical", "request_approved_business", LetterRevoked,
		"token_blocked", "token_expires", "token_taken_over", "request_reported",
	}
}

// Whether a mail is sent while a request that is validated is instructed again.
const (
	ReopeningNo   = "" // the first time only
	ReopeningAlso = "also"
	ReopeningOnly = "only"
)

// A MailRule says who is written to about what. Of the rules about one thing, a
// person gets the letter of the first that names them, and no other.
type MailRule struct {
	Name       string     `toml:"name"`
	On         MailCause  `toml:"on"`
	Template   LetterKind `toml:"template"`
	To         []string   `toml:"to"`         // roles, and addresses
	Reopening  string     `toml:"reopening"`  // see ReopeningNo
	If         []string   `toml:"if"`         // all of them: see condition
	Procedures []string   `toml:"procedures"` // the forms it is for; empty: all
	Scopes     []string   `toml:"scopes"`     // beginnings, one of which a scope asked for has; empty: any
	After      string     `toml:"after"`      // 14d, 36h; the letter is dropped when the status changed meanwhile
	Off        bool       `toml:"off"`
}

// Delay is how long the letter waits.
func (m MailRule) Delay() time.Duration {
	d, _ := parseDelay(m.After) // it was read when the rules were
	return d
}

func parseDelay(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n >= 0 && n <= 730
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0 && d <= 730*24*time.Hour
}

// ErrNoMail is returned for a mail that no rule has the name of.
var ErrNoMail = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_mail", Reason: "This provider has no mail of this name."}

// An occasion is what happened, as the rules of mails look at it.
type occasion struct {
	Cause     MailCause
	Request   Request
	Reopening bool
	Token     bool // a token came of it
}

// holds tells whether the rule is for the occasion.
func (m MailRule) holds(o occasion) bool {
	r := o.Request
	switch {
	case m.Off, m.On != o.Cause, o.Reopening && m.Reopening == ReopeningNo, !o.Reopening && m.Reopening == ReopeningOnly:
		return false
	case len(m.Procedures) > 0 && !slices.Contains(m.Procedures, r.Procedure):
		return false
	case len(m.Scopes) > 0 && !slices.ContainsFunc(r.Scopes, func(s string) bool {
		return slices.ContainsFunc(m.Scopes, func(begin string) bool { return strings.HasPrefix(s, begin) })
	}):
		return false
	}
	return !slices.ContainsFunc(m.If, func(c string) bool { met, _ := condition(c, o); return !met })
}

// condition tells whether one condition is met, and whether it is one at all:
// "ROLE is ROLE", "ROLE is not ROLE", "ROLE is missing", "token", "no token".
func condition(text string, o occasion) (met, known bool) {
	switch text {
	case "token":
		return o.Token, true
	case "no token":
		return !o.Token, true
	}
	left, right, ok := strings.Cut(text, " is ")
	right, not := strings.CutPrefix(right, "not ")
	if !ok || !isRole(left) || right != "missing" && !isRole(right) || not && right == "missing" {
		return false, false
	}
	a, has := o.Request.Contact(Role(left))
	if right == "missing" {
		return !has, true
	}
	b, _ := o.Request.Contact(Role(right))
	return (has && a.Email == b.Email) != not, true
}

func isRole(s string) bool {
	return slices.Contains([]Role{Applicant, TechnicalContact, BusinessContact}, Role(s))
}

// addressees are the people a rule names, those in seen aside, which it fills.
func (m MailRule) addressees(r Request, seen map[string]bool) (to []guichet.Mailbox) {
	for _, who := range m.To {
		box := guichet.Mailbox{Address: who, Language: "fr"}
		if isRole(who) {
			c, ok := r.Contact(Role(who))
			if !ok {
				continue
			}
			box.Name, box.Address = c.Name(), c.Email
		}
		if !seen[box.Address] {
			seen[box.Address] = true
			to = append(to, box)
		}
	}
	return to
}

// lettersFor are the letters to write at once, and the rules whose letters wait.
func lettersFor(rules []MailRule, o occasion) (now []guichet.Letter, later []MailRule) {
	seen := map[string]bool{}
	for _, m := range rules {
		switch {
		case !m.holds(o):
		case m.Delay() > 0:
			later = append(later, m)
		default:
			if to := m.addressees(o.Request, seen); len(to) > 0 {
				now = append(now, guichet.Letter{Template: string(m.Template), To: to})
			}
		}
	}
	return now, later
}

// mailRules are those of a provider, none when nobody would send them.
func (d *Desk) mailRules(provider string) []MailRule {
	p := d.Providers[provider]
	switch {
	case !p.Mails:
		return nil
	case p.Mail == nil:
		return DefaultMails(provider)
	}
	return p.Mail
}

// causeOf tells what people may be written to about after a decision.
func causeOf(before Request, e Event, decision Decision) (c MailCause, reopening, ok bool) {
	if decision.Effect != Applied {
		return "", false, false
	}
	reopening = decision.Note == NoteReopening || decision.Note == NoteReopeningRefused
	switch {
	case slices.Contains(decision.Letters, LetterRevoked):
		return MailRevoke, false, true
	case slices.Contains(decision.Letters, LetterApproved):
		return MailApprove, before.Status == Validated, true
	case e.Name == Archive && decision.Note == NoteArchived:
		return MailArchive, false, true
	case decision.Note == NoteNothing || e.Name == Approve || e.Name == Revoke:
		return "", false, false
	}
	switch e.Name {
	case Create, Submit, RequestChanges, Refuse:
		return MailCause(e.Name), reopening, true
	}
	return "", false, false
}

// A laterLetter is what the job of a letter that waits knows.
type laterLetter struct {
	Provider   string            `json:"provider"`
	ExternalID string            `json:"external_id"`
	Rule       string            `json:"rule"`
	Reopening  bool              `json:"reopening"`
	Status     Status            `json:"status"`
	Since      time.Time         `json:"since"`
	Data       map[string]string `json:"data"`
}

// mailsOf writes to the people of a request about a decision: the letters in one
// job, however many they are, and one for each that waits. It returns to how many
// people it wrote at once.
func (d *Desk) mailsOf(before, after Request, decision Decision, e Event, token guichet.ID, now time.Time) (jobs []guichet.Job, people int, err error) {
	cause, reopening, ok := causeOf(before, e, decision)
	rules := d.mailRules(after.Provider)
	if !ok || len(rules) == 0 {
		return nil, 0, nil
	}
	o := occasion{Cause: cause, Request: after, Reopening: reopening, Token: token != ""}
	letters, later := lettersFor(rules, o)
	if len(letters)+len(later) == 0 {
		return nil, 0, nil
	}
	data := d.letterData(before, after, decision, e, token)
	if reopening {
		data["reopening"] = "yes"
	}
	if len(letters) > 0 {
		job, err := mailJob(letters, data, now)
		if err != nil {
			return nil, 0, err
		}
		jobs = append(jobs, job)
	}
	for _, m := range later {
		args, err := json.Marshal(laterLetter{after.Provider, after.ExternalID, m.Name, reopening, after.Status, now, data})
		if err != nil {
			return nil, 0, err
		}
		jobs = append(jobs, guichet.Job{Kind: "letter", Args: args, RunAt: now.Add(m.Delay()), MaxAttempts: mailAttempts})
	}
	for _, l := range letters {
		people += len(l.To)
	}
	return jobs, people, nil
}

// mailAttempts are as many as fit in several days, five minutes apart: a mail
// server may be down over a week-end.
const mailAttempts = 1000

// mailJob is the job of the letters of one deed.
func mailJob(letters []guichet.Letter, data map[string]string, now time.Time) (guichet.Job, error) {
	args, err := json.Marshal(guichet.Post{Letters: letters, Data: data})
	return guichet.Job{Kind: "mail", Args: args, RunAt: now, MaxAttempts: mailAttempts}, err
}

// Waited gives the letter of a job that has waited, or none when it is dropped:
// the status changed since it was decided, even if it changed back; the rule is
// gone; nobody is left to write to. People are those of today.
func (d *Desk) Waited(ctx context.Context, args []byte) (post guichet.Post, dropped string, err error) {
	var l laterLetter
	if err := json.Unmarshal(args, &l); err != nil {
		return guichet.Post{}, "", err
	}
	rules := d.mailRules(l.Provider)
	i := slices.IndexFunc(rules, func(m MailRule) bool { return m.Name == l.Rule && !m.Off })
	if i < 0 {
		return guichet.Post{}, "the rule is gone", nil
	}
	r, err := d.Store.Request(ctx, l.Provider, l.ExternalID)
	if err != nil {
		return guichet.Post{}, "", err
	}
	if r.Status != l.Status || !r.PurgedAt.IsZero() || !r.ArchivedAt.IsZero() && r.Status != Archived {
		return guichet.Post{}, "the status changed", nil
	}
	since, err := d.Store.Deliveries(ctx, DeliveryFilter{Provider: l.Provider, ExternalID: l.ExternalID, Limit: 1000})
	if err != nil {
		return guichet.Post{}, "", err
	}
	for _, s := range since {
		if !s.ReceivedAt.After(l.Since) || s.Effect != Applied {
			continue
		}
		if l.Reopening || s.Before != s.After || MailCause(nameOf(s.Event)) == rules[i].On {
			return guichet.Post{}, "the status changed", nil
		}
	}
	to := rules[i].addressees(r, map[string]bool{})
	if len(to) == 0 {
		return guichet.Post{}, "nobody is left to write to", nil
	}
	return guichet.Post{Letters: []guichet.Letter{{Template: string(rules[i].Template), To: to}}, Data: l.Data}, "", nil
}

// letterData are the data of every letter about a decision.
func (d *Desk) letterData(before, r Request, decision Decision, e Event, token guichet.ID) map[string]string {
	data := map[string]string{
		"provider": d.Providers[r.Provider].Title, "title": r.Title, "external_id": r.ExternalID, "organization": r.Organization,
		"scopes": strings.Join(r.Scopes, ", "), "reason": e.Payload.Reason, "at": e.FiredAt.Format(time.RFC3339),
		"blocked": strconv.Itoa(len(decision.Block)), "url": d.URL,
	}
	if a, ok := r.Contact(Applicant); ok {
		data["applicant"] = a.Name()
	}
	if source := d.Providers[r.Provider].SourceURL(r.ExternalID); source != "" {
		data["source_url"] = source
	}
	var names []string
	for _, t := range before.Tokens {
		if slices.Contains(decision.Block, t.ID) {
			names = append(names, shortToken(t.ID))
		}
	}
	data["tokens"] = strings.Join(names, ", ")
	switch {
	case token != "":
		data["url"], data["token"] = d.URL+"/compte/jetons/"+token.String(), shortToken(token)
	case decision.Note == NoteApproved:
		data["no_token"] = "yes"
	}
	return data
}

// tellToken writes to people about one token, as the rules say.
func (d *Desk) tellToken(tx Tx, cause MailCause, r Request, id guichet.ID, data map[string]string) (told bool, err error) {
	letters, _ := lettersFor(d.mailRules(r.Provider), occasion{Cause: cause, Request: r, Token: true})
	if len(letters) == 0 {
		return false, nil
	}
	all := map[string]string{
		"external_id": r.ExternalID, "provider": d.Providers[r.Provider].Title, "title": r.Title, "organization": r.Organization,
		"token": shortToken(id), "url": d.URL + "/compte/jetons/" + id.String(),
	}
	for name, value := range data {
		all[name] = value
	}
	job, err := mailJob(letters, all, d.Clock.Now())
	if err != nil {
		return false, err
	}
	return true, tx.Enqueue(job)
}
