package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/grant"
)

// gatewayGauges tells how every gateway is, when it is asked for.
type gatewayGauges struct{ p *program }

var (
	descGatewayState   = prometheus.NewDesc("guichet_gateway_state", "1 for the state the gateway is in: new, current, late, silent.", []string{"gateway", "state"}, nil)
	descGatewayLag     = prometheus.NewDesc("guichet_gateway_lag", "Lines of the blocklist the gateway lacked at its last contact.", []string{"gateway"}, nil)
	descGatewayVersion = prometheus.NewDesc("guichet_gateway_version", "Sequence of the blocklist the gateway had at its last contact.", []string{"gateway"}, nil)
	descGatewayContact = prometheus.NewDesc("guichet_gateway_contact_timestamp_seconds", "When the gateway was last heard.", []string{"gateway"}, nil)
	descBlocklistHead  = prometheus.NewDesc("guichet_blocklist_sequence", "Sequence of the last block.", nil, nil)
)

// Describe implements prometheus.Collector.
func (gatewayGauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descGatewayState, descGatewayLag, descGatewayVersion, descGatewayContact, descBlocklistHead} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (g gatewayGauges) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, head, err := g.p.gateways().Standings(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(descBlocklistHead, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descBlocklistHead, float64(head.Seq))
	for _, s := range all {
		if s.State == grant.GatewayRevoked { // its name may be another's by now
			continue
		}
		gauge(descGatewayState, 1, s.Name, string(s.State))
		gauge(descGatewayLag, float64(s.Behind), s.Name)
		gauge(descGatewayVersion, float64(s.Seen.Have.Seq), s.Name)
		if !s.Seen.At.IsZero() {
			gauge(descGatewayContact, float64(s.Seen.At.UnixMicro())/1e6, s.Name)
		}
	}
}
