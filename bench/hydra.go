package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"guichet/store/storetest"
)

const (
	hydraModule  = "github.com/ory/hydra/v2"
	hydraVersion = "v2.3.0"
)

// hydra measures a check at a gateway and an introspection of ours beside the
// introspections of Ory Hydra, which many put behind their gateways. It is built
// at the first need, which takes minutes; where it cannot be, it says why.
func (b bench) hydra() error {
	program, err := buildHydra(b.ctx)
	if err != nil {
		fmt.Printf("Beside Ory Hydra %s: left out, it could not be built: %v\n\n", hydraVersion, err)
		return nil
	}
	address, err := storetest.Postgres("")
	if err != nil {
		fmt.Printf("Beside Ory Hydra: left out, there is no PostgreSQL: %v\n\n", err)
		return nil
	}
	admin, err := sql.Open("pgx", fmt.Sprintf(address, "postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	for _, name := range []string{"hydra", "guichet"} {
		if _, err := admin.ExecContext(b.ctx, "CREATE DATABASE "+name); err != nil {
			return err
		}
	}
	hydra, opaque, jwt, err := b.startHydra(program, fmt.Sprintf(address, "hydra")+"&max_conns=20&max_idle_conns=20")
	if err != nil {
		return err
	}
	defer hydra.stop()
	g, err := b.guichetOn(fmt.Sprintf(address, "guichet"))
	if err != nil {
		return err
	}
	defer g.stop()
	checks, introspections, err := b.ourTokens(g)
	if err != nil {
		return err
	}
	credential, err := b.credential(g, "edge")
	if err != nil {
		return err
	}
	edge, err := b.edge("http://"+g.address, credential)
	if err != nil {
		return err
	}
	defer edge.stop()
	var theirs, theirJWT, check, introspect rounds
	for round := -1; round < b.rounds; round++ {
		for _, run := range []struct {
			to     *rounds
			server *process
			calls  []call
			n      int
			want   int
		}{
			{&theirs, hydra, opaque, b.requests / 4, http.StatusOK},
			{&check, edge, checks, b.requests * 4, http.StatusNoContent},
			{&theirJWT, hydra, jwt, b.requests / 8, http.StatusOK},
			{&introspect, g, introspections, b.requests, http.StatusOK},
		} {
			calls := make([]call, run.n)
			for i := range calls {
				calls[i] = run.calls[i%len(run.calls)]
			}
			r, err := run.server.leanLoad(b.ctx, b.connections, calls, run.want)
			if err != nil {
				return err
			}
			if round >= 0 {
				*run.to = append(*run.to, r)
			}
		}
	}
	fmt.Printf("Beside Ory Hydra %s, each on PostgreSQL, with a client that costs next to nothing\n", hydraVersion)
	theirs.print("Hydra: introspection, opaque (reference)", theirs)
	theirJWT.print("Hydra: introspection, JWT", theirs)
	check.print("guichet gateway: a token seen before", theirs)
	introspect.print("guichet: /oauth/introspect", theirs)
	for _, other := range []struct {
		name   string
		rounds rounds
	}{{"opaque", theirs}, {"JWT", theirJWT}} {
		_, times, _ := check.to(other.rounds)
		_, central, _ := introspect.to(other.rounds)
		fmt.Printf("  a check at the gateway is %.0f × Hydra's %s introspection (%.0f × by the processor of the server alone); ours is %.1f ×\n",
			times, other.name, float64(other.rounds.processor())/float64(check.processor()), central)
	}
	fmt.Println()
	return nil
}

// buildHydra builds Hydra by a module of its own: "go install" refuses a module
// with replace directives, so a wrapper copies those that are not folders of it. It
// is kept in the user's cache, and built once; nothing of it is near our go.mod.
func buildHydra(ctx context.Context) (program string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "guichet-bench", "hydra-"+hydraVersion)
	program = filepath.Join(folder, "hydra")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module beside\n"), 0o600); err != nil {
		return "", err
	}
	fmt.Printf("Building Ory Hydra %s in %s, once: some minutes\n", hydraVersion, folder)
	out, err := in(ctx, folder, "go", "mod", "download", "-json", hydraModule+"@"+hydraVersion)
	if err != nil {
		return "", err
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(out, &got); err != nil {
		return "", err
	}
	theirs, err := os.ReadFile(filepath.Join(got.Dir, "go.mod"))
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(got.Dir, "go.sum"))
	if err != nil {
		return "", err
	}
	mod := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(string(theirs), "module beside\n\nrequire "+hydraModule+" "+hydraVersion)
	mod = regexp.MustCompile(`(?m)^replace .* => \./.*$`).ReplaceAllString(mod, "")
	for name, text := range map[string]string{
		"go.mod": mod, "go.sum": string(sums), "main.go": "package main\n\nimport \"" + hydraModule + "/cmd\"\n\nfunc main() { cmd.Execute() }\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	// Under another name until it is whole.
	if _, err := in(ctx, folder, "go", "build", "-mod=mod", "-o", "unfinished", "."); err != nil {
		return "", err
	}
	return program, os.Rename(filepath.Join(folder, "unfinished"), program)
}

func in(ctx context.Context, folder, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		lines := strings.Split(strings.TrimSpace(string(failed.Stderr)), "\n")
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[0], err, lines[len(lines)-1])
	}
	return out, err
}

