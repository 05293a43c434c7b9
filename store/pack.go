package store

import "github.com/klauspost/compress/s2"

// Bodies are kept packed. What a source sends is mostly names and blanks; at half
// its size a body shares its page with others, and the commit that everyone waits
// for writes half as much. The hash in the row is of the body as it was sent.

// largestBody is more than is ever taken from a source.
const largestBody = 64 << 20

// packed gives a body as it is stored; nil, of a body that was wiped, stays nil.
func packed(body []byte) []byte {
	if body == nil {
		return nil
	}
	return s2.Encode(nil, body)
}

// unpacked gives back what packed was given. Bytes that packed cannot have made
// are returned as they stand: whoever checks the hash finds out.
func unpacked(stored []byte) []byte {
	if n, err := s2.DecodedLen(stored); err != nil || n > largestBody {
		return stored
	}
	body, err := s2.Decode([]byte{}, stored)
	if err != nil {
		return stored
	}
	return body
}
