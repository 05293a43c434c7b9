package keyring

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// TypeStatusListCWT is the typ of a status list in CBOR.
const TypeStatusListCWT = "application/statuslist+cwt"

// Numbers of COSE (RFC 9052, RFC 9596), of CWT (RFC 8392), and of the Token Status List.
const (
	coseSign1     = 18 // the tag
	headerAlg     = 1
	headerKID     = 4
	headerTyp     = 16
	algEdDSA      = 7 // a negative number is written as what is left of it: -8
	claimSubject  = 2
	claimExpires  = 4
	claimIssued   = 6
	claimList     = 65533
	claimTTL      = 65534
	majorNumber   = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5
	majorTag      = 6 << 5
)

// A cbor is a text of CBOR (RFC 8949) that grows: as much of it as a status list needs,
// each number in its shortest form.
type cbor []byte

func (c cbor) head(major byte, n uint64) cbor {
	switch {
	case n < 24:
		return append(c, major|byte(n))
	case n < 1<<8:
		return append(c, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(c, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(c, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(c, major|27), n)
}

func (c cbor) number(n uint64) cbor { return c.head(majorNumber, n) }
func (c cbor) bytes(b []byte) cbor  { return append(c.head(majorBytes, uint64(len(b))), b...) }
func (c cbor) text(s string) cbor   { return append(c.head(majorText, uint64(len(s))), s...) }

// SignStatusListCWT makes the list in CBOR, signed as COSE says: the same as
// [SigningKey.SignStatusList], but for the issuer and the address of all lists, without
// the two layers of base64 that a JWT puts around the compressed bits. What is signed
// begins with a byte that no JWT has: neither passes for the other.
func (k *SigningKey) SignStatusListCWT(l StatusList) ([]byte, error) {
	if k.Algorithm != EdDSA {
		return nil, fmt.Errorf("a status list is signed by EdDSA, not by %s", k.Algorithm)
	}
	packed, err := base64.RawURLEncoding.DecodeString(l.Packed)
	if err != nil {
		return nil, fmt.Errorf("packing a status list: %w", err)
	}
	kid, err := base64.RawURLEncoding.DecodeString(k.KID) // the thumbprint itself
	if err != nil {
		kid = []byte(k.KID) // a name that somebody gave
	}
	protected := cbor{}.head(majorMap, 3).number(headerAlg).head(majorNegative, algEdDSA).number(headerKID).bytes(kid).number(headerTyp).text(TypeStatusListCWT)
	payload := cbor{}.head(majorMap, 5).number(claimSubject).text(l.URI).
		number(claimExpires).number(uint64(l.ExpiresAt.Unix())).number(claimIssued).number(uint64(l.IssuedAt.Unix())).
		number(claimList).head(majorMap, 2).text("bits").number(1).text("lst").bytes(packed).
		number(claimTTL).number(uint64(l.TTL / time.Second))
	signature, err := k.sign(string(cbor{}.head(majorArray, 4).text("Signature1").bytes(protected).bytes(nil).bytes(payload)))
	if err != nil {
		return nil, fmt.Errorf("signing a status list: %w", err)
	}
	return cbor{}.head(majorTag, coseSign1).head(majorArray, 4).bytes(protected).head(majorMap, 0).bytes(payload).bytes(signature), nil
}
