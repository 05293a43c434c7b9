package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet/keyring"
	"guichet/store/storetest"
)

const canaryWrongCode = "cnry-wrong-code-5t1p"

// What a person or an operator types or configures, by its kind.
var canaryTyped = map[string]string{
	"bank login":               "cnry-login-w3xk81",
	"bank password":            "cnry-password-&é\"-p0r4",
	"another secret field":     "cnry-birthday-of-the-cat-19",
	"code":                     "cnry-code-4471-zz-9",
	"wrong code":               canaryWrongCode,
	"answer of a redirection":  "https://guichet.test/back?code=cnry-oauth-code-of-the-bank",
	"session of the bank":      canarySession,
	"idempotency key":          "cnry-key-that-is-a-code",
	"login of a failure":       "cnry-login-of-a-crash",
	"password of a failure":    "cnry-password-of-a-crash",
	"password of a person":     "cnry une longue phrase de passe",
	"changed password":         "cnry une autre phrase plus longue",
	"mistyped password":        "cnry-mistyped-password",
	"mistyped API token":       "gpt_cnrymistypedapitoken222222",
	"webhook secret":           "cnry-webhook-secret-n8",
	"former webhook secret":    "cnry-former-webhook-secret",
	"secret shared by HS256":   "cnry-shared-secret-of-at-least-32-bytes",
	"SMTP password":            "cnry-smtp-password-77",
	"mistyped client secret":   "gcc_cnrymistypedclientsecret22",
	"mistyped gateway token":   "ggw_cnrymistypedgatewaytoken22",
	"mistyped setup code":      "CNRY-2222-3333-4444",
	"token that is no token":   "eyJhbGciOiJub25lIn0.eyJjbnJ5IjoiMSJ9.cnry",
	"secret of another format": "cnry-secret-of-another-provider",
}

// Where secrets are shown on purpose, to whom they are for: mostly those that
// Guichet makes itself, once. Everything else is nowhere.
var canaryShown = map[string]string{
	"setup code":         `^log of serve$`,
	"session cookie":     `^response POST /(setup|sign-in) `,
	"personal API token": `^response POST /settings/tokens `,
	"gateway credential": `^output of gateway add$`,
	"client secret":      `^output of client add$`,
	"token":              `^output of token show$|^response POST /compte/jetons/[^/]+/reveal |^response POST /transmission/`,
	"hand-over link":     `^response POST /compte/jetons/[^/]+/hand-over |^response (GET|POST) /transmission/`, // whoever came by the link
	"login of a failure": `^response POST /api/accesses 422$`,                                                  // the form comes back, secrets aside
	"key file":           `^$`,
	"key that signs":     `^$`,
}

// TestNoSecretAnywhere: a day of Guichet by its real processes — server, worker of
// a bank, gateway, commands — and then each secret of it, in each writing, in all
// that came out: answers, logs, mails, exports, backup, database and its journal
// while it runs and after a crash, temporary files, command lines, environments.
func TestNoSecretAnywhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := newDay(t, db)
		d.play()
		d.scan()
	})
}

// A day is a session with everything that came out of it.
type day struct {
	t       *testing.T
	db      *storetest.DB
	s       *scanner
	sink    *sink
	folder  string
	env     []string
	url     string
	admin   string
	edge    string
	client  *http.Client
	server  *exec.Cmd
	gateway *exec.Cmd
	logs    sync.WaitGroup

	mu   sync.Mutex
	seen map[string][]byte // what came out, by its place
	pids []int             // of our processes, whose children are ours too
}

