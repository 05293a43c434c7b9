package ledger_test

import (
	"strings"
	"testing"

	"guichet/ledger"
)

func TestIBANs(t *testing.T) {
	for s, want := range map[string]bool{
		"FR7630006000011234567890189": true, "DE89370400440532013000": true, "FR7630006000011234567890188": false,
		"FR76": false, "": false, "fr7630006000011234567890189": false, "FR76 3000 6000 0112 3456 7890 189": false,
		strings.Repeat("1", 40): false,
	} {
		if ledger.ValidIBAN(s) != want {
			t.Errorf("%q valid: %v", s, !want)
		}
	}
}
