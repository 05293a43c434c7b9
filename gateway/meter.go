package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"guichet"
	"guichet/keyring"
)

// meter counts what the gateway did, for Prometheus and whoever reads its text.
type meter struct {
	verdicts  map[string]*atomic.Int64 // by the word of the refusal
	outcomes  map[Outcome]*atomic.Int64
	failures  *atomic.Int64 // questions without a usable answer
	connected *atomic.Bool
}

const accepted, otherwise = "accepted", "other"

func newMeter() meter {
	m := meter{map[string]*atomic.Int64{}, map[Outcome]*atomic.Int64{}, &atomic.Int64{}, &atomic.Bool{}}
	for _, err := range []*guichet.Error{keyring.ErrNoToken, keyring.ErrTokenExpired, keyring.ErrTokenRevoked, keyring.ErrScope, keyring.ErrAddress, ErrRate, ErrCutOff} {
		m.verdicts[err.Code] = &atomic.Int64{}
	}
	m.verdicts[accepted], m.verdicts[otherwise] = &atomic.Int64{}, &atomic.Int64{}
	for _, o := range []Outcome{Renewed, Applied, Stray, Behind, NeedSnapshot, WentBack} {
		m.outcomes[o] = &atomic.Int64{}
	}
	return m
}

func (m meter) verdict(err error) {
	word := accepted
	if err != nil {
		word = guichet.CodeOf(err)
	}
	n := m.verdicts[word]
	if n == nil {
		n = m.verdicts[otherwise]
	}
	n.Add(1)
}

// metrics is for Prometheus.
func (g *Gateway) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	view, left := g.view.Load(), g.Left()
	have := view.set.Version()
	gauge := func(name, help string, value any) {
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n%s %v\n", name, help, name, name, value)
	}
	gauge("guichet_gateway_lease_seconds", "How long the gateway may go on without hearing from Guichet; at 0 it refuses everything.", left.Seconds())
	gauge("guichet_gateway_cut_off", "1 while everything is refused.", number(left == 0))
	gauge("guichet_gateway_connected", "1 while the stream of blocks is open.", number(g.meter.connected.Load()))
	gauge("guichet_gateway_blocklist_epoch", "Epoch of the blocklist it has.", have.Epoch)
	gauge("guichet_gateway_blocklist_sequence", "Sequence of the blocklist it has.", have.Seq)
	gauge("guichet_gateway_blocked_tokens", "Tokens it refuses.", view.set.Count())
	counter := func(name, help string) {
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n", name, help, name)
	}
	counter("guichet_gateway_checks_total", "Checks of tokens, by what they said.")
	for _, word := range sorted(g.meter.verdicts) {
		_, _ = fmt.Fprintf(w, "guichet_gateway_checks_total{verdict=%q} %d\n", word, g.meter.verdicts[word].Load())
	}
	counter("guichet_gateway_messages_total", "Messages of Guichet, by what became of them; went_back needs a person.")
	for _, o := range sorted(g.meter.outcomes) {
		_, _ = fmt.Fprintf(w, "guichet_gateway_messages_total{outcome=%q} %d\n", o, g.meter.outcomes[o].Load())
	}
	counter("guichet_gateway_unanswered_total", "Questions without a usable answer.")
	_, _ = fmt.Fprintf(w, "guichet_gateway_unanswered_total %d\n", g.meter.failures.Load())
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sorted[K ~string, V any](m map[K]V) (keys []K) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
