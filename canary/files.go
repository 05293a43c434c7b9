package canary

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
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
		text, err := appended(append((*room)[:0], e.Name()+"\n"...), f)
		if err != nil {
			return err
		}
		*room = text
		all = append(all, Look("file "+filepath.Base(path), text)...)
		return nil
	})
	return all, held, err
}

// rooms are read into and looked at, one after the other: what every test's files
// are read into is as much as all that the tests themselves allocate.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// appended adds all of a file, whatever its size is said to be.
func appended(text []byte, f *os.File) ([]byte, error) {
	if info, err := f.Stat(); err == nil {
		text = slices.Grow(text, int(info.Size())+1)
	}
	for {
		n, err := f.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err
		}
		if len(text) == cap(text) {
			text = slices.Grow(text, 1)
		}
	}
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
