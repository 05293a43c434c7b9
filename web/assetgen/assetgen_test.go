package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"guichet/web/asset"
)

func TestReduce(t *testing.T) {
	const sheet = "head\n/**\n * One\n * more words\n */\na { b: c }\n\n/**\n * Two\n */\nd { e: f }\n\n/**\n * Three\n */\ng { h: i }\n"
	got, err := reduce(sheet, []string{"Three", "One"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "d {") || !strings.Contains(got, "a {") || !strings.Contains(got, "g {") || strings.Contains(got, "more words") {
		t.Errorf("kept %q", got)
	}
	if _, err := reduce(sheet, []string{"One", "Four"}); err == nil {
		t.Error("a part that is gone goes unnoticed")
	}
}

func TestUndefined(t *testing.T) {
	if err := undefined([]byte(":root{--a:1;--b:var(--a)}x{c:var(--b);d:var(--z,2)}")); err != nil {
		t.Error(err)
	}
	err := undefined([]byte("x{--a:1;c:var(--b);d:var(--c) var(--b)}"))
	if err == nil || !strings.HasSuffix(err.Error(), "--b, --c") {
		t.Errorf("got %v", err)
	}
}

// The same content has the same name, and its packed form unpacks to it.
func TestEntry(t *testing.T) {
	o := output{name: "app.css", body: []byte("content")}
	one, packed, err := o.entry()
	if err != nil {
		t.Fatal(err)
	}
	two, again, err := o.entry()
	if err != nil {
		t.Fatal(err)
	}
	if one != two || !bytes.Equal(packed, again) {
		t.Error("two builds differ")
	}
	if one.File != "app-"+one.Hash+".css" || len(one.Hash) != 16 {
		t.Errorf("named %+v", one)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(r); err != nil || string(plain) != "content" {
		t.Errorf("unpacks to %q, %v", plain, err)
	}
}

// What write leaves behind is what asset serves; files of an older build go.
func TestWriteIsWhatAssetLoads(t *testing.T) {
	dist := t.TempDir()
	for _, name := range []string{".gitkeep", "app-old.js", "manifest.json"} {
		if err := os.WriteFile(filepath.Join(dist, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(dist, []output{{"app.js", []byte("script")}, {"licences.txt", []byte("licences")}}); err != nil {
		t.Fatal(err)
	}
	set, err := asset.Load(os.DirFS(dist))
	if err != nil {
		t.Fatal(err)
	}
	if set.FirstLoad() == 0 || strings.Contains(set.URL("app.js"), "unknown") {
		t.Errorf("loaded %d bytes, %s", set.FirstLoad(), set.URL("app.js"))
	}
	if _, err := os.Stat(filepath.Join(dist, "app-old.js")); err == nil {
		t.Error("the old build is still there")
	}
	if _, err := os.Stat(filepath.Join(dist, ".gitkeep")); err != nil {
		t.Error("the folder would vanish from the repository")
	}
}

// A first visit over budget stops the build, before there is a manifest.
func TestWriteKeepsToTheBudget(t *testing.T) {
	dist := t.TempDir()
	noise := make([]byte, 2*budget)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	if err := write(dist, []output{{"app.js", noise}}); err == nil {
		t.Error("too much is accepted")
	}
	if _, err := asset.Load(os.DirFS(dist)); err == nil {
		t.Error("a set over budget can be loaded")
	}
	if _, err := asset.Load(fstest.MapFS{}); err == nil {
		t.Error("nothing can be loaded")
	}
}

// The lock file records what we use, never where it came from.
func TestLockNamesNoPlace(t *testing.T) {
	text, err := os.ReadFile("../package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`"resolved"`, "http://", "https://"} {
		if bytes.Contains(text, []byte(word)) {
			t.Errorf("package-lock.json holds %s", word)
		}
	}
	if n := bytes.Count(text, []byte(`"integrity": "sha512-`)); n < 3 {
		t.Errorf("only %d packages have their integrity recorded", n)
	}
}
