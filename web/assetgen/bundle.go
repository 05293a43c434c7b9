package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"guichet/web/asset"
)

// An output is one built file under the name the pages know it by.
type output struct {
	name string
	body []byte
}

// entry names the file after its content and packs it.
func (o output) entry() (asset.Entry, []byte, error) {
	sum := sha256.Sum256(o.body)
	hash := hex.EncodeToString(sum[:8])
	ext := filepath.Ext(o.name)
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return asset.Entry{}, nil, err
	}
	if _, err := w.Write(o.body); err != nil {
		return asset.Entry{}, nil, err
	}
	if err := w.Close(); err != nil {
		return asset.Entry{}, nil, err
	}
	name := strings.TrimSuffix(o.name, ext) + "-" + hash + ext
	return asset.Entry{File: name, Hash: hash}, packed.Bytes(), nil
}

// bundle builds the one script, the one style sheet and the icon.
func bundle(web string) ([]output, error) {
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: web,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "script/app.js", OutputPath: "app"},
			{InputPath: "style/app.css", OutputPath: "app"},
		},
		Outdir:            filepath.Join(web, "asset", "dist"),
		Bundle:            true,
		Format:            api.FormatESModule,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone, // all in licences.txt
		// The oldest browsers with light-dark(), :has() and the dialog element.
		Engines: []api.Engine{
			{Name: api.EngineChrome, Version: "123"},
			{Name: api.EngineFirefox, Version: "121"},
			{Name: api.EngineSafari, Version: "17.5"},
		},
		Plugins: []api.Plugin{picoPlugin(web)},
	})
	if len(result.Errors) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage}), "\n"))
	}
	if len(result.Warnings) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(result.Warnings, api.FormatMessagesOptions{Kind: api.WarningMessage}), "\n"))
	}
	var built []output
	for _, f := range result.OutputFiles {
		name := filepath.Base(f.Path)
		if name == "app.css" {
			if err := undefined(f.Contents); err != nil {
				return nil, err
			}
		}
		built = append(built, output{name: name, body: f.Contents})
	}
	icon, err := os.ReadFile(filepath.Join(web, "style", "icon.svg"))
	if err != nil {
		return nil, fmt.Errorf("icon: %w", err)
	}
	return append(built, output{name: "icon.svg", body: icon}), nil
}
