package images

import (
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var wordRE = lazyregexp.New(`[a-z]+|\d+(?:\.\d+)?`)

// WordsOf splits a name into words and versions: ubuntu and 24.04 of ubuntu-24.04-server.
func WordsOf(text string) []string { return wordRE.FindAllString(strings.ToLower(text), -1) }

// About reports whether all words of a question are words of a name, or of the image that the
// name is of.
func (c Catalog) About(question []string, name string) bool {
	known := WordsOf(name)
	for _, i := range c.All() {
		if i.isNamed(known) {
			known = append(known, i.Words...)
		}
	}
	return len(question) > 0 && AreAmong(question, known)
}

// isNamed reports whether words name the image: by its system and version, such as ubuntu and
// 24.04, or by its code name alone, such as noble.
func (i Image) isNamed(words []string) bool {
	system, version, needsVersion := false, false, false
	for at, w := range i.Words {
		found := slices.Contains(words, w)
		switch isNumber := w[0] >= '0' && w[0] <= '9'; {
		case isNumber:
			needsVersion, version = true, version || found
		case needsVersion && at == len(i.Words)-1: // the code name stands behind the version
			return found || system && version
		default:
			system = system || found
		}
	}
	return system && (version || !needsVersion)
}

// AreAmong reports whether all words of a question are among words. A version matches those
// below it, too: 12 matches 12.11.
func AreAmong(question, words []string) bool {
	return !slices.ContainsFunc(question, func(q string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return w == q || strings.HasPrefix(w, q+".") })
	})
}

// Meant returns the images that a question may mean. The whole name of one means only that one.
func (c Catalog) Meant(question []string) []Image {
	var found []Image
	for _, i := range c.All() {
		if slices.Equal(question, WordsOf(i.Name)) {
			return []Image{i}
		}
		if len(question) > 0 && AreAmong(question, i.Words) {
			found = append(found, i)
		}
	}
	return found
}

// For returns the image that is asked for, if exactly one is.
func (c Catalog) For(question []string) (Image, bool) {
	if found := c.Meant(question); len(found) == 1 {
		return found[0], true
	}
	return Image{}, false
}

// Names are the names of images.
func Names(list []Image) []string {
	var out []string
	for _, i := range list {
		out = append(out, i.Name)
	}
	return out
}

// Of returns the image that a file is of, if it is one that is known: by the file's name in its
// URL, or by the words in it.
func (c Catalog) Of(file string) (Image, bool) {
	all := c.All()
	base := func(name string) string { return strings.TrimSuffix(strings.TrimSuffix(name, ".img"), ".qcow2") }
	for _, i := range all {
		if base(i.URL[strings.LastIndexByte(i.URL, '/')+1:]) == base(file) {
			return i, true
		}
	}
	words := WordsOf(file)
	for _, i := range all {
		if i.isNamed(words) {
			return i, true
		}
	}
	return Image{}, false
}
