package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"guichet"
	"guichet/store"
)

type backupCmd struct {
	File string `arg:"" help:"Where to write it; must not exist yet."`
}

func (b backupCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withStore(ctx, all, func(s *store.Store) error {
		if _, err := os.Lstat(b.File); err == nil {
			return &guichet.Error{Kind: guichet.Conflict, Code: "file_exists", Field: "file", Reason: "This file exists already."}
		}
		sum, err := backUpTo(ctx, s, b.File)
		if err != nil {
			return err
		}
		return t.print(sum, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%d rows of %d tables in %s\nKeep a copy of the key file elsewhere: without it the secrets in this backup are lost.\n", sum.Rows, sum.Tables, b.File)
		})
	})
}

// backUpTo writes the backup under another name first: if we die, or the disk is
// full, nothing bears the name of a backup that is not whole.
func backUpTo(ctx context.Context, s *store.Store, file string) (sum store.Summary, err error) {
	part, err := os.CreateTemp(filepath.Dir(file), ".guichet-backup-*")
	if err != nil {
		return sum, &guichet.Error{Kind: guichet.Invalid, Code: "file_not_written", Field: "file", Reason: "The file cannot be made.", Cause: err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part.Name()))
		}
	}()
	sum, err = s.Backup(ctx, part)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return sum, err
	}
	return sum, os.Rename(part.Name(), file)
}

type restoreCmd struct {
	File string `arg:"" help:"A backup." type:"existingfile"`
}

func (r restoreCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withStore(ctx, all, func(s *store.Store) error {
		if _, err := s.Migrate(ctx); err != nil {
			return err
		}
		file, err := os.Open(r.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		sum, err := s.Restore(ctx, func() (io.Reader, error) {
			_, err := file.Seek(0, io.SeekStart)
			return file, err
		})
		if err != nil {
			return err
		}
		return t.print(sum, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%d rows of %d tables, as they were on %s\nWhat happened since is not there: have the source send its deliveries again, and sign in again.\n",
				sum.Rows, sum.Tables, sum.MadeAt.Format(time.RFC3339))
		})
	})
}

// withStore opens the database of the configuration and nothing else.
func withStore(ctx context.Context, all *cli, use func(*store.Store) error) error {
	c, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, c.Database, store.Options{Clock: guichet.SystemClock()})
	if err != nil {
		return err
	}
	return errors.Join(use(s), s.Close())
}
