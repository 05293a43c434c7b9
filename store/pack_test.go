package store

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// What is stored of a body gives the body back, whatever it is; what is no packed
// body stays what it is.
func TestPacked(t *testing.T) {
	t.Parallel()
	if packed(nil) != nil || unpacked(nil) != nil {
		t.Error("a body that was wiped came back")
	}
	if got := unpacked(packed([]byte{})); got == nil || len(got) != 0 {
		t.Errorf("an empty body is %#v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		body := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "body"), rapid.IntRange(1, 50).Draw(t, "times"))
		if got := unpacked(packed(body)); !bytes.Equal(got, body) {
			t.Fatalf("%x became %x", body, got)
		}
	})
	for _, odd := range []string{`{"event":"approve"}`, "\xff\xff\xff\xff\x0f", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if got := unpacked([]byte(odd)); string(got) != odd {
			t.Errorf("%q became %q", odd, got)
		}
	}
}
