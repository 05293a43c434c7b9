package keyring

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMACVectors(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{
			`{"test":true,"timestamp":"2026-05-04T09:12:31+02:00"}`,
			"sha256=0c7560b45398192046284fb1e7946d55c77e1dd0c6e2d8bf52ebd87a8fd54a8c",
		},
		{
			`{"event":"revoke","fired_at":1777880000,"model_type":"authorization_request/api_entreprise","model_id":51234,"data":{}}`,
			"sha256=7375b0d83354d9f5d3df14899e6d5ec9697fbd0d3b905306e0113be18ac07413",
		},
		{"", "sha256=a0df5d8a80615b3390c68443f4cf1de62460db6e04785d4c6144c38beb88f992"},
	} {
		if got := SignMAC("dev-verify-token", []byte(c.body)); got != c.want {
			t.Errorf("SignMAC(%q) = %s, want %s", c.body, got, c.want)
		}
		if i, ok := VerifyMAC([]Secret{"x", "dev-verify-token"}, []string{c.want}, []byte(c.body)); i != 1 || !ok {
			t.Errorf("VerifyMAC(%q) = %d, %v, want 1, true", c.body, i, ok)
		}
	}
}

func TestMACOneSpellingOnly(t *testing.T) {
	const secret, other = Secret("right"), Secret("left")
	body := []byte("body")
	good := SignMAC(secret, body)
	hex := strings.TrimPrefix(good, "sha256=")
	upper := "sha256=" + strings.ToUpper(hex)
	if upper == good {
		t.Fatal("this digest has no letter: choose another body")
	}
	for name, header := range map[string][]string{
		"none":              nil,
		"empty list":        {},
		"empty":             {""},
		"twice":             {good, good},
		"good then bad":     {good, SignMAC(other, body)},
		"bad then good":     {SignMAC(other, body), good},
		"joined by comma":   {good + "," + good},
		"upper case":        {upper},
		"no prefix":         {hex},
		"other prefix":      {"sha1=" + hex},
		"prefix in capital": {"SHA256=" + hex},
		"space before":      {" " + good},
		"space after":       {good + " "},
		"line end":          {good + "\n"},
		"short":             {good[:len(good)-1]},
		"short by a byte":   {good[:len(good)-2]},
		"long":              {good + "00"},
		"prefix only":       {"sha256="},
		"not hexadecimal":   {"sha256=" + strings.Repeat("g", 64)},
		"of another body":   {SignMAC(secret, []byte("Body"))},
		"of other secret":   {SignMAC("wrong", body)},
		"of empty secret":   {SignMAC("", body)},
	} {
		if i, ok := VerifyMAC([]Secret{secret, ""}, header, body); ok || i != -1 {
			t.Errorf("%s: accepted with secret %d", name, i)
		}
	}
	for _, secrets := range [][]Secret{nil, {}, {""}, {"", ""}, {other}} {
		if i, ok := VerifyMAC(secrets, []string{good}, body); ok || i != -1 {
			t.Errorf("%d secrets without the right one: accepted with %d", len(secrets), i)
		}
	}
	if i, ok := VerifyMAC([]Secret{other, secret, secret}, []string{good}, body); i != 1 || !ok {
		t.Errorf("the same secret twice: %d, %v, want the first, 1", i, ok)
	}
}

// Whatever is changed in a valid delivery, it is refused.
func TestMACMutations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfNDistinct(rapid.StringN(1, 20, 40), 1, 4, rapid.ID[string]).Draw(t, "secrets")
		var active []Secret
		for _, s := range secrets {
			active = append(active, Secret(s))
		}
		signer := rapid.IntRange(0, len(active)-1).Draw(t, "signer")
		body := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "body")
		header := SignMAC(active[signer], body)
		if i, ok := VerifyMAC(active, []string{header}, body); !ok || i != signer {
			t.Fatalf("a valid delivery: %d, %v, want %d", i, ok, signer)
		}
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0: // one bit of the body
			body[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1: // one bit of the header, prefix included
			b := []byte(header)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			header = string(b)
		case 2: // something added or cut
			if rapid.Bool().Draw(t, "cut") {
				header = header[:rapid.IntRange(0, len(header)-1).Draw(t, "to")]
			} else {
				header += rapid.StringN(1, 4, 8).Draw(t, "more")
			}
		case 3: // the secret is withdrawn
			active = append(active[:signer:signer], active[signer+1:]...)
		}
		if i, ok := VerifyMAC(active, []string{header}, body); ok {
			t.Fatalf("a changed delivery was accepted with secret %d", i)
		}
	})
}
