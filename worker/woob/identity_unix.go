//go:build unix

package woob

import (
	"io/fs"
	"syscall"
)

// identity tells two folders apart that were put in the same place.
func identity(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
