package canary

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Held is files that were read and are still open: to close any of the files of a
// SQLite database would end the locks that this process has on it.
type Held []*os.File

// Close lets go of the files, after the databases were closed.
func (h Held) Close() {
	for _, f := range h {
		_ = f.Close()
	}
}

// Folder looks into all files below a folder, and at their names. What input says
// is a file that somebody gave to the program with a secret in it.
func Folder(folder string, input func(path string) bool) (all []Find, held Held, err error) {
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // gone meanwhile
			}
			return err
		}
		if input != nil && input(path) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() {
			all = append(all, Look("the name of "+e.Name(), []byte(e.Name()))...)
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil // gone meanwhile
		}
		held = append(held, f)
		data, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		all = append(all, Look("file "+filepath.Base(path), append([]byte(e.Name()+"\n"), data...))...)
		return nil
	})
	return all, held, err
}

// Deleted looks into the files that this process has open and that have no name
// any more, as temporary files of databases.
func Deleted() (all []Find) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		name, err := os.Readlink(link)
		if err != nil || !strings.HasSuffix(name, " (deleted)") || !strings.HasPrefix(name, "/") {
			continue
		}
		if data, err := os.ReadFile(link); err == nil { // opened anew: its own place, not the reader's
			all = append(all, Look("file without a name, once "+filepath.Base(strings.TrimSuffix(name, " (deleted)")), data)...)
		}
	}
	return all
}
