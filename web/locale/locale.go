// Package locale holds the words of the pages in each language, and each
// language's way of writing amounts, dates and delays.
//
// French comes first: it is the language the product is written in, and the one
// a reader gets who asks for a language we do not have.
package locale

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed fr.toml en.toml
var files embed.FS

// The languages, by the tag that the cookie, the address and the html element
// use.
const (
	French  = "fr"
	English = "en"
)

// Languages lists them, the default first.
func Languages() []string { return []string{French, English} }

// Words is one language. It may be used by any number of goroutines.
type Words struct {
	lang      string
	zone      *time.Location
	localizer *i18n.Localizer
	style     style
}

// In returns the words of a language, French for a language we do not have.
// Instants are written in the given zone; nil means UTC.
func In(lang string, zone *time.Location) *Words {
	if lang != English {
		lang = French
	}
	if zone == nil {
		zone = time.UTC
	}
	return &Words{lang: lang, zone: zone, localizer: localizers()[lang], style: styles[lang]}
}

// Choose tells which language a reader gets: the one they chose, else the first
// of those their browser asks for that we have, else French.
func Choose(cookie, acceptLanguage string) string {
	for _, lang := range Languages() {
		if cookie == lang {
			return lang
		}
	}
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(wanted) == 0 {
		return French
	}
	_, i, confidence := matcher.Match(wanted...)
	if confidence == language.No {
		return French
	}
	return Languages()[i]
}

var matcher = language.NewMatcher([]language.Tag{language.French, language.English})

// Lang is the tag of the language.
func (w *Words) Lang() string { return w.lang }

// Zone is where instants are read.
func (w *Words) Zone() *time.Location { return w.zone }

// Say returns the words of a key. Pairs are the names and values that the words
// speak of. A key without words shows itself in brackets: the tests refuse one
// that the sources use, and a reader who meets one still has the rest of the page.
func (w *Words) Say(key string, pairs ...any) string {
	return w.localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: data(pairs)})
}

// Count is Say for words that may change with a number. They find it, grouped as
// the language does, as Count.
func (w *Words) Count(key string, n int, pairs ...any) string {
	d := data(pairs)
	d["Count"] = w.Number(int64(n))
	c := &i18n.LocalizeConfig{MessageID: key, PluralCount: n, TemplateData: d}
	if s, err := w.localizer.Localize(c); err == nil {
		return s
	}
	c.PluralCount = nil // these words are the same for every number
	return w.localize(c)
}

// Has tells whether the language has words for a key.
func (w *Words) Has(key string) bool {
	_, err := w.localizer.LocalizeMessage(&i18n.Message{ID: key})
	return err == nil
}

func (w *Words) localize(c *i18n.LocalizeConfig) string {
	s, err := w.localizer.Localize(c)
	if err != nil {
		return "[" + c.MessageID + "]"
	}
	return s
}

func data(pairs []any) map[string]any {
	d := make(map[string]any, len(pairs)/2+1)
	for i := 0; i+1 < len(pairs); i += 2 {
		d[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return d
}

// localizers parses the two files once. They are part of the binary, so a
// mistake in them is a mistake of ours, and the tests find it first.
var localizers = sync.OnceValue(func() map[string]*i18n.Localizer {
	bundle := i18n.NewBundle(language.French)
	bundle.RegisterUnmarshalFunc("toml", unmarshal)
	all := map[string]*i18n.Localizer{}
	for _, lang := range Languages() {
		text, err := files.ReadFile(lang + ".toml")
		if err != nil {
			panic("locale: " + err.Error())
		}
		if _, err := bundle.ParseMessageFileBytes(text, lang+".toml"); err != nil {
			panic("locale: " + err.Error())
		}
	}
	for _, lang := range Languages() {
		all[lang] = i18n.NewLocalizer(bundle, lang)
	}
	return all
})

// unmarshal reads a file and gives every counted key the form that French has
// from a million on; in our words it is the same as the plural.
func unmarshal(text []byte, into any) error {
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		return err
	}
	addMany(tree)
	*into.(*any) = tree
	return nil
}

func addMany(tree map[string]any) {
	for _, v := range tree {
		if sub, ok := v.(map[string]any); ok {
			addMany(sub)
		}
	}
	if plural, ok := tree["other"].(string); ok {
		tree["many"] = plural
	}
}

// Keys lists every key of a language with its words, plural forms apart, as the
// tests need them.
func Keys(lang string) (map[string][]string, error) {
	text, err := files.ReadFile(lang + ".toml")
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	keys := map[string][]string{}
	walk("", tree, keys)
	return keys, nil
}

func walk(prefix string, tree map[string]any, keys map[string][]string) {
	for name, v := range tree {
		key := strings.TrimPrefix(prefix+"."+name, ".")
		switch v := v.(type) {
		case string:
			if name == "one" || name == "other" {
				key = prefix
			}
			keys[key] = append(keys[key], v)
		case map[string]any:
			walk(key, v, keys)
		}
	}
}
