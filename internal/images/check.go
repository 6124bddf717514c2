package images

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var (
	nameRE = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$`)
	userRE = lazyregexp.New(`^[a-z_][a-z0-9_-]{0,31}$`)
)

// readImage reads an image, and returns an error if it cannot be one.
func readImage(row json.RawMessage) (Image, error) {
	var i Image
	dec := json.NewDecoder(bytes.NewReader(row))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&i); err != nil {
		return i, fmt.Errorf("%s; it has name, url, and where they are known words, sums, user and agent", strings.TrimPrefix(err.Error(), "json: "))
	}
	if i.Words == nil {
		i.Words = WordsOf(i.Name)
	}
	switch {
	case !nameRE.MatchString(i.Name) || len(i.Words) == 0:
		return i, fmt.Errorf("the name is %.80q; give one such as \"Company Linux 3\"", i.Name)
	case slices.ContainsFunc(i.Words, func(w string) bool { return wordRE.FindString(w) != w || w == "" }):
		return i, fmt.Errorf("%q: words are names in small letters or versions, such as [\"ubuntu\", \"24.04\", \"noble\"]", i.Name)
	case i.User != "" && !userRE.MatchString(i.User):
		return i, fmt.Errorf("%q: the user is no login such as ubuntu", i.Name)
	}
	if err := checkURL(i.URL); err != nil {
		return i, fmt.Errorf("%q: url: %w", i.Name, err)
	}
	u, _ := url.Parse(i.URL)
	if !IsImage(path.Base(u.Path)) {
		return i, fmt.Errorf("%q: url: it ends in %.60q, and a disk image in .qcow2, .img, .raw, .vmdk or .ova", i.Name, path.Base(u.Path))
	}
	if i.Sums == "" {
		return i, nil
	}
	if err := checkURL(i.Sums); err != nil || !strings.HasPrefix(i.Sums, "https://") {
		return i, fmt.Errorf("%q: sums: give the https:// URL of a list of checksums", i.Name)
	}
	return i, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("give the https:// URL of a file, without a password")
	}
	return nil
}

// IsImage reports whether a file with this name is a disk image that PVE imports.
func IsImage(name string) bool {
	return slices.Contains([]string{".qcow2", ".raw", ".vmdk", ".img", ".ova"}, strings.ToLower(path.Ext(name)))
}
