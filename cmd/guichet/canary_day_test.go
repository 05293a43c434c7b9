package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// What happens in the day whose secrets are looked for.

func (d *day) play() {
	d.t.Helper()
	d.server = d.run("serve", d.env, "serve")
	watching, stopWatching := context.WithCancel(d.t.Context())
	var watcher sync.WaitGroup
	watcher.Go(func() { d.watch(watching) })
	defer func() { stopWatching(); watcher.Wait() }()
	d.people()
	jwt, token := d.grants()
	d.programs(jwt, token)
	d.bank()
	d.look()
	d.files("while it runs")
	_ = d.server.Process.Signal(syscall.SIGKILL) // what a crash leaves
	d.files("after a crash")
	d.command("check", "check")
	d.command("key rotate", "key", "rotate")
	d.command("backup", "backup", filepath.Join(d.folder, "backup"))
	d.command("journal verify", "journal", "verify", "--json")
	_ = d.gateway.Process.Signal(syscall.SIGTERM)
	d.logs.Wait()
	d.files("at the end")
}

// people: the first one, signing in, passwords and personal tokens.
func (d *day) people() {
	d.t.Helper()
	code := d.logged(`enter this code: (\S+)`)
	d.s.Add("setup code", code)
	password := canaryTyped["password of a person"]
	d.form("/setup", "code", canaryTyped["mistyped setup code"], "email", "ops@guichet.test", "password", password)
	status, _, _ := d.form("/setup", "code", code, "email", "ops@guichet.test", "password", password)
	d.is("setup", status, 303)
	d.s.Add("session cookie", d.cookie())
	d.form("/sign-in", "email", "ops@guichet.test", "password", canaryTyped["mistyped password"])
	status, _, _ = d.form("/settings/password", "old", password, "new", canaryTyped["changed password"])
	d.is("change of password", status, 303)
}

// grants: a request, its token, and the link to it.
func (d *day) grants() (jwt, token string) {
	d.t.Helper()
	body := d.secret("approve.json", `{"event":"approve","fired_at":1777880000,"model_type":"authorization_request/api_entreprise","model_id":7001,
		"data":{"state":"validated","data":{"intitule":"Aides aux commerces","scopes":["bilans_bdf"]},"applicant":{"email":"ops@guichet.test","given_name":"Claire","family_name":"Morel"}}}`)
	token = d.match(`"token_id": "([0-9a-f-]{36})"`, d.command("webhook send", "webhook", "send", "--provider", "api_entreprise", "--event", "approve", "--file", body, "--url", d.url, "--json"))
	jwt = d.match(`(eyJ[\w.-]+)`, d.command("token show", "token", "show", token))
	d.s.Add("token", jwt)
	d.ask("POST", "/api/datapass/v2/api_entreprise/webhook", "application/json", "{}", "X-Hub-Signature-256", "sha256=00")
	local := d.secret("local.json", `{"event":"approve","fired_at":1777880000,"model_type":"authorization_request/api_local","model_id":1,"data":{"state":"validated","data":{"scopes":["x"]},"applicant":{"email":"ops@guichet.test"}}}`)
	d.command("webhook send local", "webhook", "send", "--provider", "api_local", "--event", "approve", "--file", local, "--url", d.url, "--json")
	own := "/compte/jetons/" + token
	d.is("reveal", d.status(d.form(own+"/reveal")), 200)
	_, _, page := d.form(own+"/hand-over", "to", "colleague@valmont.test")
	link := d.match(`/transmission/([\w-]+)`, page)
	d.s.Add("hand-over link", link)
	d.ask("GET", "/transmission/"+link, "", "")
	d.is("taking over", d.status(d.form("/transmission/"+link)), 200)
	return jwt, token
}

func (d *day) status(status int, _ http.Header, _ string) int { return status }

// programs: a gateway, a client of OAuth, and what a token is good for.
func (d *day) programs(jwt, token string) {
	d.t.Helper()
	credential := d.match(`"token": "(ggw_\w+)"`, d.command("gateway add", "gateway", "add", "--name", "edge", "--json"))
	d.s.Add("gateway credential", credential)
	d.gateway = d.run("gateway", []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(d.folder, "tmp"), "GUICHET_GATEWAY_TOKEN_FILE=" + d.secret("gateway", credential)},
		"gateway", "--listen", strings.TrimPrefix(d.edge, "http://"), "--upstream", d.url, "--state", filepath.Join(d.folder, "state"))
	for _, at := range []string{d.url, d.edge} {
		for _, bearer := range []string{jwt, canaryTyped["token that is no token"], credential} {
			d.ask("GET", at+"/check?scope=bilans_bdf", "", "", "Authorization", "Bearer "+bearer)
		}
	}
	d.ask("GET", "/blocklist?nonce=n", "", "", "Authorization", "Bearer "+credential)
	d.ask("GET", "/blocklist?nonce=n", "", "", "Authorization", "Bearer "+canaryTyped["mistyped gateway token"])
	out := d.command("client add", "client", "add", "--name", "API", "--provider", "api_entreprise", "--introspect", "--revoke", "--json")
	id, secret := d.match(`"id": "([0-9a-f-]{36})"`, out), d.match(`"secret": "(gcc_\w+)"`, out)
	d.s.Add("client secret", secret)
	for _, s := range []string{secret, canaryTyped["mistyped client secret"]} {
		d.form("/oauth/introspect", "client_id", id, "client_secret", s, "token", jwt)
	}
	d.command("token block", "token", "block", token, "--reason", "essai")
	d.form("/oauth/revoke", "client_id", id, "client_secret", secret, "token", jwt)
}

