package simbank

import (
	"embed"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed template/*.html
var templateFiles embed.FS

//go:embed asset
var assetFiles embed.FS

// parsePages reads the templates, which are part of the program.
func parsePages() *template.Template {
	return template.Must(template.ParseFS(templateFiles, "template/*.html"))
}

func assets() http.Handler {
	files, err := fs.Sub(assetFiles, "asset")
	if err != nil {
		panic(err) // "asset" is a name embedded above
	}
	return http.StripPrefix("/asset/", http.FileServerFS(files))
}

// frame is what every page has around it.
type frame struct {
	Title string
	In    bool // the customer is in: the menu shows
	Who   string
}

func (v *visit) frame(title string) frame {
	f := frame{Title: title}
	if v.session != nil && v.session.step == stepIn && v.customer != nil {
		f.In, f.Who = true, v.profile().name
	}
	return f
}

// notice is a page that says one thing.
type notice struct {
	frame
	Text            string
	Link, LinkLabel string
}
