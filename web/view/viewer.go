// Package view draws the pages of Guichet from plain values.
//
// It knows no desk, no store and no request: a handler of package web fills one
// of the structs of this package and gets a component that writes itself. Every
// piece of the look (a badge, an amount, a question of the bank) is drawn in
// one place only.
//
// Texts come from package locale by key. What the reader chose — language,
// theme, where they are — travels in the context as a [Viewer].
package view

import (
	"context"
	"time"

	"guichet/web/asset"
	"guichet/web/locale"
)

// A Theme is which colours the reader wants.
type Theme string

// The themes. Auto follows the machine.
const (
	Auto  Theme = "auto"
	Light Theme = "light"
	Dark  Theme = "dark"
)

// ParseTheme reads a theme that a browser sent; anything else is [Auto].
func ParseTheme(s string) Theme {
	if t := Theme(s); t == Light || t == Dark {
		return t
	}
	return Auto
}

// Next is the theme after this one when the reader turns the switch.
func (t Theme) Next() Theme {
	switch t {
	case Light:
		return Dark
	case Dark:
		return Auto
	default:
		return Light
	}
}

// A Viewer is whoever looks at a page, as far as drawing it goes.
type Viewer struct {
	Words  *locale.Words
	Theme  Theme
	Now    time.Time  // of the server: delays and countdowns are told from it
	Path   string     // of the page with its query, to come back to after a change of language
	Assets *asset.Set // where scripts and styles are
}

type viewerKey struct{}

// WithViewer returns a context in which components draw for v.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// ViewerFrom returns who looks. Without one it is a French reader at the origin
// of time, so that a component drawn by mistake without a viewer shows.
func ViewerFrom(ctx context.Context) Viewer {
	if v, ok := ctx.Value(viewerKey{}).(Viewer); ok {
		return v
	}
	return Viewer{Words: locale.In(locale.French, nil), Theme: Auto, Assets: &asset.Set{}}
}

func words(ctx context.Context) *locale.Words { return ViewerFrom(ctx).Words }

// Say returns the words of a key for whoever looks.
func Say(ctx context.Context, key string, pairs ...any) string { return words(ctx).Say(key, pairs...) }

// Count is [Say] for words that change with a number.
func Count(ctx context.Context, key string, n int, pairs ...any) string {
	return words(ctx).Count(key, n, pairs...)
}
