package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const canarySession = "cnry-session-of-the-bank-q7f2"

// canaryWorker is a worker of CWP/1 in the place of woob's Python, and a careless
// one: it writes the secrets it was given to its standard error, and lets the bank
// repeat them. It goes on once its process was looked at from outside.
func canaryWorker() int {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	var order struct {
		Run         string
		Op          string
		Credentials map[string]string
		State       string
		Answer      *struct{ Fields map[string]string }
	}
	if err != nil || json.Unmarshal(line, &order) != nil {
		return 3
	}
	say := func(format string, args ...any) { _, _ = fmt.Printf(format+"\n", args...) }
	end := func(outcome, state string) int {
		say(`{"type":"result","run":%q,"outcome":%s,"state":%q}`, order.Run, outcome, state)
		return 0
	}
	say(`{"type":"hello","v":1,"run":%q,"worker":"canary"}`, order.Run)
	if order.Op == "describe" {
		field := `{"id":%q,"label":%q,"masked":%v,"required":true}`
		say(`{"type":"institution","id":"cnrybank","name":"Banque au canari","fields":[`+field+`,`+field+`,`+field+`]}`,
			"login", "Identifiant", false, "password", "Mot de passe", true, "birthday", "Réponse secrète", true)
		return end(`{"kind":"ok"}`, "")
	}
	seen := filepath.Join(os.Args[len(os.Args)-1], fmt.Sprint("seen-", os.Getpid()))
	for range 1000 {
		if _, err := os.Stat(seen); err == nil {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	var all []string
	for _, v := range order.Credentials {
		all = append(all, v)
	}
	if order.Answer != nil {
		for _, v := range order.Answer.Fields {
			all = append(all, v)
		}
	}
	echo := ""
	for _, v := range append(all, order.State) {
		if v == "" {
			continue
		}
		_, _ = fmt.Fprintf(os.Stderr, "trying %s, that is %s, at ?x=%s\n", v, base64.StdEncoding.EncodeToString([]byte(v)), url.QueryEscape(v))
		echo += " " + v
	}
	text, _ := json.Marshal("Vous avez tapé" + echo)
	switch {
	case order.Credentials["birthday"] == "the worker crashes":
		return 7
	case order.Answer == nil:
		return end(fmt.Sprintf(`{"kind":"challenge","text":%s,"question":{"method":"otp_sent","prompt":%s,"medium":"06 12","fields":[{"id":"code","label":"Code","masked":true,"required":true}]}}`, text, text), canarySession)
	case order.Answer.Fields["code"] == canaryWrongCode:
		return end(fmt.Sprintf(`{"kind":"answer_rejected","text":%s}`, text), "")
	case order.Answer.Fields["code"] != "":
		return end(`{"kind":"challenge","question":{"method":"redirect","redirect_url":"https://bank.example/authorize","fields":[{"id":"url","label":"Adresse","required":true}]}}`, canarySession)
	}
	say(`{"type":"account","ref":"a1","label":"Compte","kind":"cash","balance":"10.00","currency":"EUR"}`)
	return end(`{"kind":"ok"}`, canarySession)
}
