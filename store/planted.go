//go:build planted

package store

// planted names the bug to have; the linker sets it. The list is in
// gateway/planted.go.
var planted string

// endOfBlocklist draws the number as a sequence of the database would be drawn:
// outside of the transaction, so that whoever draws first may commit last. (SQLite
// has one writer, and no such order.)
func (t *tx) endOfBlocklist() (seq int64, err error) {
	if planted == "sequence-gap" && t.store.engine == PostgreSQL {
		err = t.store.write.QueryRowContext(t.ctx, "UPDATE blocklist_head SET seq = seq + 1 WHERE id = 1 RETURNING seq - 1").Scan(&seq)
		return seq, err
	}
	head, err := t.q.LockBlocklist(t.ctx)
	return head.Seq, err
}

func (t *tx) advanceBlocklist(seq int64) error {
	if planted == "sequence-gap" && t.store.engine == PostgreSQL {
		return nil
	}
	return t.q.AdvanceBlocklist(t.ctx, seq)
}
