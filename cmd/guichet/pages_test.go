package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"guichet"
	"guichet/store"
	"guichet/web/webtest"
)

// startDemo starts "guichet demo" on a folder as a process of its own, and gives how
// to end it, and the line in which it says how to sign in.
func startDemo(t *testing.T, folder, address, datapass string) (end func(os.Signal), signIn []string) {
	t.Helper()
	program, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "demo", "--addr", address, "--admin", freeAddress(t), "--bank-addr", freeAddress(t), "--datapass-addr", datapass, "--keep", folder)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func(by os.Signal) {
		_ = cmd.Process.Signal(by)
		if err := cmd.Wait(); err != nil && by != syscall.SIGKILL {
			t.Errorf("the demo ended with %v: %s", err, log.String())
		}
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Sign in") {
	}
	if signIn = strings.Fields(lines.Text()); len(signIn) != 4 {
		end(syscall.SIGKILL)
		t.Fatalf("the demo did not say how to sign in: %s", log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return end, signIn
}

// demo gives the address of a demo and the cookie of its visitor, signed in.
func demo(t *testing.T) (address, session string) {
	t.Helper()
	address = freeAddress(t)
	end, signIn := startDemo(t, t.TempDir(), address, freeAddress(t))
	t.Cleanup(func() { end(syscall.SIGTERM) })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	response, err := browser.PostForm("http://"+address+"/sign-in", url.Values{"email": {signIn[2]}, "password": {signIn[3]}})
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("sign in: %v %v", response, err)
	}
	_ = response.Body.Close()
	for _, c := range jar.Cookies(response.Request.URL) {
		if c.Name == "guichet" {
			return "http://" + address, c.Value
		}
	}
	t.Fatal("no session")
	return "", ""
}

// What was done at the simulated DataPass of a demo is there again when the demo is:
// its numbers go on, and what it had not delivered yet arrives.
func TestDemoIsKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	post := func(datapass, path string, values url.Values) string {
		t.Helper()
		response, err := http.PostForm("http://"+datapass+path, values)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %s", path, err, page)
		}
		return string(page)
	}
	datapass := freeAddress(t)
	end, _ := startDemo(t, folder, freeAddress(t), datapass)
	post(datapass, "/envois/retenir", url.Values{"on": {"yes"}})
	before := post(datapass, "/demandes", url.Values{"provider": {"api_entreprise"}, "title": {"Une de plus"}})
	end(syscall.SIGKILL)

	datapass = freeAddress(t)
	end, _ = startDemo(t, folder, freeAddress(t), datapass)
	after := post(datapass, "/demandes", url.Values{"provider": {"api_entreprise"}, "title": {"Et une autre"}})
	post(datapass, "/envois/retenir", url.Values{"on": {""}})
	end(syscall.SIGTERM)
	if !strings.Contains(before, "Demande 50010 créée") || !strings.Contains(after, "Demande 50011 créée") || !strings.Contains(after, "Une de plus") || !strings.Contains(after, "Marchés publics de Valmont") {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(folder, "guichet.db"), store.Options{Clock: guichet.SystemClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for number, title := range map[string]string{"50010": "Une de plus", "50011": "Et une autre"} {
		if r, err := s.Grant().Request(t.Context(), "api_entreprise", number); err != nil || r.Title != title {
			t.Errorf("%s: %q, %v", number, r.Title, err)
		}
	}
}

// A demo whose address is somebody else's ends, and sends them nothing of its history.
func TestDemoKeepsToItself(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(other.Close)
	taken := other.Listener.Addr().String()
	cmd := exec.CommandContext(t.Context(), program, "demo", "--addr", taken, "--admin", freeAddress(t), "--bank-addr", freeAddress(t), "--datapass-addr", freeAddress(t))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), taken) {
		t.Errorf("it ended with %v: %s", err, out)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("somebody else was asked %d times", n)
	}
}

// Every page of the real program on sample data: a quiet console, no rule of
// accessibility broken, nothing sticking out, at two widths, in both themes and
// languages. The pictures go to GUICHET_SHOTS.
func TestPages(t *testing.T) {
	t.Parallel()
	address, session := demo(t)
	b := webtest.Start(t)
	token := regexp.MustCompile(`/tokens/[0-9a-f-]{36}`).FindString(get(t, address+"/tokens", session))
	delivery := regexp.MustCompile(`/journal/[0-9a-f-]{36}`).FindString(get(t, address+"/journal", session))
	pages := map[string]string{
		"overview": "/", "requests": "/requests", "requests-revoked": "/requests?status=revoked", "requests-none": "/requests?q=zzz",
		"request-revoked": "/requests/api_entreprise/50008", "request-alert": "/requests/api_entreprise/50005", "tokens": "/tokens", "token": token,
		"alerts": "/alerts", "gateways": "/gateways", "settings": "/settings", "nowhere": "/nowhere", "accesses": "/accesses", "accounts": "/accounts",
		"requests-filtered": "/requests?provider=api_entreprise&siret=2&from=2020-01-01&order=changed", "journal": "/journal", "journal-open": "/journal?open=yes",
		"delivery": delivery, "statistics": "/statistics", "purge": "/purge", "drifts": "/drifts", "alerts-all": "/alerts?show=all",
		"providers": "/providers", "mails": "/providers/api_entreprise/mails", "mail": "/providers/api_entreprise/mails/approved_technical",
		"notices-none": "/providers/api_entreprise/notifications", "transactions": "/transactions", "new-access": "/init/new-bank", "new-access-form": "/init/new-bank?institution=sim",
	}
	if page := get(t, address+"/requests/api_entreprise/50008", session); !strings.Contains(page, "Habilitation révoquée") {
		t.Error("the page of a revoked request does not say so")
	}
	for name, path := range pages {
		t.Run(name, func(t *testing.T) { // one tab after the other: other tests run beside
			p := b.Tab(t)
			for _, look := range []webtest.Look{
				{Width: 1440, Theme: "light", Lang: "fr"},
				{Width: 360, Height: 740, Theme: "dark", Lang: "fr"},
				{Width: 360, Height: 740, Theme: "light", Lang: "en"},
				{Width: 1440, Theme: "dark", Lang: "en"},
			} {
				look.URL, look.Cookies = address+path, map[string]string{"guichet": session}
				shot := name + "-" + map[bool]string{true: "phone", false: "wide"}[look.Width == 360] + "-" + look.Theme + "-" + look.Lang
				p.Look(t, look)
				for _, problem := range p.Problems() {
					if !(name == "nowhere" && strings.Contains(problem, "404")) {
						t.Errorf("%s: console: %s", shot, problem)
					}
				}
				for _, e := range p.Overflow() {
					t.Errorf("%s: sticks out: %s", shot, e)
				}
				for _, v := range p.Axe() {
					t.Errorf("%s: axe: %s", shot, v)
				}
				if dir := os.Getenv("GUICHET_SHOTS"); dir != "" {
					if err := os.MkdirAll(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(dir, shot+".png"), p.Screenshot(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func get(t *testing.T, address, session string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "guichet", Value: session})
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