// startHydra starts it and gives the calls of its introspections, for tokens of
// either kind.
func (b bench) startHydra(program, dsn string) (hydra *process, opaque, jwt []call, err error) {
	public, err := freePort()
	if err != nil {
		return nil, nil, nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, nil, nil, err
	}
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	env := []string{
		"DSN=" + dsn, "SECRETS_SYSTEM=a-secret-of-a-benchmark-and-of-nothing-else", "URLS_SELF_ISSUER=http://" + public, "SQA_OPT_OUT=true",
		"SERVE_PUBLIC_HOST=127.0.0.1", "SERVE_PUBLIC_PORT=" + port(public), "SERVE_ADMIN_HOST=127.0.0.1", "SERVE_ADMIN_PORT=" + port(admin), "LOG_LEVEL=panic",
	}
	folder, err := os.MkdirTemp("", "guichet-bench-")
	if err != nil {
		return nil, nil, nil, err
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(b.ctx, program, args...)
		cmd.Env = append(os.Environ(), env...)
		return cmd
	}
	if out, err := run("migrate", "sql", "up", "-e", "--yes").CombinedOutput(); err != nil {
		return nil, nil, nil, fmt.Errorf("hydra migrate: %w: %s", err, out[max(0, len(out)-500):])
	}
	serve := run("serve", "all", "--dev")
	if err := serve.Start(); err != nil {
		return nil, nil, nil, err
	}
	hydra = &process{cmd: serve, address: admin, folder: folder}
	defer func() {
		if err != nil {
			hydra.stop()
		}
	}()
	for began := time.Now(); ; <-time.After(100 * time.Millisecond) {
		if _, err = fetch(b.ctx, http.MethodGet, "http://"+admin+"/health/ready", "", ""); err == nil {
			break
		}
		if b.ctx.Err() != nil || time.Since(began) > time.Minute {
			return nil, nil, nil, fmt.Errorf("hydra is not ready: %w", err)
		}
	}
	const form = "application/x-www-form-urlencoded"
	for kind, calls := range map[string]*[]call{"opaque": &opaque, "jwt": &jwt} {
		made, err := fetch(b.ctx, http.MethodPost, "http://"+admin+"/admin/clients", "application/json",
			`{"grant_types":["client_credentials"],"scope":"open_data","token_endpoint_auth_method":"client_secret_post","access_token_strategy":"`+kind+`"}`)
		if err != nil {
			return nil, nil, nil, err
		}
		for range 50 {
			body := url.Values{"grant_type": {"client_credentials"}, "scope": {"open_data"}, "client_id": {made["client_id"]}, "client_secret": {made["client_secret"]}}
			token, err := fetch(b.ctx, http.MethodPost, "http://"+public+"/oauth2/token", form, body.Encode())
			if err != nil {
				return nil, nil, nil, err
			}
			if isJWT := strings.Count(token["access_token"], ".") == 2; isJWT != (kind == "jwt") {
				return nil, nil, nil, fmt.Errorf("hydra gave another kind of token than %s", kind)
			}
			c := call{method: http.MethodPost, path: "/admin/oauth2/introspect", body: url.Values{"token": {token["access_token"]}}.Encode(), header: http.Header{"Content-Type": {form}}}
			if said, err := fetch(b.ctx, c.method, "http://"+admin+c.path, form, c.body); err != nil || said["active"] != "true" {
				return nil, nil, nil, fmt.Errorf("hydra does not know its own token: %v %w", said, err)
			}
			*calls = append(*calls, c)
		}
	}
	return hydra, opaque, jwt, nil
}

// fetch makes one call and gives the members of the object that is answered.
func fetch(ctx context.Context, method, address, kind, body string) (map[string]string, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s: %s", address, response.Status, text)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	said := map[string]string{}
	for name, value := range members {
		said[name] = fmt.Sprint(value)
	}
	return said, nil
}

// ourTokens gives the calls of our own check and introspection.
func (b bench) ourTokens(g *process) (checks, introspections []call, err error) {
	add := exec.CommandContext(b.ctx, b.program, "client", "add", "--name", "bench", "--provider", "api_entreprise", "--introspect", "--json")
	add.Env = append(os.Environ(), g.env...)
	out, err := add.Output()
	if err != nil {
		return nil, nil, err
	}
	var client struct{ ID, Secret string }
	if err := json.Unmarshal(out, &client); err != nil {
		return nil, nil, err
	}
	for _, d := range deliveries(3_000_000, 50) {
		jwt, err := b.issue(g, d)
		if err != nil {
			return nil, nil, err
		}
		checks = append(checks, call{method: http.MethodGet, path: "/check?scope=open_data", header: http.Header{"Authorization": {"Bearer " + jwt}}})
		form := url.Values{"token": {jwt}, "client_id": {client.ID}, "client_secret": {client.Secret}}
		introspections = append(introspections, call{
			method: http.MethodPost, path: "/oauth/introspect", body: form.Encode(), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		})
	}
	return checks, introspections, nil
}

// processor is the median of what the server needed for a call.
func (r rounds) processor() time.Duration {
	all := make([]time.Duration, len(r))
	for i := range r {
		all[i] = r[i].cpu
	}
	slices.Sort(all)
	return max(time.Microsecond, all[len(all)/2])
}
