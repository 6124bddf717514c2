package provision

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// image is a cloud image that a distribution publishes.
type image struct {
	Name  string   `json:"name"`
	Words []string `json:"words"` // by which people ask for it, and that are in its file name
	URL   string   `json:"url"`
	Sums  string   `json:"sums,omitzero"` // the URL of the list with its checksum
	User  string   `json:"user"`          // who may log in by default
	Agent bool     `json:"agent,omitzero"`
}

//go:embed images.json
var imagesJSON []byte

// images returns the images that are known: those of images.json.
var images = sync.OnceValue(func() []image {
	var out []image
	if err := json.Unmarshal(imagesJSON, &out); err != nil {
		panic(err) // a test reads it
	}
	return out
})

// importName is the name of a file under which PVE takes it as an image to import.
func importName(name string) string {
	if base, ok := strings.CutSuffix(name, ".img"); ok {
		return base + ".qcow2"
	}
	return name
}

var wordRE = lazyregexp.New(`[a-z]+|\d+(?:\.\d+)?`)

// wordsOf splits a name into words and versions: ubuntu and 24.04 of ubuntu-24.04-server.
func wordsOf(text string) []string { return wordRE.FindAllString(strings.ToLower(text), -1) }

// about reports whether all words of a question are words of a name, or of the image that the
// name is of.
func about(question []string, name string) bool {
	known := wordsOf(name)
	for _, i := range images() {
		if i.isNamed(known) {
			known = append(known, i.Words...)
		}
	}
	return len(question) > 0 && isAmong(question, known)
}

// isNamed reports whether words name the image: by its system and version, such as ubuntu and
// 24.04, or by its code name alone, such as noble.
func (i image) isNamed(words []string) bool {
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

func isAmong(question, words []string) bool {
	return !slices.ContainsFunc(question, func(w string) bool { return !slices.Contains(words, w) })
}

// imageFor returns the image that is asked for, if exactly one is.
func imageFor(question []string) (image, bool) {
	var found []image
	for _, i := range images() {
		if len(question) > 0 && isAmong(question, i.Words) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		return image{}, false
	}
	return found[0], true
}

// imageOf returns the known image that a file is of, if it is one.
func imageOf(name string) (image, bool) {
	words := wordsOf(name)
	for _, i := range images() {
		if i.isNamed(words) {
			return i, true
		}
	}
	return image{}, false
}
