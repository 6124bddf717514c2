// Package images knows common cloud images: where they are, who may log in to them, and whether
// the guest agent is in them.
package images

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/files"
)

// Image is a cloud image that somebody publishes.
type Image struct {
	Name  string   `json:"name"`
	Words []string `json:"words,omitzero"` // by which people ask for it: system, version, code name
	URL   string   `json:"url"`
	Sums  string   `json:"sums,omitzero"` // the URL of the list with its checksum
	User  string   `json:"user,omitzero"` // who may log in by default
	Agent bool     `json:"agent,omitzero"`
}

//go:embed images.json
var builtIn []byte

// known are the images that every process knows.
var known = sync.OnceValue(func() []Image {
	out, err := read(builtIn)
	if err != nil {
		panic(err) // a test reads it
	}
	return out
})

// Catalog has images. The zero value has those that every process knows.
type Catalog struct{ own []Image }

// All returns the images, those of a user first.
func (c Catalog) All() []Image {
	out := slices.Clone(c.own)
	for _, i := range known() {
		if !slices.ContainsFunc(c.own, func(o Image) bool { return o.Name == i.Name }) {
			out = append(out, i)
		}
	}
	return out
}

// Read returns a catalog with the images of a user's file beside those that every process
// knows. One with the same name takes the place of the other. The error says what is wrong
// with which image.
func Read(file files.Name) (Catalog, error) {
	data, err := file.Read()
	if err != nil {
		return Catalog{}, err
	}
	own, err := read(data)
	if err != nil {
		return Catalog{}, fmt.Errorf("%v: %w", file, err)
	}
	c := Catalog{own}
	for _, i := range own {
		if _, found := c.For(WordsOf(i.Name)); !found {
			return Catalog{}, fmt.Errorf("%v: %q: its name means another image, too; give it a name of its own", file, i.Name)
		}
	}
	return c, nil
}

// read reads a list of images.
func read(data []byte) ([]Image, error) {
	if !json.Valid(data) {
		return nil, errors.New("it is not JSON; it is a list such as " + short)
	}
	var repeated *exactjson.RepeatedKeyError
	if err := exactjson.Check(data, exactjson.Limits{}); errors.As(err, &repeated) {
		return nil, err
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, errors.New("it is no list; it is one such as " + short)
	}
	var out []Image
	for at, row := range rows {
		i, err := readImage(row)
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", at+1, err)
		}
		if slices.ContainsFunc(out, func(o Image) bool { return o.Name == i.Name }) {
			return nil, fmt.Errorf("image %d: the name %q is there twice", at+1, i.Name)
		}
		out = append(out, i)
	}
	return out, nil
}

// short is an example in an error.
const short = `[{"name": "Company Linux 3", "url": "https://images.example.org/company-3.qcow2"}]`

// Example is a right file.
const Example = `[
  {"name": "Company Linux 3", "url": "https://images.example.org/company-3.qcow2", "sums": "https://images.example.org/SHA256SUMS", "user": "ops", "agent": true}
]`
