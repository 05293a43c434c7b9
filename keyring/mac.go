package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

const macPrefix = "sha256="

// SignMAC gives the value of the signature header of a webhook:
// "sha256=" and the HMAC-SHA256 of the body in lower-case hexadecimal.
func SignMAC(secret Secret, body []byte) string {
	return macPrefix + hex.EncodeToString(mac(secret, body))
}

// VerifyMAC tells whether the raw body was signed with one of the secrets, and
// with which: index is the first that fits, -1 when none does. header holds all
// values of the signature header; exactly one is accepted. Every secret is
// tried in constant time, whichever fits, so that the time tells nothing about
// them. An empty secret never fits: anyone can sign with it.
func VerifyMAC(secrets []Secret, header []string, body []byte) (index int, ok bool) {
	claimed, wellFormed := parseMAC(header)
	if !wellFormed {
		return -1, false // no secret was looked at
	}
	found := -1
	for i, secret := range secrets {
		fits := subtle.ConstantTimeCompare(mac(secret, body), claimed)
		usable := 1 - subtle.ConstantTimeEq(int32(len(secret)), 0)
		first := subtle.ConstantTimeEq(int32(found), -1)
		found = subtle.ConstantTimeSelect(fits&usable&first, i, found)
	}
	return found, found >= 0
}

func mac(secret Secret, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret.Reveal()))
	h.Write(body)
	return h.Sum(nil)
}

// parseMAC accepts one spelling only: one value, the prefix, 64 lower-case
// digits, nothing around.
func parseMAC(header []string) ([]byte, bool) {
	if len(header) != 1 {
		return nil, false
	}
	value := header[0]
	if len(value) != len(macPrefix)+2*sha256.Size || value[:len(macPrefix)] != macPrefix {
		return nil, false
	}
	digits := value[len(macPrefix):]
	for i := range len(digits) {
		if c := digits[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, false
		}
	}
	claimed, err := hex.DecodeString(digits)
	return claimed, err == nil
}
