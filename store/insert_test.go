package store

import (
	"strings"
	"testing"
)

// A long statement of SQLite has no numbered parameters: its driver looks each of
// them up among all the others, and a hundred thousand operations took several
// times as long.
func TestLongStatements(t *testing.T) {
	t.Parallel()
	if text := insertMany[SQLite]; strings.Contains(text, "$") || strings.Count(text, "?") != rowsPerInsert*columnsOfOne {
		t.Errorf("SQLite: %.300s", text)
	}
	if text := insertMany[PostgreSQL]; strings.Contains(text, "?") || strings.Count(text, "$") != rowsPerInsert*columnsOfOne {
		t.Errorf("PostgreSQL: %.300s", text)
	}
}
