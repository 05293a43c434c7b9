package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The proxies of docs/gateways, started with the very text of their pages.
func TestProxies(t *testing.T) {
	_, s := startServer(t)
	credential := s.guichet(t, "gateway", "add", "--name", "edge", "--json")
	_, credential, _ = strings.Cut(credential, `"token": "`)
	credential, _, _ = strings.Cut(credential, `"`)
	for n, proxy := range []struct {
		name  string
		files map[string]string // of the kind of block
		args  []string
	}{
		{"nginx", map[string]string{"nginx": "nginx.conf"}, []string{"nginx", "-c", "FOLDER/nginx.conf", "-p", "FOLDER", "-g", "daemon off; pid FOLDER/pid; error_log FOLDER/error.log;"}},
		{"caddy", map[string]string{"caddy": "Caddyfile"}, []string{"caddy", "run", "--adapter", "caddyfile", "--config", "FOLDER/Caddyfile"}},
		{"haproxy", map[string]string{"haproxy": "haproxy.cfg", "lua": "guichet.lua"}, []string{"haproxy", "-db", "-C", "FOLDER", "-f", "FOLDER/haproxy.cfg"}},
	} {
		t.Run(proxy.name, func(t *testing.T) {
			id, jwt := newToken(t, s, 100+n)
			edge := runEdge(t, freeAddress(t), []string{"GUICHET_GATEWAY_TOKEN=" + credential}, "--upstream", "http://"+s.address, "--stale-after", "5s", "--state", t.TempDir())
			t.Cleanup(func() { edge.stop(syscall.SIGKILL) })
			var calls atomic.Int64
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				_, _ = fmt.Fprintf(w, "%s %s %q %q %q", r.Method, r.URL.Path, r.Header.Values("X-Guichet-Token"), r.Header.Values("X-Guichet-Request"), r.Header.Values("X-Guichet-Scopes"))
			}))
			t.Cleanup(api.Close)
			front := freeAddress(t)
			startProxy(t, proxy.name, proxy.files, proxy.args, map[string]string{
				"127.0.0.1:8000": front, "127.0.0.1:8082": strings.TrimPrefix(edge.url, "http://"), "127.0.0.1:9000": strings.TrimPrefix(api.URL, "http://"),
			})
			until(t, 20*time.Second, "the proxy lets a good token through", func() bool { got, _ := through(front, jwt); return got == 200 })

			got, body := through(front, jwt)
			want := fmt.Sprintf("POST /anything [%q] [%q] [%q]", id, fmt.Sprint("api_entreprise/", 100+n), "open_data")
			if got != 200 || body != want {
				t.Errorf("%d %s, want %s", got, body, want)
			}
			before := calls.Load()
			for _, bad := range []string{"", "garbage", jwt[:len(jwt)-4] + "AAAA"} {
				if got, body := through(front, bad); got != 401 {
					t.Errorf("a bad token: %d %s", got, body)
				}
			}
			if calls.Load() != before {
				t.Error("the API was called for a token that is refused")
			}
			s.guichet(t, "request", "revoke", "api_entreprise", fmt.Sprint(100+n), "--reason", "essai")
			until(t, time.Second, "the proxy refuses the revoked token", func() bool { got, _ := through(front, jwt); return got == 401 })
			_, other := newToken(t, s, 200+n)
			until(t, time.Second, "the proxy lets another one through", func() bool { got, _ := through(front, other); return got == 200 })
			edge.stop(syscall.SIGKILL)
			before = calls.Load()
			for range 3 {
				if got, _ := through(front, other); got != 502 && got != 503 {
					t.Errorf("without its gateway: %d", got)
				}
			}
			if calls.Load() != before {
				t.Error("the API was called without anybody having been asked")
			}
		})
	}
}

// through posts to the API by way of the proxy, claiming to be somebody else.
func through(front, jwt string) (status int, body string) {
	r, err := http.NewRequest(http.MethodPost, "http://"+front+"/anything", strings.NewReader("a body"))
	if err != nil {
		return 0, err.Error()
	}
	if jwt != "" {
		r.Header.Set("Authorization", "Bearer "+jwt)
	}
	for _, name := range []string{"X-Guichet-Token", "X-Guichet-Request", "X-Guichet-Scopes"} {
		r.Header.Set(name, "forged")
	}
	response, err := quick.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, readAll(response)
}

// startProxy writes the blocks of a page as files, with other addresses, and
// starts the proxy on them until the test ends.
func startProxy(t *testing.T, name string, files map[string]string, args []string, addresses map[string]string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "gateways", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for kind, file := range files {
		_, text, ok := strings.Cut(string(page), "```"+kind+"\n")
		if !ok {
			t.Fatalf("the page has no %s", kind)
		}
		text, _, _ = strings.Cut(text, "\n```")
		for from, to := range addresses {
			if strings.Contains(text, from) {
				text = strings.ReplaceAll(text, from, to)
			}
		}
		text = strings.ReplaceAll(text, "lua-load guichet.lua", "lua-load "+filepath.Join(folder, "guichet.lua"))
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "FOLDER", folder)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+folder)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", name, log.String())
		}
	})
	until(t, 10*time.Second, name+" listens", func() bool {
		c, err := net.Dial("tcp", addresses["127.0.0.1:8000"])
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}