// bank: an access by a worker, with a wrong code, a right one, a redirection; and
// one whose worker crashes with all it was given.
func (d *day) bank() {
	d.t.Helper()
	_, _, page := d.form("/settings/tokens", "name", "script")
	api := d.match(`(gpt_\w+|g[a-z]{2}_\w{20,})`, page)
	d.s.Add("personal API token", api)
	d.json("GET", "/api/all", nil, canaryTyped["mistyped API token"])
	open := func(login, password, birthday string) map[string]any {
		return d.json("POST", "/api/accesses?wait=60", map[string]any{
			"institution": "cnrybank", "fields": map[string]string{"login": canaryTyped[login], "password": canaryTyped[password], "birthday": birthday},
		}, api)
	}
	crashed := open("login of a failure", "password of a failure", "the worker crashes")
	d.is("the crash", crashed["code"], any("connector_error"))
	made := open("bank login", "bank password", canaryTyped["another secret field"])
	access, _ := made["access"].(map[string]any)
	if access == nil {
		d.t.Fatalf("no access: %v", made)
	}
	answer := func(field, value string) map[string]any {
		return d.json("PUT", "/api/accesses/"+access["id"].(string)+"/fetch/accounts?wait=60", map[string]any{"fields": map[string]string{field: value}}, api,
			"Idempotency-Key", canaryTyped["idempotency key"]+field+value[:8])
	}
	d.ask("GET", "/init/new-bank/enter-new-fields", "", "")
	d.is("the wrong code", answer("code", canaryWrongCode)["code"], any("answer_rejected"))
	next := answer("code", canaryTyped["code"])
	if attempt, _ := next["attempt"].(map[string]any); attempt["state"] != "waiting" {
		d.t.Fatalf("no second question: %v", next)
	}
	done := answer("url", canaryTyped["answer of a redirection"])
	if attempt, _ := done["attempt"].(map[string]any); attempt["state"] != "succeeded" {
		d.t.Fatalf("not opened: %v", done)
	}
	d.json("GET", "/api/all", nil, api)
	d.json("POST", "/api/accesses/"+access["id"].(string)+"/fetch/accounts?wait=60", nil, api)
}

// look reads every page, export, list and figure there is.
func (d *day) look() {
	d.t.Helper()
	for _, path := range []string{
		"/", "/accounts", "/transactions", "/accesses", "/settings", "/requests", "/requests.csv", "/requests/api_entreprise/7001", "/journal", "/journal.jsonl",
		"/tokens", "/alerts", "/statistics", "/gateways", "/compte", "/api/all", "/api/institutions", "/api/openapi.json", "/.well-known/jwks.json",
		"/.well-known/oauth-authorization-server", d.admin + "/metrics", d.admin + "/debug/pprof/goroutine?debug=2", d.admin + "/debug/pprof/cmdline", d.edge + "/healthz",
	} {
		if status, _, _ := d.ask("GET", path, "", ""); status >= 500 {
			d.t.Errorf("%s: %d", path, status)
		}
	}
	for _, c := range [][]string{{"request", "list"}, {"request", "show", "api_entreprise", "7001"}, {"alert", "list"}, {"client", "list"}, {"gateway", "list"}, {"key", "list"}, {"bank", "modules"}} {
		d.command(strings.Join(c, " "), append(c, "--json")...)
	}
	if err := d.sink.wait("ops@guichet.test", regexp.MustCompile(`.`)); err != nil {
		d.t.Fatal(err)
	}
	d.sink.mu.Lock()
	defer d.sink.mu.Unlock()
	if d.sink.login != "cnry:"+canaryTyped["SMTP password"] {
		d.t.Errorf("the mail server heard %q", d.sink.login)
	}
	for i, m := range d.sink.all {
		d.keep(fmt.Sprintf("mail %d to %s", i, m.to), []byte(m.text))
	}
}
