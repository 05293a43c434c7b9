package keyring_test

import (
	"errors"
	"testing"
	"time"

	"guichet/keyring"
)

// The example that Standard Webhooks gives for its own libraries.
func TestSignOutgoing(t *testing.T) {
	const secret, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	got, err := keyring.SignOutgoing([]keyring.Secret{secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if err != nil || got != want {
		t.Errorf("%s %v", got, err)
	}
	both, err := keyring.SignOutgoing([]keyring.Secret{other, secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if err != nil || len(both) != 2*len(want)+1 || both[len(want)+1:] != want {
		t.Errorf("with two secrets: %s %v", both, err)
	}
	for _, bad := range []keyring.Secret{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_not base64 at all, however long it is"} {
		if err := keyring.CheckOutgoing(bad); !errors.Is(err, keyring.ErrOutgoingSecret) {
			t.Errorf("%d characters: %v", len(bad), err)
		}
		if _, err := keyring.SignOutgoing([]keyring.Secret{secret, bad}, "x", at, body); err == nil {
			t.Error("signed with a bad secret")
		}
	}
}