func newDay(t *testing.T, db *storetest.DB) *day {
	t.Helper()
	d := &day{t: t, db: db, s: newScanner(), sink: newSink(t), folder: t.TempDir(), seen: map[string][]byte{}}
	for kind, value := range canaryTyped {
		d.s.add(kind, value)
	}
	for _, name := range []string{"secrets", "tmp", "modules", "state"} {
		if err := os.Mkdir(filepath.Join(d.folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	address, admin, edge := freeAddress(t), freeAddress(t), freeAddress(t)
	d.url, d.admin, d.edge = "http://"+address, "http://"+admin, "http://"+edge
	worker, err := exec.LookPath("canary-worker")
	if err != nil {
		t.Fatal(err)
	}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.folder, "TMPDIR=" + filepath.Join(d.folder, "tmp"), "GUICHET_DATABASE=" + db.Source,
		"GUICHET_KEY_FILE=" + d.secret("key", ""), "GUICHET_ADDR=" + address, "GUICHET_ADMIN_ADDR=" + admin, "GUICHET_LOG=debug",
		"GUICHET_SMTP_FILE=" + d.secret("smtp", "smtp://cnry:"+url.QueryEscape(canaryTyped["SMTP password"])+"@"+d.sink.address+"?tls=none"),
		"GUICHET_OPERATORS=ops@guichet.test", "GUICHET_WOOB_PYTHON=" + worker, "GUICHET_WOOB_MODULES=" + filepath.Join(d.folder, "modules"),
		"GUICHET_DATAPASS_SECRETS_FILE=" + d.secret("datapass", "api_entreprise="+canaryTyped["webhook secret"]+"|"+canaryTyped["former webhook secret"]),
		"GUICHET_PROVIDERS_FILE=" + d.secret("providers.toml", fmt.Sprintf("[api_entreprise]\n[api_local]\nalgorithm = \"HS256\"\nshared_secret = %q\nsecrets = [{ value = %q }]\n",
			canaryTyped["secret shared by HS256"], canaryTyped["secret of another format"])),
	}
	return d
}

// secret is a file of the operator's, which nobody scans; without text it is not
// there yet.
func (d *day) secret(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.folder, "secrets", name)
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	return path
}

func (d *day) keep(place string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[place] = append(append(d.seen[place], data...), '\n')
}

// run starts a long process and keeps its log; it returns when the log says ready.
func (d *day) run(name string, env []string, args ...string) *exec.Cmd {
	d.t.Helper()
	path, err := exec.LookPath("guichet")
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = env
	log, err := cmd.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.pids = append(d.pids, cmd.Process.Pid)
	d.mu.Unlock()
	ready := make(chan bool, 1)
	d.logs.Go(func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			d.keep("log of "+name, lines.Bytes())
			if strings.Contains(lines.Text(), `"msg":"ready"`) {
				ready <- true
			}
		}
		_ = cmd.Wait()
		ready <- false
	})
	d.t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGKILL); d.logs.Wait() })
	if !<-ready {
		d.t.Fatalf("%s ended before it was ready: %s", name, d.seen["log of "+name])
	}
	return cmd
}

// command runs a command to its end and keeps what it was given and what it said.
func (d *day) command(name string, args ...string) string {
	d.t.Helper()
	path, err := exec.LookPath("guichet")
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(slices.Clone(d.env), "GUICHET_URL="+d.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v: %s", name, err, out)
	}
	d.keep("output of "+name, out)
	d.keep("arguments of "+name, []byte(strings.Join(append(args, cmd.Env...), "\x00")))
	return string(out)
}

// ask sends a request with the cookies of the browser and keeps all of the answer.
func (d *day) ask(method, address, contentType, body string, headers ...string) (int, http.Header, string) {
	d.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = d.url + address
	}
	r, err := http.NewRequestWithContext(d.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	client := d.client
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Authorization" {
			client = &http.Client{CheckRedirect: d.client.CheckRedirect} // a program, not the browser
		}
	}
	response, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	var b bytes.Buffer
	_ = response.Header.Write(&b)
	d.keep(fmt.Sprintf("response %s %s %d", method, r.URL.Path, response.StatusCode), append(b.Bytes(), raw...))
	return response.StatusCode, response.Header, string(raw)
}

func (d *day) form(path string, pairs ...string) (int, http.Header, string) {
	d.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return d.ask(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode())
}

