package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"guichet"
)

// ErrOutgoingSecret is returned for a secret that does not have the form of
// Standard Webhooks.
var ErrOutgoingSecret = &guichet.Error{
	Kind: guichet.Invalid, Code: "invalid_notification_secret",
	Reason: "A secret of notifications is whsec_ and then 24 to 64 bytes in base64.",
}

const outgoingPrefix = "whsec_"

// CheckOutgoing tells whether a secret can sign notifications.
func CheckOutgoing(s Secret) error {
	_, err := outgoingKey(s)
	return err
}

func outgoingKey(s Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(s.Reveal(), outgoingPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, ErrOutgoingSecret // without err: it tells a part of the text
	}
	return key, nil
}

// SignOutgoing makes the value of webhook-signature, as Standard Webhooks says:
// one v1 signature for each secret, with spaces between them, so that the other
// side can change its secret without losing anything.
func SignOutgoing(secrets []Secret, id string, at time.Time, body []byte) (string, error) {
	var signatures []string
	for _, s := range secrets {
		key, err := outgoingKey(s)
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " "), nil
}
