package api_test

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Whatever stands in one string of a signed delivery, it is taken: the source
// would send what is not taken for ever. No database of ours keeps everything
// that JSON can say in a string.
func TestAnyStringIsTaken(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		value := regexp.MustCompile(`:\s*"[^"]*"`)
		for path, file := range map[string]string{v1Path: "../grant/testdata/v1_revoke.json", v2Path: "../grant/testdata/v2_approve.json"} {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// A word that no index of a database can hold, and that does not shrink.
			long := make([]byte, 6000)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(long)
			places := value.FindAllIndex(body, -1)
			if len(places) < 20 {
				t.Fatalf("%s has %d strings", file, len(places))
			}
			for _, place := range places {
				end := place[1] - 1
				for _, odd := range []string{`\u0000`, `\u0001\u202e`, `\uffff'"` + "`", `𝕏` + strings.Repeat("é", 3000), hex.EncodeToString(long)} {
					odd = strings.ReplaceAll(odd, `"`, `\"`)
					if status, answer := c.post(path, secret, string(body[:end])+odd+string(body[end:])); status != http.StatusOK {
						t.Errorf("%s with %.10q in %s: %d %s", file, odd, body[place[0]:end], status, answer)
					}
				}
			}
		}
		if _, err := c.db.Grant().Index(t.Context()); err != nil {
			t.Errorf("it cannot be found: %v", err)
		}
	})
}
