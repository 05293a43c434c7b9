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

	"guichet/canary"
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
	"database password":        "cnry-database-password-b6",
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
	t.Parallel()
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
	s       *canary.Scanner
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
	d := &day{t: t, db: db, s: &canary.Scanner{}, sink: newSink(t), folder: t.TempDir(), seen: map[string][]byte{}}
	for kind, value := range canaryTyped {
		d.s.Add(kind, value)
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
	db.Given(filepath.Join(d.folder, "secrets"))
	worker, err := exec.LookPath("canary-worker")
	if err != nil {
		t.Fatal(err)
	}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.folder, "TMPDIR=" + filepath.Join(d.folder, "tmp"), "GUICHET_DATABASE_FILE=" + d.secret("database", withPassword(db.Source)),
		"GUICHET_KEY_FILE=" + d.secret("key", ""), "GUICHET_ADDR=" + address, "GUICHET_ADMIN_ADDR=" + admin, "GUICHET_LOG=debug",
		"GUICHET_SMTP_FILE=" + d.secret("smtp", "smtp://cnry:"+url.QueryEscape(canaryTyped["SMTP password"])+"@"+d.sink.address+"?tls=none"),
		"GUICHET_OPERATORS=ops@guichet.test", "GUICHET_WOOB_PYTHON=" + worker, "GUICHET_WOOB_MODULES=" + filepath.Join(d.folder, "modules"),
		"GUICHET_DATAPASS_SECRETS_FILE=" + d.secret("datapass", "api_entreprise="+canaryTyped["webhook secret"]+"|"+canaryTyped["former webhook secret"]),
		"GUICHET_PROVIDERS_FILE=" + d.secret("providers.toml", fmt.Sprintf("[api_entreprise]\n[api_local]\nalgorithm = \"HS256\"\nshared_secret = %q\nsecrets = [{ value = %q }]\n",
			canaryTyped["secret shared by HS256"], canaryTyped["secret of another format"])),
	}
	return d
}

// withPassword is the address of a server that asks for no password, with one.
func withPassword(source string) string {
	return strings.Replace(source, "postgres://guichet@", "postgres://guichet:"+canaryTyped["database password"]+"@", 1)
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
	d.s.Add("key file", strings.TrimSpace(string(key)))
	d.signingKeys()
	shown := map[string]bool{}
	for place, data := range d.seen {
		for _, f := range d.s.Look(place, data) {
			if where, ok := canaryShown[f.Kind]; ok && regexp.MustCompile(where).MatchString(f.Place) {
				shown[f.Kind] = true
				continue
			}
			d.t.Errorf("%s", f)
		}
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
	kinds, needles, read := d.s.Size()
	d.t.Logf("%d kinds of secrets, %d needles, %d places, %.1f MB", kinds, needles, len(d.seen), float64(read)/1e6)
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
		d.s.Add("key that signs", string(private))
	}
}
