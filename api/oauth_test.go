package api_test

import (
	"testing"

	"guichet/keyring"
)

// legacy is the secret that api_local shares with the service it had before.
const legacy = "the secret of the service before, 32 bytes and more"

func sharedKey(t *testing.T) keyring.Key {
	t.Helper()
	k, err := keyring.SharedKey("hs256-api_local", legacy)
	if err != nil {
		t.Fatal(err)
	}
	k.Only, k.WithoutKID = []string{"api_local"}, true
	return k
}
