package api_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guichet/grant"
	"guichet/keyring"
)

func inCBOR(t testing.TB, lists http.Handler, n int64) []byte {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/status/%d", n), nil)
	r.Header.Set("Accept", "application/statuslist+cwt")
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	lists.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/statuslist+cwt" || w.Header().Get("Content-Encoding") != "" {
		t.Fatalf("list %d: %d %v", n, w.Code, w.Header())
	}
	return w.Body.Bytes()
}

// cborValue reads one value of CBOR as RFC 8949 says, and knows nothing of how ours are
// written: numbers, texts, bytes, lists, maps by what their key prints as, tags.
func cborValue(t testing.TB, b []byte) (value any, rest []byte) {
	t.Helper()
	major, n := b[0]>>5, uint64(b[0]&31)
	b = b[1:]
	if size := map[uint64]int{24: 1, 25: 2, 26: 4, 27: 8}[n]; size > 0 {
		var wide [8]byte
		copy(wide[8-size:], b[:size])
		n, b = binary.BigEndian.Uint64(wide[:]), b[size:]
	}
	switch major {
	case 0:
		return int64(n), b
	case 1:
		return -1 - int64(n), b
	case 2:
		return b[:n], b[n:]
	case 3:
		return string(b[:n]), b[n:]
	case 4:
		list := make([]any, n)
		for i := range list {
			list[i], b = cborValue(t, b)
		}
		return list, b
	case 5:
		all := map[string]any{}
		for range n {
			var k any
			k, b = cborValue(t, b)
			all[fmt.Sprint(k)], b = cborValue(t, b)
		}
		return all, b
	case 6:
		inner, after := cborValue(t, b)
		return []any{n, inner}, after
	}
	t.Fatalf("major type %d", major)
	return nil, nil
}

// The list in CBOR is signed as COSE says, and has the same bits as the JWT.
func TestStatusListInCBOR(t *testing.T) {
	t.Parallel()
	source := &memory{head: grant.Head{Epoch: 1}}
	source.fill(10_000, 1_000)
	key, lists := boardOf(t, source)
	tagged, rest := cborValue(t, inCBOR(t, lists, 0))
	document := tagged.([]any)
	parts := document[1].([]any)
	if len(rest) != 0 || document[0] != uint64(18) || len(parts) != 4 || len(parts[1].(map[string]any)) != 0 {
		t.Fatalf("%v, and %d bytes more", tagged, len(rest))
	}
	kid, err := base64.RawURLEncoding.DecodeString(key.KID)
	if err != nil {
		t.Fatal(err)
	}
	protected, _ := cborValue(t, parts[0].([]byte))
	if diff := cmp.Diff(map[string]any{"1": int64(-8), "4": kid, "16": "application/statuslist+cwt"}, protected); diff != "" {
		t.Error(diff)
	}
	// Sig_structure of RFC 9052, section 4.4, written by hand.
	signed := append([]byte("\x84\x6aSignature1\x58"), byte(len(parts[0].([]byte))))
	signed = append(append(signed, parts[0].([]byte)...), 0x40, 0x59)
	payload := parts[2].([]byte)
	signed = append(binary.BigEndian.AppendUint16(signed, uint16(len(payload))), payload...)
	if !ed25519.Verify(publicOf(t, key), signed, parts[3].([]byte)) {
		t.Error("the signature is not good")
	}
	claims, _ := cborValue(t, payload)
	said := claims.(map[string]any)
	list := said["65533"].(map[string]any)
	if len(said) != 5 || said["2"] != "https://guichet.example.org/status/0" || said["4"].(int64)-said["6"].(int64) != 300 || said["65534"] != int64(10) || list["bits"] != int64(1) {
		t.Errorf("%v, %v, %v, %v", said["2"], said["4"], said["6"], said["65534"])
	}
	z, err := zlib.NewReader(bytes.NewReader(list["lst"].([]byte)))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(bits, bitsOf(t, lists, key, 0)) {
		t.Errorf("other bits than in the JWT: %v", err)
	}
}

func publicOf(t testing.TB, key *keyring.SigningKey) ed25519.PublicKey {
	t.Helper()
	text, err := keyring.JWKS(key.Key())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ X string } }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	public, err := base64.RawURLEncoding.DecodeString(set.Keys[0].X)
	if err != nil {
		t.Fatal(err)
	}
	return public
}
