package simconnector_test

import (
	"testing"

	"guichet"
	"guichet/bank"
	"guichet/connector/connectortest"
	simconnector "guichet/connector/sim"
)

func TestConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Subject{
		Institution: simconnector.Institution,
		New: func(t testing.TB, address string) bank.Connector {
			c, err := simconnector.New(address)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Form: func(_, login, password string) map[string]guichet.Secret {
			return map[string]guichet.Secret{simconnector.FieldLogin: guichet.Secret(login), simconnector.FieldPassword: guichet.Secret(password)}
		},
	})
}
