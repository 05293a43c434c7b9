package api

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

const (
	// maxDelivery is the largest body of a delivery. A real one has a few KiB, some
	// tens with the raw answer of the business register in it.
	maxDelivery = 1 << 20
	// freeDelivery is what anybody may have in memory: before its signature is
	// checked, a body is a stranger's.
	freeDelivery = 32 << 10
	// maxDeliveries is how much the larger bodies may have together.
	maxDeliveries = 64 << 20
)

var (
	errBodyTooLarge = errors.New("api: a body over the limit")
	errBodiesFull   = errors.New("api: too many large bodies at once")
)

// bodies is the memory that the bodies of deliveries have at present, beyond what
// each has for free.
type bodies struct{ used atomic.Int64 }

// read reads a body as it comes; what was announced and not sent takes no memory.
// The caller releases it when it is done with it.
func (b *bodies) read(r *http.Request) (body []byte, release func(), err error) {
	reserved := int64(0)
	release = func() { b.used.Add(-reserved) }
	body = make([]byte, 0, min(max(r.ContentLength+1, 512), freeDelivery))
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxDelivery:
			return nil, release, errBodyTooLarge
		case errors.Is(err, io.EOF):
			return body, release, nil
		case err != nil:
			return nil, release, err
		case len(body) == cap(body):
			size := min(2*cap(body), maxDelivery+1)
			if more := int64(size - freeDelivery); more > reserved {
				if b.used.Add(more-reserved) > maxDeliveries {
					b.used.Add(reserved - more)
					return nil, release, errBodiesFull
				}
				reserved = more
			}
			body = append(make([]byte, 0, size), body...)
		}
	}
}
