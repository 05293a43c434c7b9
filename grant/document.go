package grant

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const maxDepth = 64

// A document is a JSON object that was read once: text is its compact form, and
// nodes are its values in the order in which they begin, each with all it holds
// right behind it. What is asked of it shares the memory of text.
type document struct {
	text    string
	nodes   []node
	scratch []byte // where its forms are written
}

// A node is the value text[from:to]. Of a member of an object, name is where its
// name begins; it ends with the colon before the value.
type node struct {
	name, from, to int32 // in text: a body has a megabyte at most
	after          int32 // the node behind all that it holds
}

// documents that are closed.
var documents = sync.Pool{New: func() any { return new(document) }}

// open reads a body strictly. It refuses what two readers could understand
// differently: names given twice, invalid UTF-8, anything after the value. Only
// what jsontext found right, and wrote without spaces and with one form of
// escapes, is looked at here. The document must be closed, also after an error.
func open(body []byte) (*document, error) {
	d := documents.Get().(*document)
	compact, err := jsontext.AppendFormat(d.scratch[:0], body)
	d.scratch, d.nodes = compact, d.nodes[:0]
	switch {
	case err != nil:
		return d, err
	case compact[0] != '{':
		return d, errors.New("not an object")
	}
	d.text = string(compact)
	_, err = d.read(0, 0, 1)
	return d, err
}

// close lets another body have the memory, but for the text, which what was read
// shares. What a rare large body needed is given up.
func (d *document) close() {
	const most = 64 << 10
	if d.text = ""; cap(d.scratch) <= most && cap(d.nodes) <= most/16 {
		documents.Put(d)
	}
}

// read adds the value that begins at from, and all it holds, and gives its end.
func (d *document) read(name, from, depth int) (to int, err error) {
	at := len(d.nodes)
	d.nodes = append(d.nodes, node{})
	switch first := d.text[from]; first {
	case '{', '[':
		if depth > maxDepth {
			return 0, fmt.Errorf("more than %d levels", maxDepth)
		}
		closing := first + 2 // so it is in ASCII
		for to = from + 1; d.text[to] != closing; {
			if d.text[to] == ',' {
				to++
			}
			member := to
			if first == '{' {
				to = d.endOfString(to) + 1
			}
			if to, err = d.read(member, to, depth+1); err != nil {
				return 0, err
			}
		}
		to++
	case '"':
		to = d.endOfString(from)
	default: // a number, true, false, null
		for to = from + 1; d.text[to] != ',' && d.text[to] != '}' && d.text[to] != ']'; {
			to++
		}
	}
	d.nodes[at] = node{int32(name), int32(from), int32(to), int32(len(d.nodes))}
	return to, nil
}

// endOfString gives where the string that begins at i ends: behind the first
// quotation mark that is not escaped.
func (d *document) endOfString(i int) int {
	for i++; ; i++ {
		i += strings.IndexByte(d.text[i:], '"')
		escapes := 0
		for d.text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// root is the object itself.
func (d *document) root() value { return value{d, 0} }

const none = 0

// A value is one value of a document; the zero value is one that is not there.
type value struct {
	d *document
	i int32
}

// kind is the first letter of the value, that of any number '0', and none when it is
// not there.
func (v value) kind() byte {
	if v.d == nil {
		return none
	}
	first := v.d.text[v.d.nodes[v.i].from]
	if first == '-' || '0' <= first && first <= '9' {
		return '0'
	}
	return first
}

// raw is the value as it stands.
func (v value) raw() string {
	if v.d == nil {
		return ""
	}
	n := v.d.nodes[v.i]
	return v.d.text[n.from:n.to]
}

// name is that of a member, as it stands, with its marks.
func (v value) name() string {
	n := v.d.nodes[v.i]
	return v.d.text[n.name : n.from-1]
}

// each gives the members of an object and the items of an array, of anything else
// nothing.
func (v value) each() iter.Seq[value] {
	return func(yield func(value) bool) {
		if k := v.kind(); k != '{' && k != '[' {
			return
		}
		for i := v.i + 1; i < v.d.nodes[v.i].after; i = v.d.nodes[i].after {
			if !yield(value{v.d, i}) {
				return
			}
		}
	}
}

// at gives the member of this name; of anything but an object nothing.
func (v value) at(name string) value {
	if v.kind() != '{' {
		return value{}
	}
	nodes := v.d.nodes
	for i := v.i + 1; i < nodes[v.i].after; i = nodes[i].after {
		if v.d.text[nodes[i].name+1:nodes[i].from-2] == name {
			return value{v.d, i}
		}
	}
	return value{}
}

// text reads a string or a number as text, and anything else as nothing: a
// telephone number sent as a number must not stop a revocation.
func (v value) text() string {
	switch v.kind() {
	case '"':
		return unquote(v.raw())
	case '0':
		return v.raw()
	}
	return ""
}

// clean is text without the spaces around it, and without the character that no
// PostgreSQL keeps.
func (v value) clean() string {
	return strings.TrimSpace(strings.ReplaceAll(v.text(), "\x00", "\uFFFD"))
}

func unquote(quoted string) string {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // it was found right
	return string(b)
}

// sorted appends the value with the members of each object in order: the same
// value always gives the same bytes.
func (v value) sorted(dst []byte) []byte {
	switch v.kind() {
	case '{':
		var few [32]member
		members := few[:0]
		for m := range v.each() {
			members = append(members, member{unquote(m.name()), m.i})
		}
		slices.SortFunc(members, member.compare)
		dst = append(dst, '{')
		for i, m := range members {
			if i > 0 {
				dst = append(dst, ',')
			}
			n := v.d.nodes[m.i]
			dst = append(dst, v.d.text[n.name:n.from]...)
			dst = value{v.d, m.i}.sorted(dst)
		}
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		begun := len(dst)
		for item := range v.each() {
			if len(dst) > begun {
				dst = append(dst, ',')
			}
			dst = item.sorted(dst)
		}
		return append(dst, ']')
	}
	return append(dst, v.raw()...)
}

type member struct {
	name string
	i    int32 // its node
}

// compare orders members as RFC 8785 does: by the UTF-16 of their names.
func (m member) compare(other member) int {
	a, b := m.name, other.name
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return cmp.Compare(len(a), len(b))
	}
	for !utf8.RuneStart(a[i]) {
		i--
	}
	x, _ := utf8.DecodeRuneInString(a[i:])
	y, _ := utf8.DecodeRuneInString(b[i:])
	if x > 0xffff != (y > 0xffff) { // one is a pair there, whose first half comes before U+E000
		x, y = firstHalf(x), firstHalf(y)
	}
	return cmp.Compare(x, y)
}

func firstHalf(r rune) rune {
	if r > 0xffff {
		r, _ = utf16.EncodeRune(r)
	}
	return r
}
