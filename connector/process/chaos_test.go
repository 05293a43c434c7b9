package process

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// The worker of these tests is this very program, started anew: the login says
// how it misbehaves.
const chaosArgument = "-guichet-chaos"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == chaosArgument {
		chaos()
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == ownerArgument {
		own()
	}
	os.Exit(m.Run())
}

// A wretch is a worker that has read its order.
type wretch struct {
	order order
	in    *bufio.Reader
}

func chaos() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	w := &wretch{in: in}
	line, err := in.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &w.order) != nil {
		os.Exit(3)
	}
	if w.order.Op == "describe" {
		w.hello()
		w.say(`{"type":"institution","id":"chaos","name":"Chaos","fields":[{"id":"login","label":"L","required":true},{"id":"password","label":"P","masked":true,"required":true}]}`)
		w.result(`{"kind":"ok"}`, "")
		return
	}
	misbehaviours[w.order.Credentials["login"]].do(w)
}

func (w *wretch) say(line string) { _, _ = os.Stdout.WriteString(line + "\n") }

func (w *wretch) hello() {
	w.say(fmt.Sprintf(`{"type":"hello","v":1,"run":%q,"worker":"chaos"}`, w.order.Run))
}

func (w *wretch) account() {
	w.say(`{"type":"account","ref":"a1","label":"Compte","kind":"cash","balance":"10.00","currency":"EUR"}`)
}

func (w *wretch) transactions(account string, items ...string) {
	w.say(fmt.Sprintf(`{"type":"transactions","account":%q,"items":[%s]}`, account, strings.Join(items, ",")))
}

func item(change string) string {
	s := `{"ref":"t1","status":"booked","type":"card","raw_label":"CB","amount":"-1.00","currency":"EUR","booked_on":"2026-11-01"}`
	for _, pair := range strings.Split(change, ";") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			var fields map[string]json.RawMessage
			_ = json.Unmarshal([]byte(s), &fields)
			fields[name] = json.RawMessage(value)
			b, err := json.Marshal(fields)
			if err != nil { // not JSON: by hand
				return strings.Replace(s, `"amount":"-1.00"`, `"amount":`+value, 1)
			}
			s = string(b)
		}
	}
	return s
}

func (w *wretch) result(outcome, state string) {
	w.say(fmt.Sprintf(`{"type":"result","run":%q,"outcome":%s,"state":%q}`, w.order.Run, outcome, state))
}

// data is what a good worker says before its result.
func (w *wretch) data() {
	w.hello()
	w.account()
	w.transactions("a1", item(""))
}

func (w *wretch) ask() {
	w.result(`{"kind":"challenge","question":{"method":"otp_sent","prompt":"Code","fields":[{"id":"code","label":"Code","required":true}]}}`, "asked")
}

// hang never comes back; killed is the only way.
func hang() { select {} }

func deaf() { signal.Ignore(syscall.SIGTERM) }

