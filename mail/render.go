package mail

import (
	"embed"
	"fmt"
	html "html/template"
	"strings"
	text "text/template"
	"unicode/utf8"

	"guichet"
)

// A Message is a letter in the words of one reader, as it is sent.
type Message struct {
	To      guichet.Mailbox
	Subject string
	Text    string
	HTML    string
}

//go:embed template
var files embed.FS

// A rendering is one template in one language. Its text file begins with the
// subject on a line of its own; its HTML file defines "content", which the shared
// layout surrounds.
type rendering struct {
	text *text.Template
	html *html.Template
}

var renderings = parseAll()

func parseAll() map[string]rendering {
	all := map[string]rendering{}
	for code, l := range languages {
		for _, t := range templates {
			folder := "template/" + code + "/"
			r := rendering{
				text: text.New(t.Name + ".txt").Option("missingkey=error").Funcs(l.functions()),
				html: html.New("layout.html").Option("missingkey=error").Funcs(l.functions()),
			}
			text.Must(r.text.ParseFS(files, folder+"footer.txt", folder+t.Name+".txt"))
			html.Must(r.html.ParseFS(files, "template/layout.html", folder+"footer.html", folder+t.Name+".html"))
			all[code+"/"+t.Name] = r
		}
	}
	return all
}

// maxSubject is well under the 998 bytes a header line may have, encoded.
const maxSubject = 200

// Render writes the letter for one of its readers. It fails, and names the
// datum, when a required one is missing or has not its form.
func Render(letter guichet.Letter, to guichet.Mailbox) (Message, error) {
	t, ok := find(letter.Template)
	if !ok {
		return Message{}, ErrUnknownTemplate.Because(fmt.Errorf("%q", letter.Template))
	}
	if err := checkAddress(to.Address); err != nil {
		return Message{}, err
	}
	data, err := t.checked(letter.Data)
	if err != nil {
		return Message{}, err
	}
	l := languageOf(to.Language)
	r := renderings[l.code+"/"+t.Name]
	to.Name, to.Language = clean(to.Name), l.code

	var plain, page strings.Builder
	if err := r.text.Execute(&plain, data); err != nil {
		return Message{}, ErrIncomplete.Because(err)
	}
	subject, body, _ := strings.Cut(plain.String(), "\n")
	subject = shorten(strings.TrimSpace(subject))
	if err := checkHeader(subject); err != nil {
		return Message{}, err
	}
	if err := r.html.Execute(&page, map[string]any{"Subject": subject, "Data": data}); err != nil {
		return Message{}, ErrIncomplete.Because(err)
	}
	return Message{To: to, Subject: subject, Text: tidy(body), HTML: page.String()}, nil
}

// shorten cuts a long subject at a word.
func shorten(subject string) string {
	if utf8.RuneCountInString(subject) <= maxSubject {
		return subject
	}
	cut := string([]rune(subject)[:maxSubject-1])
	if i := strings.LastIndexByte(cut, ' '); i > maxSubject/2 {
		cut = cut[:i]
	}
	return cut + "…"
}

// checkHeader is the last door before a header: whatever was done to the data
// before, a line end does not pass.
func checkHeader(value string) error {
	if value == "" || len(value) > 4*maxSubject || strings.ContainsAny(value, "\r\n\x00") || !utf8.ValidString(value) {
		return ErrBadHeader
	}
	return nil
}

// tidy leaves one empty line between two paragraphs, whichever sentences were left out.
func tidy(body string) string {
	var lines []string
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, " \r\n")
		if line == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}
