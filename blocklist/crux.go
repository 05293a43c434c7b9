//go:build !planted

package blocklist

// Where a slip of the hand would break what Guichet promises, the code is here and
// in gateway/crux.go, one function for each place. gateway/planted.go has the slips
// themselves; the tests must catch every one of them.

// mask is the bit of an index in its byte: the first index is the least
// significant bit, as in the Token Status List of the IETF.
func mask(index int64) byte { return 1 << (index & 7) }

// inRange tells whether a status list of so many bits has the index. What is
// beyond was never issued: not knowing is refusing.
func inRange(index, size int64) bool { return index >= 0 && index < size }
