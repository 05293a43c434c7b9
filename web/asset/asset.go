// Package asset serves the scripts and styles that assetgen built into dist.
// They are embedded, named after their content, and never change once served.
package asset

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:generate go run guichet/web/assetgen

//go:embed all:dist
var dist embed.FS

// ErrMissing says that this binary was built without the bundle of the pages.
// Whoever serves pages must refuse to start on it.
var ErrMissing = errors.New("the bundle of the pages is missing: build with make build, " +
	"or run npm ci --prefix web and go generate ./web/asset before go build")

// Prefix is where the pages look for assets.
const Prefix = "/assets/"

// A Manifest tells under which file each asset is found.
type Manifest map[string]Entry

// An Entry is one asset: its file name, which holds its hash.
type Entry struct {
	File string `json:"file"`
	Hash string `json:"hash"`
}

// A Set is all assets of a binary, in memory. It is read only.
type Set struct {
	manifest Manifest
	files    map[string]file
}

type file struct {
	plain, packed []byte
	kind, hash    string
}

// Embedded returns the assets of this binary, or [ErrMissing].
func Embedded() (*Set, error) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return Load(sub)
}

// Load reads what assetgen wrote. A folder without manifest is [ErrMissing]; a
// manifest that names an absent file is another error, because it means that
// the folder was touched by hand.
func Load(dir fs.FS) (*Set, error) {
	text, err := fs.ReadFile(dir, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	s := &Set{files: map[string]file{}}
	if err := json.Unmarshal(text, &s.manifest); err != nil {
		return nil, fmt.Errorf("asset manifest: %w", err)
	}
	for name, entry := range s.manifest {
		plain, err := fs.ReadFile(dir, entry.File)
		if err != nil {
			return nil, fmt.Errorf("asset %s: %w", name, err)
		}
		packed, err := fs.ReadFile(dir, entry.File+".gz")
		if err != nil {
			return nil, fmt.Errorf("asset %s: %w", name, err)
		}
		s.files[entry.File] = file{plain: plain, packed: packed, kind: kindOf(name), hash: entry.Hash}
	}
	return s, nil
}

// URL returns the address of an asset by the name the sources know it by. An
// unknown name gives an address that answers 404, so a test sees it.
func (s *Set) URL(name string) string {
	if e, ok := s.manifest[name]; ok {
		return Prefix + e.File
	}
	return Prefix + "unknown-" + name
}

// FirstLoad tells how many bytes a first visit loads, compressed.
func (s *Set) FirstLoad() int {
	n := 0
	for name, e := range s.manifest {
		if name != "licences.txt" {
			n += len(s.files[e.File].packed)
		}
	}
	return n
}

// ServeHTTP serves GET and HEAD below [Prefix]. An answer may be kept for ever:
// other content would have another name.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s.files[strings.TrimPrefix(r.URL.Path, Prefix)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, tag := f.plain, `"`+f.hash+`"`
	h := w.Header()
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = f.packed, `"`+f.hash+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the browser went away: nobody is left to tell
	}
}

// acceptsGzip reads Accept-Encoding as RFC 9110 12.5.3 does, for gzip alone.
func acceptsGzip(header string) bool {
	star := false
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := strings.ReplaceAll(strings.ToLower(weight), " ", "")
		refused := strings.HasPrefix(q, "q=0") && strings.Trim(q, "q=0.") == ""
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return !refused
		case "*":
			star = !refused
		}
	}
	return star
}

func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}

// kindOf does not trust the tables of the machine for what browsers are strict
// about.
func kindOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	default:
		return mime.TypeByExtension(ext)
	}
}