// child starts another process that outlives us, in the group or out of it.
func (w *wretch) child(leaves bool) {
	cmd := exec.Command("sleep", "1000")
	if leaves {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := cmd.Start(); err != nil {
		os.Exit(3)
	}
}

// A misbehaviour and what it must come to.
type misbehaviour struct {
	do     func(*wretch)
	kind   string // outcome of the attempt
	reason string
	poll   bool // run as the night does
	answer bool // it first asks, and misbehaves when answered
	cancel bool // a person gives up while it runs
	gone   bool // the access is gone after it
}

func crash(f func(*wretch)) misbehaviour {
	return misbehaviour{do: f, kind: "connector_error", reason: "crash"}
}

func protocol(f func(*wretch)) misbehaviour {
	return misbehaviour{do: f, kind: "connector_error", reason: "protocol"}
}

func late(f func(*wretch)) misbehaviour {
	return misbehaviour{do: f, kind: "cancelled", reason: "deadline"}
}
func good(f func(*wretch)) misbehaviour { return misbehaviour{do: f, kind: "ok"} }
func fails(kind string, f func(*wretch)) misbehaviour {
	return misbehaviour{do: f, kind: kind}
}

// lied says data with one operation changed, then claims success.
func lied(change string) misbehaviour {
	return protocol(func(w *wretch) {
		w.hello()
		w.account()
		w.transactions("a1", item(change))
		w.result(`{"kind":"ok"}`, "s")
	})
}

// raw says a line in the middle of a good run.
func raw(line string) misbehaviour {
	return protocol(func(w *wretch) {
		w.data()
		w.say(line)
		w.result(`{"kind":"ok"}`, "s")
	})
}

// ended ends a good run with an outcome.
func ended(outcome string) misbehaviour {
	return protocol(func(w *wretch) {
		w.data()
		w.result(outcome, "s")
	})
}

// second is one that asks first.
func second(m misbehaviour) misbehaviour {
	do := m.do
	m.answer = true
	m.do = func(w *wretch) {
		if w.order.Answer == nil {
			w.hello()
			w.ask()
			return
		}
		do(w)
	}
	return m
}

var misbehaviours map[string]misbehaviour

func init() { // the table refers to functions that refer to it
	misbehaviours = map[string]misbehaviour{
		// Silence.
		"never-says-hello":    {do: func(*wretch) { hang() }, kind: "connector_error", reason: "load"},
		"hangs-after-hello":   late(func(w *wretch) { w.hello(); hang() }),
		"hangs-before-asking": late(func(w *wretch) { w.data(); hang() }),
		"hangs-after-answer":  second(late(func(w *wretch) { w.data(); hang() })),
		"hangs-after-result":  good(func(w *wretch) { w.data(); w.result(`{"kind":"ok"}`, "s"); hang() }),
		"ignores-sigterm":     {do: func(w *wretch) { deaf(); w.data(); hang() }, kind: "cancelled", reason: "user", cancel: true, gone: true},
		"succeeds-after-cancel": {do: func(w *wretch) {
			stop := make(chan os.Signal, 1)
			signal.Notify(stop, syscall.SIGTERM)
			w.data()
			<-stop
			w.result(`{"kind":"ok"}`, "s")
		}, kind: "cancelled", reason: "user", cancel: true, gone: true},
		"stops-its-reading": good(func(w *wretch) { _ = os.Stdin.Close(); w.data(); w.result(`{"kind":"ok"}`, "s") }),
		// Death.
		"dies-at-once":           crash(func(*wretch) { os.Exit(1) }),
		"dies-in-the-middle":     crash(func(w *wretch) { w.data(); os.Exit(1) }),
		"ends-without-a-result":  crash(func(w *wretch) { w.data() }),
		"killed":                 crash(func(w *wretch) { w.data(); _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }),
		"half-a-line":            crash(func(w *wretch) { w.data(); _, _ = os.Stdout.WriteString(`{"type":"result","run":"`) }),
		"closes-its-output":      crash(func(w *wretch) { w.data(); _ = os.Stdout.Close(); hang() }),
		"dies-after-the-answer":  second(crash(func(w *wretch) { w.hello(); os.Exit(1) })),
		"fails-after-its-result": good(func(w *wretch) { w.data(); w.result(`{"kind":"ok"}`, "s"); os.Exit(7) }),
		// Floods.
		"one-gibibyte-line": protocol(func(w *wretch) {
			w.hello()
			flood := []byte(strings.Repeat("x", 1<<20))
			for range 1024 {
				if _, err := os.Stdout.Write(flood); err != nil {
					return
				}
			}
		}),
		"one-gibibyte-of-lines": protocol(func(w *wretch) {
			w.hello()
			flood := []byte(strings.Repeat(`{"type":"progress","phase":"fetching"}`+"\n", 1<<15))
			for range 1024 {
				if _, err := os.Stdout.Write(flood); err != nil {
					return
				}
			}
		}),
		"one-gibibyte-of-complaints": good(func(w *wretch) {
			flood := []byte(strings.Repeat("e", 1<<20))
			for range 1024 {
				_, _ = os.Stderr.Write(flood)
			}
			w.data()
			w.result(`{"kind":"ok"}`, "s")
		}),
		"deep-json": raw(strings.Repeat("[", 500_000)),
		"too-many-at-once": protocol(func(w *wretch) {
			w.hello()
			w.account()
			many := make([]string, 1001)
			for i := range many {
				many[i] = item("")
			}
			w.transactions("a1", many...)
			w.result(`{"kind":"ok"}`, "s")
		}),
		"huge-session": protocol(func(w *wretch) { w.data(); w.result(`{"kind":"ok"}`, strings.Repeat("s", 600<<10)) }),
		// Noise.
		"garbage":         raw("<html>Service indisponible</html>"),
		"binary":          raw("\x7fELF\x02\x01\x01"),
		"invalid-utf8":    raw("{\"type\":\"progress\",\"phase\":\"\xff\xfe\"}"),
		"nan":             lied(`amount=NaN`),
		"infinity":        lied(`amount="Infinity"`),
		"a-float":         lied(`amount=1.5`),
		"an-exponent":     lied(`amount="1e3"`),
		"half-cents":      lied(`amount="1.005"`),
		"huge-numbers":    lied(`amount="99999999999999999999.00"`),
		"no-such-day":     lied(`booked_on="2026-02-30"`),
		"no-such-status":  lied(`status="imagined"`),
		"no-currency":     lied(`currency=""`),
		"not-an-object":   raw(`["type","result"]`),
		"array-for-items": raw(`{"type":"transactions","account":"a1","items":{}}`),
		"says-more": good(func(w *wretch) { // a newer worker may
			w.data()
			w.say(`{"type":"weather","sky":"blue"}`)
			w.say(`{"type":"progress","phase":"dreaming","done":-1,"total":-5,"more":true}`)
			w.result(`{"kind":"ok","mood":"good"}`, "s")
		}),
		// Lies about who and what.
		"no-hello":          protocol(func(w *wretch) { w.account(); w.result(`{"kind":"ok"}`, "s") }),
		"hello-of-another":  protocol(func(w *wretch) { w.say(`{"type":"hello","v":1,"run":"another"}`) }),
		"version-two":       protocol(func(w *wretch) { w.say(fmt.Sprintf(`{"type":"hello","v":2,"run":%q}`, w.order.Run)) }),
		"hello-twice":       protocol(func(w *wretch) { w.hello(); w.hello(); w.result(`{"kind":"ok"}`, "s") }),
		"result-of-another": raw(`{"type":"result","run":"another","outcome":{"kind":"ok"},"state":"s"}`),
		"result-twice":      protocol(func(w *wretch) { w.data(); w.result(`{"kind":"ok"}`, "s"); w.result(`{"kind":"ok"}`, "s") }),
		"goes-on-after-its-result": protocol(func(w *wretch) {
			w.data()
			w.result(`{"kind":"ok"}`, "s")
			w.transactions("a1", item(""))
		}),
		"same-account-twice":    protocol(func(w *wretch) { w.data(); w.account(); w.result(`{"kind":"ok"}`, "s") }),
		"account-of-nobody":     protocol(func(w *wretch) { w.data(); w.transactions("a2", item("")); w.result(`{"kind":"ok"}`, "s") }),
		"unknown-outcome":       ended(`{"kind":"rich"}`),
		"cancels-itself":        ended(`{"kind":"cancelled","reason":"user"}`),
		"asks-nothing":          ended(`{"kind":"challenge"}`),
		"asks-without-a-field":  ended(`{"kind":"challenge","question":{"method":"otp_sent","prompt":"?","fields":[]}}`),
		"asks-in-an-odd-way":    ended(`{"kind":"challenge","question":{"method":"telepathy","fields":[{"id":"code"}]}}`),
		"an-image-that-is-none": ended(`{"kind":"challenge","question":{"method":"captcha","image":"PHN2Zz4=","fields":[{"id":"code"}]}}`),
		"refuses-no-answer":     ended(`{"kind":"answer_rejected"}`),
		"asks-during-a-poll": {do: func(w *wretch) {
			w.data()
			if w.order.Present {
				w.result(`{"kind":"ok"}`, "s")
			} else {
				w.ask()
			}
		}, kind: "interaction_required", reason: "sca", poll: true},
		"secrets-in-errors": fails("bad_credentials", func(w *wretch) {
			p := w.order.Credentials["password"]
			fmt.Fprintln(os.Stderr, "Traceback: password =", p)
			w.hello()
			b, _ := json.Marshal(map[string]any{"kind": "bad_credentials", "reason": p, "text": "The password " + p + " is wrong", "bad_fields": []string{"password"}})
			w.result(string(b), p)
		}),
		"secrets-in-a-crash": crash(func(w *wretch) {
			fmt.Fprintln(os.Stderr, "Traceback: password =", w.order.Credentials["password"])
			w.hello()
			os.Exit(1)
		}),
		// Children of its own.
		"leaves-a-grandchild":         good(func(w *wretch) { w.child(false); w.data(); w.result(`{"kind":"ok"}`, "s") }),
		"grandchild-leaves-the-group": good(func(w *wretch) { w.child(true); w.data(); w.result(`{"kind":"ok"}`, "s") }),
		"lives-with-a-family":         late(func(w *wretch) { w.child(false); w.child(true); w.data(); hang() }),
		"forbids-its-folder": good(func(w *wretch) {
			_ = os.MkdirAll("a/b", 0o700)
			_ = os.WriteFile("a/b/c", []byte("x"), 0o600)
			_ = os.Chmod("a/b", 0)
			_ = os.Chmod("a", 0)
			w.data()
			w.result(`{"kind":"ok"}`, "s")
		}),
		"well-behaved": good(func(w *wretch) { w.data(); w.result(`{"kind":"ok"}`, "s") }),
	}
}
