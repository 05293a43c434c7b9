// Command assetgen bundles the scripts and styles of the pages into
// web/asset/dist, from where the binary embeds them. It needs what npm ci puts
// into web/node_modules and nothing else of Node.
//
// Every file is named after its content, so that a browser may keep it for
// ever, and stands beside its gzip form, so that serving it costs a copy.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"guichet/web/asset"
)

// budget is what a first visit may load, compressed, all files together. It is
// a promise of the product: whoever breaks it has to find what to take out.
const budget = 100 << 10

func main() {
	web := flag.String("web", "", "the folder that holds package.json (default: web in this module)")
	flag.Parse()
	if err := run(*web); err != nil {
		fmt.Fprintln(os.Stderr, "assetgen:", err)
		os.Exit(1)
	}
}

func run(web string) error {
	if web == "" {
		root, err := moduleRoot()
		if err != nil {
			return err
		}
		web = filepath.Join(root, "web")
	}
	modules := filepath.Join(web, "node_modules")
	if _, err := os.Stat(modules); err != nil {
		return fmt.Errorf("%s is missing: run npm ci --prefix %s first", modules, web)
	}
	built, err := bundle(web)
	if err != nil {
		return err
	}
	licences, err := licences(web)
	if err != nil {
		return err
	}
	built = append(built, output{name: "licences.txt", body: licences})
	return write(filepath.Join(web, "asset", "dist"), built)
}

// write replaces all that dist held. The manifest goes last: if we die before
// it, the binary finds no manifest and says so, instead of serving half a set.
func write(dist string, built []output) error {
	old, err := filepath.Glob(filepath.Join(dist, "*"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if filepath.Base(f) == ".gitkeep" {
			continue
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	manifest := asset.Manifest{}
	firstLoad := 0
	for _, o := range built {
		entry, packed, err := o.entry()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dist, entry.File), o.body, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dist, entry.File+".gz"), packed, 0o644); err != nil {
			return err
		}
		manifest[o.name] = entry
		if o.name != "licences.txt" {
			firstLoad += len(packed)
		}
		fmt.Printf("%-14s %7d bytes, %6d compressed\n", o.name, len(o.body), len(packed))
	}
	if firstLoad > budget {
		return fmt.Errorf("a first visit would load %d bytes; the budget is %d", firstLoad, budget)
	}
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dist, "manifest.json"), append(text, '\n'), 0o644)
}

// licences joins the licence of every package that ends up in a bundle. A
// package without one stops the build: we may not ship it.
func licences(web string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(web, "package.json"))
	if err != nil {
		return nil, err
	}
	var pkg struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(text, &pkg); err != nil {
		return nil, fmt.Errorf("package.json: %w", err)
	}
	names := make([]string, 0, len(pkg.Dependencies))
	for name := range pkg.Dependencies {
		names = append(names, name)
	}
	slices.Sort(names)
	var all strings.Builder
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(web, "node_modules", filepath.FromSlash(name), "LICENSE*"))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s has no licence file", name)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&all, "%s %s\n\n%s\n\n", name, pkg.Dependencies[name], strings.TrimSpace(string(text)))
	}
	return []byte(all.String()), nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the current folder")
		}
		dir = parent
	}
}
