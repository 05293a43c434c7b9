package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"guichet/gateway/gatewaytest"
	"guichet/store"
)

// The program answers over gRPC and HTTP, and ends when it is told to.
func TestProgram(t *testing.T) {
	c := gatewaytest.New(t, store.SQLite)
	id, jwt := c.Approve()
	ctx, stop := context.WithCancel(t.Context())
	said, log := io.Pipe()
	ended := make(chan error, 1)
	env := map[string]string{"GUICHET_GATEWAY_TOKEN": c.Credential().Reveal()}
	go func() {
		ended <- run(ctx, []string{"-upstream", c.URL, "-listen", "127.0.0.1:0", "-http", "127.0.0.1:0", "-stale-after", "5s", "-state", t.TempDir()},
			func(name string) string { return env[name] }, log)
		_ = log.Close()
	}()
	var ready struct{ Msg, Address, HTTP string }
	lines := bufio.NewScanner(said)
	for lines.Scan() && ready.Msg != "ready" {
		if err := json.Unmarshal(lines.Bytes(), &ready); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	connection, err := grpc.NewClient(ready.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	r := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
		Headers: map[string]string{"authorization": "Bearer " + jwt},
	}}}}
	wait := time.After(time.Minute)
	for {
		answer, err := authv3.NewAuthorizationClient(connection).Check(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetOkResponse() != nil {
			if got := answer.GetOkResponse().GetHeaders()[2].GetHeader().GetValue(); got != id.String() {
				t.Errorf("token %s", got)
			}
			break
		}
		select {
		case <-wait:
			t.Fatalf("%v", answer)
		case <-time.After(2 * time.Millisecond):
		}
	}
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": `verdict="accepted"} 1`} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ready.HTTP+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s %v", path, response.StatusCode, body, err)
		}
	}
	_ = connection.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestProgramSaysWhatIsMissing(t *testing.T) {
	for _, args := range [][]string{{}, {"-upstream", "http://guichet.test"}, {"-upstream", "x", "-shared", "nothing"}, {"-upstream", "x", "-stale-after", "1s"}, {"more"}} {
		env := func(name string) string {
			if name == "GUICHET_GATEWAY_TOKEN" && len(args) > 2 {
				return "ggw_any"
			}
			return ""
		}
		if err := run(t.Context(), args, env, io.Discard); err == nil {
			t.Errorf("%q is enough", args)
		}
	}
}
