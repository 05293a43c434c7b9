// Package woob reaches banks through the modules of woob, in Python processes:
// one per run. The worker's text is in our own program and goes to Python through
// a pipe; woob itself is not ours and is not part of Guichet.
package woob

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"guichet"
	"guichet/connector/process"
)

//go:embed worker/*.py
var sources embed.FS

// boot is all that stands on the command line: it takes the worker from
// descriptor 3.
const boot = `import json,os;g=json.load(os.fdopen(3));exec(compile(g["boot"],"boot.py","exec"),{"sources":g})`

// A Config says where woob is.
type Config struct {
	Python  string // a Python that has woob 3.7
	Modules string // the folder of the modules: one package each
	Clock   guichet.Clock
	Log     *slog.Logger
	Limits  process.Limits
}

// New makes the connector. Nothing is started yet.
func New(c Config) (*process.Connector, error) {
	if c.Python == "" || c.Modules == "" {
		return nil, errors.New("woob needs a Python and a folder of modules")
	}
	modules, err := filepath.Abs(c.Modules)
	if err != nil {
		return nil, err
	}
	python := c.Python
	if filepath.Base(python) != python { // a worker runs in another folder
		if python, err = filepath.Abs(python); err != nil {
			return nil, err
		}
	}
	program, err := program()
	if err != nil {
		return nil, err
	}
	return process.New(process.Config{
		Name:    "woob",
		Command: []string{python, "-I", "-B", "-c", boot, modules},
		Program: program,
		Env:     environment(),
		Stamp:   func() string { return stamp(modules) },
		Clock:   c.Clock, Log: c.Log, Limits: c.Limits,
	}), nil
}

// program is the worker as boot reads it: the text of each part by its name.
func program() ([]byte, error) {
	texts := map[string]string{}
	err := fs.WalkDir(sources, "worker", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := sources.ReadFile(path)
		texts[strings.TrimSuffix(d.Name(), ".py")] = string(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(texts)
}

// passed are the variables of ours that a worker needs to reach banks from behind
// a proxy, or with certificates of one's own.
var passed = []string{"TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}

func environment() (env []string) {
	for _, name := range passed {
		value := os.Getenv(name)
		// A proxy's address may hold a password, and the environment is no place for one.
		if value != "" && !strings.Contains(value, "@") {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// stamp changes when modules were put there or taken away: an update puts another
// folder in the place of this one.
func stamp(modules string) string {
	info, err := os.Stat(modules)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), identity(info))
}
