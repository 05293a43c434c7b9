package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// kept are the parts of Pico that the pages use: the common ground of every
// browser, and form controls. Colours, buttons, tables, navigation and dialogs
// are our own, so Pico's are left out instead of being overridden.
var kept = []string{
	"Document",
	"Typography",
	"Embedded content",
	"Misc",
	"Basics form elements",
	"Checkboxes, Radios and Switches",
	"Accessibility & User interaction",
	"Reduce Motion Features",
}

// picoPlugin resolves @import "pico" to the kept parts of Pico.
func picoPlugin(web string) api.Plugin {
	return api.Plugin{Name: "pico", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: "^pico$"}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: "pico", Namespace: "pico"}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "pico"}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			text, err := os.ReadFile(filepath.Join(web, "node_modules", "@picocss", "pico", "css", "pico.classless.css"))
			if err != nil {
				return api.OnLoadResult{}, err
			}
			css, err := reduce(string(text), kept)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			return api.OnLoadResult{Contents: &css, Loader: api.LoaderCSS}, nil
		})
	}}
}

// reduce keeps the named parts of Pico's unminified sheet. Each part begins
// with a documentation comment whose first line is its name. A name that is no
// longer there is an error: Pico changed, and somebody has to look.
func reduce(css string, names []string) (string, error) {
	var out strings.Builder
	found := map[string]bool{}
	for _, part := range strings.Split(css, "\n/**\n * ")[1:] {
		name, _, _ := strings.Cut(part, "\n")
		if !slices.Contains(names, name) {
			continue
		}
		found[name] = true
		_, body, ok := strings.Cut(part, "*/")
		if !ok {
			return "", fmt.Errorf("pico: the comment of %q never ends", name)
		}
		out.WriteString(body)
	}
	for _, name := range names {
		if !found[name] {
			return "", fmt.Errorf("pico: no part named %q", name)
		}
	}
	return out.String(), nil
}

var (
	variableUse = regexp.MustCompile(`var\((--[a-z0-9-]+)\)`) // with a fallback it may be undefined
	variableDef = regexp.MustCompile(`[{;](--[a-z0-9-]+):`)
)

// undefined reports the custom properties that a sheet reads and nobody sets.
// A browser would say nothing and paint with the initial value.
func undefined(css []byte) error {
	defined := map[string]bool{}
	for _, m := range variableDef.FindAllSubmatch(css, -1) {
		defined[string(m[1])] = true
	}
	var missing []string
	for _, m := range variableUse.FindAllSubmatch(css, -1) {
		if name := string(m[1]); !defined[name] && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("style: nobody defines %s", strings.Join(missing, ", "))
	}
	return nil
}
