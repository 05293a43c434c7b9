package asset

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
)

func sample() fstest.MapFS {
	return fstest.MapFS{
		"manifest.json":   {Data: []byte(`{"app.js":{"file":"app-01.js","hash":"01"},"app.css":{"file":"app-02.css","hash":"02"},"licences.txt":{"file":"licences-03.txt","hash":"03"}}`)},
		"app-01.js":       {Data: []byte("plain script")},
		"app-01.js.gz":    {Data: []byte("packed")},
		"app-02.css":      {Data: []byte("plain style")},
		"app-02.css.gz":   {Data: []byte("packed style")},
		"licences-03.txt": {Data: []byte("licences")}, "licences-03.txt.gz": {Data: []byte("packed licences")},
		"secret.txt": {Data: []byte("not in the manifest")},
	}
}

func TestServe(t *testing.T) {
	set, err := Load(sample())
	if err != nil {
		t.Fatal(err)
	}
	if got := set.URL("app.js"); got != "/assets/app-01.js" {
		t.Errorf("URL = %s", got)
	}
	if got, want := set.FirstLoad(), len("packed")+len("packed style"); got != want {
		t.Errorf("FirstLoad = %d, want %d", got, want)
	}
	for _, c := range []struct {
		name, method, path, accept, match string
		status                            int
		body, encoding, kind, tag         string
	}{
		{"plain", "GET", "/assets/app-01.js", "", "", 200, "plain script", "", "text/javascript; charset=utf-8", `"01"`},
		{"gzip", "GET", "/assets/app-01.js", "br;q=1.0, gzip;q=0.8", "", 200, "packed", "gzip", "text/javascript; charset=utf-8", `"01-gzip"`},
		{"anything", "GET", "/assets/app-02.css", "*", "", 200, "packed style", "gzip", "text/css; charset=utf-8", `"02-gzip"`},
		{"gzip refused", "GET", "/assets/app-02.css", "gzip;q=0, *", "", 200, "plain style", "", "text/css; charset=utf-8", `"02"`},
		{"gzip refused in full", "GET", "/assets/app-02.css", "gzip; q=0.000", "", 200, "plain style", "", "text/css; charset=utf-8", `"02"`},
		{"gzip hardly wanted", "GET", "/assets/app-02.css", "gzip;q=0.001", "", 200, "packed style", "gzip", "text/css; charset=utf-8", `"02-gzip"`},
		{"brotli alone", "GET", "/assets/app-02.css", "br", "", 200, "plain style", "", "text/css; charset=utf-8", `"02"`},
		{"known", "GET", "/assets/app-01.js", "gzip", `W/"x", "01-gzip"`, 304, "", "", "", `"01-gzip"`},
		{"known in the other form", "GET", "/assets/app-01.js", "gzip", `"01"`, 200, "packed", "gzip", "text/javascript; charset=utf-8", `"01-gzip"`},
		{"head", "HEAD", "/assets/app-01.js", "", "", 200, "", "", "text/javascript; charset=utf-8", `"01"`},
		{"post", "POST", "/assets/app-01.js", "", "", 405, "method not allowed\n", "", "text/plain; charset=utf-8", ""},
		{"by its name", "GET", "/assets/app.js", "", "", 404, "404 page not found\n", "", "text/plain; charset=utf-8", ""},
		{"not in the manifest", "GET", "/assets/secret.txt", "", "", 404, "404 page not found\n", "", "text/plain; charset=utf-8", ""},
		{"upwards", "GET", "/assets/../manifest.json", "", "", 404, "404 page not found\n", "", "text/plain; charset=utf-8", ""},
		{"packed form", "GET", "/assets/app-01.js.gz", "", "", 404, "404 page not found\n", "", "text/plain; charset=utf-8", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("Accept-Encoding", c.accept)
			r.Header.Set("If-None-Match", c.match)
			w := httptest.NewRecorder()
			set.ServeHTTP(w, r)
			res := w.Result()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || string(body) != c.body {
				t.Errorf("%d %q, want %d %q", res.StatusCode, body, c.status, c.body)
			}
			h := res.Header
			if h.Get("Content-Encoding") != c.encoding || h.Get("Content-Type") != c.kind || h.Get("ETag") != c.tag {
				t.Errorf("headers %v", h)
			}
			if c.status < 400 && (h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Vary") != "Accept-Encoding") {
				t.Errorf("headers %v", h)
			}
			if c.status == http.StatusOK && c.method == "GET" && h.Get("Content-Length") == "" {
				t.Error("no length")
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(fstest.MapFS{".gitkeep": {}}); !errors.Is(err, ErrMissing) {
		t.Errorf("an empty folder gives %v", err)
	}
	half := sample()
	delete(half, "app-01.js.gz")
	if _, err := Load(half); err == nil || errors.Is(err, ErrMissing) {
		t.Errorf("half a folder gives %v", err)
	}
	broken := sample()
	broken["manifest.json"] = &fstest.MapFile{Data: []byte("{")}
	if _, err := Load(broken); err == nil {
		t.Error("a broken manifest is accepted")
	}
}