// json asks the API as a program with a personal token.
func (d *day) json(method, path string, body any, token string, headers ...string) map[string]any {
	d.t.Helper()
	var text []byte
	kind := ""
	if body != nil {
		text, _ = json.Marshal(body)
		kind = "application/json"
	}
	_, _, raw := d.ask(method, path, kind, string(text), append([]string{"Authorization", "Bearer " + token}, headers...)...)
	var answer map[string]any
	if err := json.Unmarshal([]byte(raw), &answer); raw != "" && err != nil {
		d.t.Fatalf("%s %s: %v: %.300s", method, path, err, raw)
	}
	return answer
}

func (d *day) match(expression, text string) string {
	d.t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(text)
	if m == nil {
		d.t.Fatalf("%s is not in %.2000s", expression, text)
	}
	return m[1]
}

// is fails the test when a step of the day did not go as it should.
func (d *day) is(what string, got, want any) {
	d.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Fatalf("%s: %s", what, diff)
	}
}

// logged waits for something of the server's log.
func (d *day) logged(expression string) string {
	d.t.Helper()
	want := regexp.MustCompile(expression)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		d.mu.Lock()
		m := want.FindSubmatch(d.seen["log of serve"])
		d.mu.Unlock()
		if m != nil {
			return string(m[1])
		}
	}
	d.t.Fatalf("never logged: %s", expression)
	return ""
}

func (d *day) cookie() string {
	d.t.Helper()
	at, _ := url.Parse(d.url)
	for _, c := range d.client.Jar.Cookies(at) {
		if c.Name == "guichet" {
			return c.Value
		}
	}
	d.t.Fatal("no cookie")
	return ""
}

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
	d.s.add("setup code", code)
	password := canaryTyped["password of a person"]
	d.form("/setup", "code", canaryTyped["mistyped setup code"], "email", "ops@guichet.test", "password", password)
	status, _, _ := d.form("/setup", "code", code, "email", "ops@guichet.test", "password", password)
	d.is("setup", status, 303)
	d.s.add("session cookie", d.cookie())
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
	d.s.add("token", jwt)
	d.ask("POST", "/api/datapass/v2/api_entreprise/webhook", "application/json", "{}", "X-Hub-Signature-256", "sha256=00")
	local := d.secret("local.json", `{"event":"approve","fired_at":1777880000,"model_type":"authorization_request/api_local","model_id":1,"data":{"state":"validated","data":{"scopes":["x"]},"applicant":{"email":"ops@guichet.test"}}}`)
	d.command("webhook send local", "webhook", "send", "--provider", "api_local", "--event", "approve", "--file", local, "--url", d.url, "--json")
	own := "/compte/jetons/" + token
	d.is("reveal", d.status(d.form(own+"/reveal")), 200)
	_, _, page := d.form(own+"/hand-over", "to", "colleague@valmont.test")
	link := d.match(`/transmission/([\w-]+)`, page)
	d.s.add("hand-over link", link)
	d.ask("GET", "/transmission/"+link, "", "")
	d.is("taking over", d.status(d.form("/transmission/"+link)), 200)
	return jwt, token
}

func (d *day) status(status int, _ http.Header, _ string) int { return status }

// programs: a gateway, a client of OAuth, and what a token is good for.
func (d *day) programs(jwt, token string) {
	d.t.Helper()
	credential := d.match(`"token": "(ggw_\w+)"`, d.command("gateway add", "gateway", "add", "--name", "edge", "--json"))
	d.s.add("gateway credential", credential)
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
	d.s.add("client secret", secret)
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
	d.s.add("personal API token", api)
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

// watch looks at our processes and at what they put into their temporary folder,
// all the time.
func (d *day) watch(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		ours := slices.Clone(d.pids)
		d.mu.Unlock()
		all, _ := filepath.Glob("/proc/[0-9]*")
		for grew := true; grew; {
			grew = false
			for _, at := range all {
				pid, _ := strconv.Atoi(filepath.Base(at))
				stat, err := os.ReadFile(at + "/stat")
				if err != nil || slices.Contains(ours, pid) {
					continue
				}
				fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
				if parent, _ := strconv.Atoi(fields[1]); slices.Contains(ours, parent) {
					ours, grew = append(ours, pid), true
				}
			}
		}
		for _, pid := range ours {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			name := filepath.Base(string(bytes.SplitN(line, []byte{0}, 2)[0]))
			d.once("command line of "+name, line)
			d.once("environment of "+name, environ)
			if name == "canary-worker" && len(environ) > 0 {
				_ = os.WriteFile(filepath.Join(d.folder, "modules", fmt.Sprint("seen-", pid)), nil, 0o600)
			}
		}
		_ = filepath.WalkDir(filepath.Join(d.folder, "tmp"), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if data, err := os.ReadFile(path); err == nil {
					d.once("temporary file "+filepath.Base(path), append([]byte(path), data...))
				}
			}
			return nil
		})
		<-time.After(20 * time.Millisecond)
	}
}

