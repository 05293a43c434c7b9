package woob

import "golang.org/x/sys/unix"

// swap makes two folders change places at once: there is no instant without
// either.
func swap(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if err == unix.EINVAL || err == unix.ENOSYS { // this file system cannot
		return swapByTurns(a, b)
	}
	return err
}
