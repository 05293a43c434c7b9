package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"guichet/web/webtest"
)

// demo starts "guichet demo" as a process of its own and gives its address and
// the cookie of its visitor, signed in.
func demo(t *testing.T) (address, session string) {
	t.Helper()
	program, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	address = freeAddress(t)
	cmd := exec.Command(program, "demo", "--addr", address, "--admin", freeAddress(t), "--bank-addr", freeAddress(t), "--datapass-addr", freeAddress(t), "--keep", t.TempDir())
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
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo ended with %v: %s", err, log.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Sign in") {
	}
	fields := strings.Fields(lines.Text())
	if len(fields) != 4 {
		t.Fatalf("the demo did not say how to sign in: %s", log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	response, err := browser.PostForm("http://"+address+"/sign-in", url.Values{"email": {fields[2]}, "password": {fields[3]}})
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