// once keeps what was not kept of this place before.
func (d *day) once(place string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(data) > 0 && !bytes.Contains(d.seen[place], data) {
		d.seen[place] = append(append(d.seen[place], data...), '\n')
	}
}

// files keeps all files of the day but the operator's own, and the rows of a
// database that is no file.
func (d *day) files(when string) {
	d.t.Helper()
	folders := []string{d.folder}
	if path, ok := strings.CutPrefix(d.db.Source, "sqlite:"); ok {
		folders = append(folders, filepath.Dir(path))
	} else {
		for _, table := range d.db.Column("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") {
			d.keep("database, table "+table+" "+when, []byte(strings.Join(d.db.Column("SELECT t::text FROM "+table+" t"), "\n")))
		}
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil // gone meanwhile
			}
			if e.IsDir() && e.Name() == "secrets" {
				return filepath.SkipDir
			}
			if e.Type().IsRegular() {
				data, err := os.ReadFile(path)
				if err != nil {
					return nil // gone meanwhile
				}
				d.keep("file "+filepath.Base(path)+" "+when, append([]byte(path+"\n"), data...))
			}
			return nil
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

// scan looks for every secret in everything.
func (d *day) scan() {
	d.t.Helper()
	key, err := os.ReadFile(filepath.Join(d.folder, "secrets", "key"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.s.add("key file", strings.TrimSpace(string(key)))
	d.signingKeys()
	for place, data := range d.seen {
		d.s.look(place, data)
	}
	shown := map[string]bool{}
	for _, f := range d.s.list() {
		if where, ok := canaryShown[f.kind]; ok && regexp.MustCompile(where).MatchString(f.place) {
			shown[f.kind] = true
			continue
		}
		d.t.Errorf("%s, written as %s, is in: %s", f.kind, f.writing, f.place)
	}
	for kind, where := range canaryShown {
		if where != "^$" && !shown[kind] {
			d.t.Errorf("%s was not even seen where it is shown: the scan is blind", kind)
		}
	}
	// What must have been looked at.
	for _, place := range []string{
		"log of serve", "log of gateway", "command line of canary-worker", "environment of canary-worker", "command line of guichet", "environment of guichet",
		"file backup at the end", "output of backup", "response GET /requests.csv 200", "response GET /journal.jsonl 200", "response GET /metrics 200", "mail 0 to ops@guichet.test",
	} {
		if len(d.seen[place]) == 0 {
			d.t.Errorf("nothing was looked at: %s", place)
		}
	}
	d.t.Logf("%d kinds of secrets, %d needles, %d places, %.1f MB", len(d.s.canaries), len(d.s.needles), len(d.seen), float64(d.s.read)/1e6)
}

// signingKeys adds the private keys, which only the key file opens.
func (d *day) signingKeys() {
	d.t.Helper()
	file, _, err := keyring.OpenKeyFile(filepath.Join(d.folder, "secrets", "key"))
	if err != nil {
		d.t.Fatal(err)
	}
	sealer, err := openSealer(d.t.Context(), file, d.db.Store)
	if err != nil {
		d.t.Fatal(err)
	}
	rows, err := d.db.SigningKeys(d.t.Context())
	if err != nil || len(rows) == 0 {
		d.t.Fatalf("%d keys, %v", len(rows), err)
	}
	for _, row := range rows {
		private, err := sealer.Open(place(row.KID), row.Sealed)
		if err != nil {
			d.t.Fatal(err)
		}
		d.s.add("key that signs", string(private))
	}
}
