//go:build !planted

package store

// Where a slip of the hand would break what Guichet promises its gateways, the
// code is here, in gateway/crux.go and in blocklist/crux.go. gateway/planted.go has
// the list of the slips; the tests must catch every one of them.

// endOfBlocklist is the number of the last block. From here to the commit no other
// transaction, on any process, can block anything: the order of the sequence is the
// order of the commits.
func (t *tx) endOfBlocklist() (seq int64, err error) {
	head, err := t.q.LockBlocklist(t.ctx)
	return head.Seq, err
}

// advanceBlocklist says where the list ends, at the commit.
func (t *tx) advanceBlocklist(seq int64) error { return t.q.AdvanceBlocklist(t.ctx, seq) }
