package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// check measures /check with tokens seen before, beside a trivial handler.
func (b bench) check() error {
	base, err := b.reference("204")
	if err != nil {
		return err
	}
	defer base.stop()
	g, err := b.guichet()
	if err != nil {
		return err
	}
	defer g.stop()
	const distinct = 200
	var tokens []call
	for _, d := range deliveries(0, distinct) {
		jwt, err := b.issue(g, d)
		if err != nil {
			return err
		}
		tokens = append(tokens, call{method: http.MethodGet, path: "/check?scope=open_data", header: http.Header{"Authorization": {"Bearer " + jwt}}})
	}
	batch := make([]call, b.requests*2)
	for i := range batch {
		batch[i] = tokens[i%len(tokens)]
	}
	var trivial, ours rounds
	for round := -1; round < b.rounds; round++ {
		for to, server := range map[*rounds]*process{&trivial: base, &ours: g} {
			r, err := server.load(b.ctx, b.connections, batch, http.StatusNoContent)
			if err != nil {
				return err
			}
			if round >= 0 {
				*to = append(*to, r)
			}
		}
	}
	fmt.Println("/check on the server itself: signature seen before, the row read on every call")
	trivial.print("a trivial handler, 204 (reference)", trivial)
	ours.print("guichet", trivial)
	fmt.Println()
	return nil
}

// issue delivers an approval and gives the token it makes.
func (b bench) issue(g *process, delivery call) (string, error) {
	r, err := http.NewRequestWithContext(b.ctx, delivery.method, "http://"+g.address+delivery.path, strings.NewReader(delivery.body))
	if err != nil {
		return "", err
	}
	r.Header = delivery.header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var answered struct {
		TokenID string `json:"token_id"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answered); err != nil || answered.TokenID == "" {
		return "", fmt.Errorf("no token: %w", err)
	}
	show := exec.CommandContext(b.ctx, b.program, "token", "show", answered.TokenID)
	show.Env = append(os.Environ(), g.env...)
	jwt, err := show.Output()
	return strings.TrimSpace(string(jwt)), err
}
