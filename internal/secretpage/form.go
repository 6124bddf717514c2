package secretpage

import (
	_ "embed" // for the page
	"html"
	"strings"
)

//go:embed page.html
var pageFile string

// form is the page with the form in it.
func (p *Page) form() string {
	var fields strings.Builder
	for _, name := range p.names {
		n := html.EscapeString(name)
		fields.WriteString(`<label>` + n + ` <input type="password" name="secret-` + n + `" autocomplete="new-password" required></label>` + "\n")
	}
	return strings.NewReplacer("ABOUT", html.EscapeString(p.about), "PROOF", p.proof, "FIELDS", fields.String()).Replace(pageFile)
}
