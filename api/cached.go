package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// serveTagged writes a document with an ETag of its bytes: nothing of it when the
// caller has it already (304), its headers alone to a HEAD.
func serveTagged(w http.ResponseWriter, r *http.Request, document []byte) {
	w.Header().Set("ETag", tagOf(document))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(document))
}

func tagOf(document []byte) string {
	sum := sha256.Sum256(document)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// accepts tells whether a header that lists values, each perhaps with a weight,
// has one of those given with a weight above zero.
func accepts(headers []string, wanted ...string) bool {
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			value, weight, _ := strings.Cut(strings.ToLower(one), ";")
			refused := strings.TrimRight(strings.ReplaceAll(weight, " ", ""), "0") == "q=" || strings.TrimRight(strings.ReplaceAll(weight, " ", ""), "0") == "q=0."
			for _, w := range wanted {
				if strings.TrimSpace(value) == w && !refused {
					return true
				}
			}
		}
	}
	return false
}
