package keyring

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TypeStatusList is the typ of a signed status list. A [Verifier] refuses it, and
// whoever reads status lists refuses everything else.
const TypeStatusList = "statuslist+jwt"

// A StatusList is one list of the IETF Token Status List: a bit for each token
// that refers to it, set when the token must be refused.
type StatusList struct {
	URI       string // its own address: sub, and the uri of the tokens' references
	Issuer    string
	Packed    string // what [PackBits] made of the bits
	IssuedAt  time.Time
	ExpiresAt time.Time
	TTL       time.Duration // after which a reader fetches it again
	All       string        // where all lists are named
}

// PackBits compresses bits as a status list carries them: bit i is the bit i%8,
// the least significant first, of byte i/8.
func PackBits(bits []byte) (string, error) {
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		return "", fmt.Errorf("packing a status list: %w", err)
	}
	if _, err := w.Write(bits); err != nil {
		return "", fmt.Errorf("packing a status list: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("packing a status list: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes()), nil
}

// SignStatusList makes the document that is served.
func (k *SigningKey) SignStatusList(l StatusList) (string, error) {
	type list struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
		All  string `json:"aggregation_uri,omitempty"`
	}
	return k.SignAs(TypeStatusList, struct {
		Issuer  string `json:"iss,omitempty"`
		Subject string `json:"sub"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
		TTL     int64  `json:"ttl"`
		List    list   `json:"status_list"`
	}{l.Issuer, l.URI, l.IssuedAt.Unix(), l.ExpiresAt.Unix(), int64(l.TTL / time.Second), list{1, l.Packed, l.All}})
}

// VerifyStatusList tells whether one of the keys signed a status list. It says
// nothing of whose list it is, nor of time.
func VerifyStatusList(document string, keys ...Key) error {
	signed, headerPart, _, signaturePart, ok := split(document)
	signature, ok2 := decode(signaturePart)
	if !ok || !ok2 {
		return errForm
	}
	for _, k := range keys {
		header, err := encodeHeader(k.Algorithm, k.KID, TypeStatusList)
		if err != nil {
			return err
		}
		if header != headerPart || k.Algorithm != EdDSA {
			continue
		}
		if jwt.SigningMethodEdDSA.Verify(signed, signature, k.material) != nil {
			return errSignature
		}
		return nil
	}
	return errUnknownKID
}
