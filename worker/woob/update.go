package woob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"guichet"
	"guichet/connector/process"
)

// An Update is what putting other modules in place did, or would have done.
type Update struct {
	Modules []process.Module // those that are there now
	Added   []string
	Removed []string // there before, not any more
	Broken  []string // usable before, not any more
}

// Errors of updates.
var (
	ErrNothing = &guichet.Error{Kind: guichet.Invalid, Code: "no_modules", Reason: "There is no module that reads a bank. Nothing was changed."}
	ErrWorse   = &guichet.Error{Kind: guichet.Conflict, Code: "modules_lost", Reason: "Modules that can be used now could not be any more. Nothing was changed; --force does it all the same."}
	ErrFormer  = &guichet.Error{Kind: guichet.NotFound, Code: "no_former_modules", Reason: "No former modules are kept."}
)

// Fetch puts the modules of a folder or of a git repository in the place of those
// of the configuration, and keeps the former ones beside them. Whatever fails,
// the folder in use is the one or the other, whole: the new one is made beside it,
// every module in it is described, and only then they change places. Runs that
// have begun go on with what they have loaded.
func Fetch(ctx context.Context, c Config, source, ref string, force bool) (Update, error) {
	at, err := place(c.Modules)
	if err != nil {
		return Update{}, err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return Update{}, err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(at), filepath.Base(at)+".new-")
	if err != nil {
		return Update{}, err
	}
	// If we die from here on, a folder .new-… is left, that nobody uses.
	defer func() { _ = os.RemoveAll(fresh) }()
	if err := obtain(ctx, source, ref, fresh); err != nil {
		return Update{}, err
	}
	before, _ := described(ctx, c, at) // there may be none, or none that works
	after, err := described(ctx, c, fresh)
	if err != nil {
		return Update{}, err
	}
	u := compare(before, after)
	switch {
	case !slices.ContainsFunc(after, usable):
		return u, ErrNothing
	case len(u.Removed)+len(u.Broken) > 0 && !force:
		return u, ErrWorse
	}
	return u, replace(at, fresh)
}

// Rollback puts the former modules back, and keeps those it takes away.
func Rollback(c Config) error {
	at, err := place(c.Modules)
	if err != nil {
		return err
	}
	if _, err := os.Stat(at + former); err != nil {
		return ErrFormer
	}
	return swap(at, at+former)
}

const former = ".former"

// place is where the folder of modules really is.
func place(modules string) (string, error) {
	at, err := filepath.Abs(modules)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(at); err == nil {
		return target, nil
	}
	return at, nil // there is none yet
}

// replace puts fresh in the place of at, which becomes the former one.
func replace(at, fresh string) error {
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(fresh, at)
	}
	if err := os.RemoveAll(at + former); err != nil {
		return err
	}
	if err := swap(at, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, at+former)
}

func usable(m process.Module) bool { return m.Problem == "" }

func described(ctx context.Context, c Config, folder string) ([]process.Module, error) {
	c.Modules = folder
	connector, err := New(c)
	if err != nil {
		return nil, err
	}
	modules, err := connector.Modules(ctx)
	return modules, errors.Join(err, connector.Close())
}

func compare(before, after []process.Module) Update {
	u := Update{Modules: after, Added: []string{}, Removed: []string{}, Broken: []string{}}
	find := func(list []process.Module, id string) (process.Module, bool) {
		i := slices.IndexFunc(list, func(m process.Module) bool { return m.ID == id })
		if i < 0 {
			return process.Module{}, false
		}
		return list[i], true
	}
	for _, m := range after {
		if _, known := find(before, m.ID); !known {
			u.Added = append(u.Added, m.ID)
		}
	}
	for _, m := range before {
		now, still := find(after, m.ID)
		switch {
		case !still:
			u.Removed = append(u.Removed, m.ID)
		case usable(m) && !usable(now):
			u.Broken = append(u.Broken, m.ID)
		}
	}
	return u
}

// obtain copies the modules of a folder, or of a repository, into a folder.
func obtain(ctx context.Context, source, ref, into string) error {
	if info, err := os.Stat(source); err == nil && info.IsDir() && ref == "" {
		return copyModules(source, into)
	}
	clone, err := os.MkdirTemp("", "guichet-modules-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(clone) }()
	arguments := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", "clone", "--quiet", "--depth", "1", "--no-tags", "--single-branch"}
	if ref != "" {
		arguments = append(arguments, "--branch", ref)
	}
	cmd := exec.CommandContext(ctx, "git", append(arguments, "--", source, clone)...)
	// git needs the operator's proxy and keys, and has no use for our settings, some
	// of which are secrets.
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GUICHET_") })
	cmd.Env = append(environ, "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https:ssh:file", "GIT_LFS_SKIP_SMUDGE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return &guichet.Error{Kind: guichet.Unavailable, Code: "modules_not_fetched", Reason: "The modules cannot be fetched. Nothing was changed.", Cause: fmt.Errorf("git: %w: %s", err, tail(out))}
	}
	return copyModules(clone, into)
}

func tail(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[max(0, len(text)-500):]
}

// What a folder of modules may be; more is something else.
const (
	maxFiles = 50_000
	maxBytes = 512 << 20
)

// copyModules copies plain files and folders: the packages of modules/ when there
// is such a folder, as in woob's own repository, else those of the folder itself.
func copyModules(from, into string) error {
	if info, err := os.Stat(filepath.Join(from, "modules")); err == nil && info.IsDir() {
		from = filepath.Join(from, "modules")
	}
	files, bytes := 0, int64(0)
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil || below == "." {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && (strings.HasPrefix(name, ".") || name == "__pycache__"):
			return fs.SkipDir
		case d.IsDir():
			return os.Mkdir(filepath.Join(into, below), 0o755)
		case !d.Type().IsRegular():
			return nil // a link may lead anywhere
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		if files > maxFiles || bytes > maxBytes {
			return &guichet.Error{Kind: guichet.Invalid, Code: "modules_too_large", Reason: "This is more than modules can be. Nothing was changed."}
		}
		return copyFile(path, filepath.Join(into, below))
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(filepath.Clean(from))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(filepath.Clean(to), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxBytes))
	return errors.Join(err, out.Close())
}
