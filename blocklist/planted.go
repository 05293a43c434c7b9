//go:build planted

package blocklist

// planted names the bug to have; the linker sets it. The list is in
// gateway/planted.go.
var planted string

func mask(index int64) byte {
	if planted == "msb-first" {
		return 0x80 >> (index & 7)
	}
	return 1 << (index & 7)
}

func inRange(index, size int64) bool {
	if planted == "out-of-range-is-valid" {
		return true
	}
	return index >= 0 && index < size
}
