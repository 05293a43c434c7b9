package gateway

import (
	"math"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"guichet/keyring"
)

// What the programs that run a gateway have in common.

// ReadShared reads the shared secrets of providers with HS256: a file by the name
// of its provider. Each opens its own provider only.
func ReadShared(files map[string]string, now time.Time) (keys []keyring.Key, err error) {
	for name, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		key, err := keyring.LoadSigningKey("hs256-"+name, keyring.HS256, []byte(strings.TrimSpace(string(b))), now)
		if err != nil {
			return nil, err
		}
		named := key.Key()
		named.Only = []string{name}
		old := named // tokens of before Guichet name no key
		old.KID, old.WithoutKID = "hs256-without-name-"+name, true
		keys = append(keys, named, old)
	}
	return keys, nil
}

// Tune lets the collector rest: what lives is a few megabytes, and at the usual
// setting it would run a hundred times a second. The limit keeps the whole small; a
// list that needs more gets the usual setting. It looks again every minute, for as
// long as the process lives.
func (g *Gateway) Tune() {
	const small, most = 16 << 20, 56 << 20
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if g.Memory() > small {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
	} else {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(most)
	}
	time.AfterFunc(time.Minute, g.Tune)
}
