package view

// A Column is one column of a table.
type Column struct {
	Label  string
	Number bool // right-aligned
	Wide   bool // only from the width of a tablet on
	Wider  bool // only from the width of a desk on
	Hidden bool // its label is for screen readers only
	Sort   *Sort
}

// A Sort is the link that orders a table by one column.
type Sort struct {
	URL        string
	Now        bool // the table is ordered by this column
	Descending bool
}

// A Chip is one filter of a list.
type Chip struct {
	Label string
	Count int // shown when positive
	URL   string
	On    bool
}

// A Pager leads to the pages of a long list. Pages have no number: they begin
// after a row, so that new rows move nothing.
type Pager struct {
	Newer string // address; empty at the beginning
	Older string // address; empty at the end
}

// An Empty is what a list says when it holds nothing: why, and what to do.
type Empty struct {
	Says   string
	Action *Action
}
