package keyring

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"guichet"
)

// ErrInvalidToken is the one answer to whatever is not a token of ours. Its
// cause, for the log, names the check that failed and quotes nothing.
var ErrInvalidToken = &guichet.Error{
	Kind: guichet.Unauthorized, Code: "invalid_token",
	Reason: "This is not a valid token.",
}

// The checks, in their order.
var (
	errTooLong      = invalid("longer than any token of ours")
	errForm         = invalid("not three parts of unpadded base64url")
	errHeader       = invalid("header is not a clear JSON object")
	errHeaderMember = invalid("header has a member we do not use")
	errType         = invalid("not of this type")
	errNoKID        = invalid("names no key")
	errUnknownKID   = ErrInvalidToken.Because(errNamesNoKey)
	errAlgorithm    = invalid("algorithm is not the one of its key")
	errSignature    = invalid("signature is wrong")
)

var errNamesNoKey = errors.New("names a key we do not have")

func invalid(why string) error { return ErrInvalidToken.Because(errors.New(why)) }

// A Verifier tells whether a token was signed by one of a closed set of keys.
// It says nothing of time or of blocking: the caller asks Claims.Expired with
// its clock, and the blocklist, at every use. Safe for concurrent use.
type Verifier struct {
	byKID      map[string]verifyingKey
	withoutKID []verifyingKey // all HS256: a token that names no key is tried with each
	// byHeader finds the key by the very header SigningKey.Sign writes, so that
	// our own tokens need not have theirs read; any other spelling is read.
	byHeader map[string]verifyingKey
}

type verifyingKey struct {
	Key
	method jwt.SigningMethod
}

// NewVerifier makes a verifier of these keys and no other. Without any it
// refuses every token.
func NewVerifier(keys ...Key) (*Verifier, error) {
	v := &Verifier{byKID: make(map[string]verifyingKey, len(keys)), byHeader: make(map[string]verifyingKey, len(keys))}
	for _, key := range keys {
		k := verifyingKey{Key: key}
		switch key.Algorithm {
		case EdDSA:
			k.method = jwt.SigningMethodEdDSA
		case ES256:
			k.method = jwt.SigningMethodES256
		case HS256:
			k.method = jwt.SigningMethodHS256
		default:
			return nil, ErrInvalidKey.Because(fmt.Errorf("unknown algorithm %q", key.Algorithm))
		}
		_, known := v.byKID[key.KID]
		switch {
		case key.KID == "" || key.material == nil:
			return nil, ErrInvalidKey.Because(errors.New("a key without a name or without its bytes"))
		case known:
			return nil, ErrInvalidKey.Because(fmt.Errorf("two keys named %q", key.KID))
		case key.WithoutKID && key.Algorithm != HS256:
			return nil, ErrInvalidKey.Because(errors.New("only a shared key may do without its name"))
		}
		header, err := encodeHeader(key.Algorithm, key.KID, TypeToken)
		if err != nil {
			return nil, ErrInvalidKey.Because(err)
		}
		v.byKID[key.KID], v.byHeader[header] = k, k
		if key.WithoutKID {
			v.withoutKID = append(v.withoutKID, k)
		}
	}
	return v, nil
}

// Verify gives the claims of a token that one of the keys signed, or
// ErrInvalidToken. Nothing a token says about itself chooses how it is
// verified: its kid only picks among our keys, and its alg must be the key's.
func (v *Verifier) Verify(token string) (Claims, error) {
	if len(token) > MaxTokenBytes {
		return Claims{}, errTooLong
	}
	signed, headerPart, payloadPart, signaturePart, ok := split(token)
	if !ok {
		return Claims{}, errForm
	}
	payload, ok1 := decode(payloadPart)
	signature, ok2 := decode(signaturePart)
	if !ok1 || !ok2 {
		return Claims{}, errForm
	}
	key, known := v.byHeader[headerPart]
	candidates := []verifyingKey{key}
	if !known {
		var err error
		if candidates, err = v.choose(headerPart); err != nil {
			return Claims{}, err
		}
	}
	for _, key := range candidates {
		if key.method.Verify(signed, signature, key.material) != nil {
			continue
		}
		claims, err := parseClaims(payload)
		if err != nil {
			return Claims{}, ErrInvalidToken.Because(err)
		}
		claims.Only = key.Only
		return claims, nil
	}
	return Claims{}, errSignature
}

// UnknownKey tells that a token was refused because it names a key that the
// verifier does not have: one that was made meanwhile, perhaps.
func UnknownKey(err error) bool { return errors.Is(err, errNamesNoKey) }

// choose picks the keys a header may use: one, or those that do without a name. A
// member other than alg, kid and typ is refused whatever it says: jku, jwk, x5u,
// x5c would bring their own key, crit, b64 and zip would change what was signed,
// and we write none of them.
func (v *Verifier) choose(headerPart string) ([]verifyingKey, error) {
	header, ok := decode(headerPart)
	if !ok {
		return nil, errForm
	}
	members, err := parseObject(header)
	if err != nil {
		return nil, errHeader
	}
	for name := range members {
		if name != "alg" && name != "kid" && name != "typ" {
			return nil, errHeaderMember
		}
	}
	algorithm, ok := text(members, "alg")
	if !ok {
		return nil, errAlgorithm
	}
	keys, err := v.find(members)
	if err != nil {
		return nil, err
	}
	_, typed := members["typ"]
	typ, _ := text(members, "typ")
	for _, key := range keys {
		if Algorithm(algorithm) != key.Algorithm {
			return nil, errAlgorithm
		}
		if typ != TypeToken && (typed || !key.WithoutKID) {
			return nil, errType
		}
	}
	return keys, nil
}

func (v *Verifier) find(members map[string]json.RawMessage) ([]verifyingKey, error) {
	if _, named := members["kid"]; !named {
		if v.withoutKID == nil {
			return nil, errNoKID
		}
		return v.withoutKID, nil
	}
	kid, ok := text(members, "kid")
	if !ok {
		return nil, errUnknownKID
	}
	key, ok := v.byKID[kid]
	if !ok {
		return nil, errUnknownKID
	}
	return []verifyingKey{key}, nil
}

func text(members map[string]json.RawMessage, name string) (string, bool) {
	raw := members[name]
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// split cuts a compact token in its three parts; signed is the first two.
func split(token string) (signed, header, payload, signature string, ok bool) {
	header, rest, ok1 := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || header == "" || payload == "" || signature == "" {
		return "", "", "", "", false
	}
	return token[:len(header)+1+len(payload)], header, payload, signature, true
}

var strictBase64 = base64.RawURLEncoding.Strict()

// decode accepts one spelling of the bytes only. The alphabet is checked first
// because encoding/base64 skips line ends even when strict.
func decode(part string) ([]byte, bool) {
	for i := range len(part) {
		switch c := part[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return nil, false
		}
	}
	b, err := strictBase64.DecodeString(part)
	return b, err == nil
}
