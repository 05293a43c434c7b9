//go:build !linux

package woob

func swap(a, b string) error { return swapByTurns(a, b) }
