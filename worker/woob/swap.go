package woob

import "os"

// swapByTurns makes two folders change places one after the other. If we die in
// between, what was at a is at a.swap: put it back by hand.
func swapByTurns(a, b string) error {
	if err := os.Rename(a, a+".swap"); err != nil {
		return err
	}
	if err := os.Rename(b, a); err != nil {
		return err
	}
	return os.Rename(a+".swap", b)
}
