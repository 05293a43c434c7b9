package main

import (
	_ "embed"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"guichet/keyring"
)

//go:embed approve.json
var example string

// deliveries makes signed approvals of requests that nobody has seen: journal,
// state, token, audit entry and mail job each.
func deliveries(from, n int) []call {
	out := make([]call, n)
	for i := range out {
		body := strings.ReplaceAll(example, "51234", fmt.Sprint(100_000+from+i))
		out[i] = signed(body)
	}
	return out
}

// steps is what happens to a request from its first draft to its approval.
var steps = []struct{ event, state string }{
	{"create", "draft"},
	{"update", "draft"},
	{"submit", "submitted"},
	{"request_changes", "changes_requested"},
	{"submit", "submitted"},
	{"approve", "validated"},
}

var authorizations = regexp.MustCompile(`(?s)"authorizations": \[.*\n    \]`)

// histories makes the signed deliveries of whole histories of requests, of many at
// once: of each request in their order, and never two in flight.
func histories(from, n int) []call {
	const together = 400
	out := make([]call, 0, n)
	for first := from; len(out) < n; first += together {
		for step, s := range steps {
			body := strings.Replace(example, `"event": "approve"`, `"event": "`+s.event+`"`, 1)
			body = strings.Replace(body, `"state": "validated"`, `"state": "`+s.state+`"`, 1)
			body = strings.Replace(body, `1777880000`, fmt.Sprint(1777880000+step*3600), 1)
			if s.event != "approve" {
				body = authorizations.ReplaceAllString(body, `"authorizations": []`)
			}
			for i := range together {
				out = append(out, signed(strings.ReplaceAll(body, "51234", fmt.Sprint(1_000_000+first+i))))
			}
		}
	}
	return out[:n]
}

func signed(body string) call {
	return call{method: http.MethodPost, path: "/api/datapass/v2/api_entreprise/webhook", body: body, header: http.Header{
		"Content-Type": {"application/json"}, "X-Hub-Signature-256": {keyring.SignMAC(secret, []byte(body))},
	}}
}

// intake measures the reception of approvals, every one with all its effects
// durable before the answer.
func (b bench) intake() error {
	servers := map[string]*process{}
	for _, kind := range []string{"204", "commit", "commit-each"} {
		p, err := b.reference(kind)
		if err != nil {
			return err
		}
		defer p.stop()
		servers[kind] = p
	}
	floor, err := b.rows()
	if err != nil {
		return err
	}
	defer floor.stop()
	g, err := b.guichet()
	if err != nil {
		return err
	}
	defer g.stop()
	var base, group, rows, each, ours, wholeBase, wholeOurs, bad rounds
	sent := 0
	for round := -1; round < b.rounds; round++ { // the first one warms up
		batch, whole := deliveries(sent, b.requests), histories(sent, b.requests)
		sent += b.requests
		forged := deliveries(0, b.requests)
		for i := range forged {
			forged[i].header.Set("X-Hub-Signature-256", keyring.SignMAC("another secret", []byte(forged[i].body)))
		}
		for _, run := range []struct {
			to     *rounds
			server *process
			calls  []call
			want   int
		}{
			{&base, servers["204"], batch, http.StatusNoContent},
			{&group, servers["commit"], batch, http.StatusOK},
			{&rows, floor, batch, http.StatusOK},
			{&each, servers["commit-each"], batch[:len(batch)/4], http.StatusOK},
			{&ours, g, batch, http.StatusOK},
			{&wholeBase, servers["204"], whole, http.StatusNoContent},
			{&wholeOurs, g, whole, http.StatusOK},
			{&bad, g, forged, http.StatusUnauthorized},
		} {
			r, err := run.server.load(b.ctx, b.connections, run.calls, run.want)
			if err != nil {
				return err
			}
			if round >= 0 {
				*run.to = append(*run.to, r)
			}
		}
	}
	fmt.Printf("Webhook intake, closed loop: approvals of new requests, %.1f kB each\n", float64(len(example))/1000)
	base.print("read the body, answer 204 (reference)", base)
	group.print("verify + one group commit (reference)", base)
	rows.print("verify + the rows alone, group commit (reference)", base)
	each.print("verify + one commit each (reference)", base)
	ours.print("guichet: everything, durable", base)
	wholeOurs.print("guichet: whole histories, everything, durable", wholeBase)
	bad.print("guichet: a wrong signature, refused", base)
	_, ofGroup, _ := ours.to(group)
	_, ofRows, _ := ours.to(rows)
	_, ofEach, _ := ours.to(each)
	fmt.Printf("  guichet is %.2f of verify + one group commit, %.2f of the rows alone, %.1f times verify + one commit each\n\n", ofGroup, ofRows, ofEach)

	fmt.Printf("Webhook intake, open loop at %d/s\n", b.rate)
	n := b.rate * 8
	for _, run := range []struct {
		name, address string
		want          int
	}{{"read the body, answer 204 (reference)", servers["204"].address, http.StatusNoContent}, {"guichet: everything, durable", g.address, http.StatusOK}} {
		r, err := openLoop(b.ctx, run.address, b.connections, b.rate, deliveries(sent, n), run.want)
		if err != nil {
			return err
		}
		fmt.Printf("  %-46s p50 %7.2f ms   p99 %7.2f ms\n", run.name, float64(r.p50.Microseconds())/1000, float64(r.p99.Microseconds())/1000)
	}
	fmt.Println()
	return nil
}
