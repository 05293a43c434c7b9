package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"guichet/blocklist"
	"guichet/keyring"
)

// edge starts a gateway; who serves the list is the caller's.
func (b bench) edge(upstream, credential string) (*process, error) {
	address, err := freePort()
	if err != nil {
		return nil, err
	}
	return start(b.ctx, func(line string) string {
		if strings.Contains(line, "tokens are verified") { // it has heard
			return address
		}
		return ""
	}, true, []string{"GUICHET_GATEWAY_TOKEN=" + credential}, b.program, "gateway", "--upstream", upstream, "--listen", address, "--state", "FOLDER/state")
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// gateway measures the check of a gateway beside a trivial handler, alone and
// through nginx. It serves the list itself, so that it may sign as many tokens as it
// needs: a token that is seen for the first time is seen once.
func (b bench) gateway() error {
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Now())
	if err != nil {
		return err
	}
	jwks, err := keyring.JWKS(key.Key())
	if err != nil {
		return err
	}
	set := blocklist.Empty(1)
	list := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/snapshot") {
			_ = set.Write(w)
			return
		}
		q := r.URL.Query()
		_ = json.NewEncoder(w).Encode(blocklist.Answer{Nonce: q.Get("nonce"), Head: set.Head(), Keys: "k", JWKS: jwks, Reset: q.Get("epoch") != "1"})
	}))
	defer list.Close()
	base, err := b.reference("204")
	if err != nil {
		return err
	}
	defer base.stop()
	g, err := b.edge(list.URL, "ggw_bench")
	if err != nil {
		return err
	}
	defer g.stop()
	n := 0
	fresh := func(path string, distinct int) ([]call, error) {
		calls := make([]call, b.requests*2)
		for i := range calls {
			if i >= distinct {
				calls[i] = calls[i%distinct]
				continue
			}
			n++
			jwt, err := key.Sign(keyring.Claims{
				ID: fmt.Sprint("token-", n), Subject: "Marchés publics de Valmont", Scopes: []string{"attestation_fiscale_dgfip", "open_data"}, IssuedAt: time.Now(),
				ExpiresAt: time.Now().Add(time.Hour), Version: "1.0", ExtraInfo: []byte(`{"request":"api_entreprise/51234"}`), Status: keyring.StatusAt("http://guichet.test", int64(n)),
			})
			if err != nil {
				return nil, err
			}
			calls[i] = call{method: http.MethodGet, path: path, header: http.Header{"Authorization": {"Bearer " + jwt}}}
		}
		return calls, nil
	}
	seen, err := fresh("/check?scope=open_data", 200)
	if err != nil {
		return err
	}
	var trivial, before, first rounds
	for round := -1; round < b.rounds; round++ {
		unseen, err := fresh("/check?scope=open_data", b.requests*2)
		if err != nil {
			return err
		}
		for _, run := range []struct {
			to     *rounds
			server *process
			calls  []call
		}{{&trivial, base, seen}, {&before, g, seen}, {&first, g, unseen}} {
			r, err := run.server.load(b.ctx, b.connections, run.calls, http.StatusNoContent)
			if err != nil {
				return err
			}
			if round >= 0 {
				*run.to = append(*run.to, r)
			}
		}
	}
	fmt.Println("/check at a gateway: the bit is read on every call")
	trivial.print("a trivial handler, 204 (reference)", trivial)
	before.print("guichet gateway: a token seen before", trivial)
	first.print("guichet gateway: a token seen for the first time (EdDSA)", trivial)
	fmt.Println()
	return b.throughNginx(base, g, seen)
}

const nginxConfig = `worker_processes 1; daemon off; pid FOLDER/pid; error_log FOLDER/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path FOLDER/b; proxy_temp_path FOLDER/p; fastcgi_temp_path FOLDER/f; uwsgi_temp_path FOLDER/u; scgi_temp_path FOLDER/s;
	keepalive_requests 1000000;
	upstream gateway { server GATEWAY; keepalive 64; keepalive_requests 1000000; }
	upstream trivial { server TRIVIAL; keepalive 64; keepalive_requests 1000000; }
	proxy_http_version 1.1; proxy_set_header Connection "";
	server {
		listen LISTEN;
		location /gateway/ { auth_request /_gateway; proxy_pass http://trivial; }
		location /trivial/ { auth_request /_trivial; proxy_pass http://trivial; }
		location = /_gateway { internal; proxy_pass http://gateway/check?scope=open_data; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_method HEAD; }
		location = /_trivial { internal; proxy_pass http://trivial/check?scope=open_data; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_method HEAD; }
	}
}
`

// throughNginx asks by auth_request, beside an auth_request to a trivial handler.
func (b bench) throughNginx(base, g *process, seen []call) error {
	program, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Print("Through nginx: left out, nginx is missing\n\n")
		return nil
	}
	folder, err := os.MkdirTemp("", "guichet-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	address, err := freePort()
	if err != nil {
		return err
	}
	text := strings.NewReplacer("FOLDER", folder, "GATEWAY", g.address, "TRIVIAL", base.address, "LISTEN", address).Replace(nginxConfig)
	if err := os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte(text), 0o600); err != nil {
		return err
	}
	nginx := exec.CommandContext(b.ctx, program, "-p", folder, "-c", filepath.Join(folder, "nginx.conf"))
	nginx.Stderr = os.Stderr
	if err := nginx.Start(); err != nil {
		return err
	}
	defer func() { _ = nginx.Process.Kill(); _ = nginx.Wait() }()
	for range 100 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	by := func(path string) []call {
		calls := slices.Clone(seen)
		for i := range calls {
			calls[i].path = path
		}
		return calls
	}
	var trivial, ours rounds
	for round := -1; round < b.rounds; round++ {
		for _, run := range []struct {
			to    *rounds
			calls []call
		}{{&trivial, by("/trivial/")}, {&ours, by("/gateway/")}} {
			r, err := closedLoop(b.ctx, address, b.connections, run.calls, http.StatusNoContent)
			if err != nil {
				return err
			}
			if round >= 0 {
				*run.to = append(*run.to, r)
			}
		}
	}
	fmt.Println("Through nginx, by auth_request")
	trivial.print("to a trivial handler, 204 (reference)", trivial)
	ours.print("to guichet gateway", trivial)
	fmt.Println()
	return nil
}
