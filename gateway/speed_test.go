package gateway

import (
	"net/http"
	"testing"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/keyring"
)

type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// BenchmarkCheck is what a check costs beside the server of the standard library.
func BenchmarkCheck(b *testing.B) {
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	g, err := Open(Config{Clock: guichet.SystemClock(), Shared: []keyring.Key{key.Key()}})
	if err != nil {
		b.Fatal(err)
	}
	now := g.clocks()
	g.view.Store(&View{blocklist.Empty(1).Resize(1 << 20), Lease{Held: true, From: now.Boot}, time.Hour})
	jwt, err := key.Sign(keyring.Claims{
		ID: "01a201bd-f45a-7876-9b37-5d812e38e04f", Subject: "Marchés publics de Valmont", Scopes: []string{"attestation_fiscale_dgfip", "open_data"}, IssuedAt: time.Now(),
		ExpiresAt: time.Now().Add(time.Hour), Version: "1.0", ExtraInfo: []byte(`{"request":"api_entreprise/51234"}`), Status: keyring.StatusAt("http://guichet.test", 77),
	})
	if err != nil {
		b.Fatal(err)
	}
	h := g.Handler()
	r, err := http.NewRequest(http.MethodGet, "/check?scope=open_data", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+jwt)
	w := &blank{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
	if w.h.Get(HeaderRequest) != "api_entreprise/51234" {
		b.Fatal(w.h)
	}
}
