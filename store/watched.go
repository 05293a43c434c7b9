//go:build !crashing

package store

import "guichet/store/query"

// watched is the database as a transaction uses it. Built with the tag crashing,
// the program can be made to die at each statement and on both sides of each
// commit (crashing.go); here it is nothing.
func watched(db query.DBTX) (query.DBTX, func(point string)) { return db, unwatched }

func unwatched(string) {}
