package store_test

import (
	"testing"

	"guichet/people"
	"guichet/people/peopletest"
	"guichet/store"
	"guichet/store/storetest"
)

func TestPeople(t *testing.T) {
	t.Parallel()
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			peopletest.Run(t, func(t *testing.T) people.Store { return storetest.New(t, engine).People() })
		})
	}
}
