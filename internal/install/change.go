package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// Change is a change of a client's file that has not been made yet.
type Change struct {
	File string
	// Nothing says that the file is already as it should be.
	Nothing bool
	// NoFolder says that the folder of the file is not there, so that the client may not
	// be either.
	NoFolder bool
	// Private is set for a file that only its owner may read from now on.
	Private bool

	before, after []byte // nil for no file
	undoes        string // the backup that after is the same as, "" for none
}

// document is the content of a client's file.
type document interface {
	// with returns the text with members of an entry set, in order, and others kept.
	with(name string, entry []member) ([]byte, error)
	// without returns the text without an entry.
	without(name string) ([]byte, error)
	// data is what the text says.
	data() (map[string]any, error)
}

// parse reads the content of a client's file; nil and blank text is an empty one.
func (c Client) parse(text []byte) (document, error) {
	if c.toml {
		return parseTOML(text, c.container)
	}
	return parseJSON(text, c)
}

// Show returns a file that has only a server.
func (c Client) Show(name string, s Server) ([]byte, error) {
	doc, err := c.parse(nil)
	if err != nil {
		return nil, err
	}
	return doc.with(name, c.entry(s))
}

// Read returns the server with a name from a file; found says whether it is there. One
// that is not pve-mcp, nor at the URL, is an error; no URL is for one that the client
// starts.
func (c Client) Read(file, name, url string) (s Server, found bool, err error) {
	_, old, err := c.load(file, name, url)
	if old == nil || err != nil {
		return Server{}, false, err
	}
	return c.serverOf(old), true, nil
}

// Add plans to add a server to a file, or to change it there: the members that are ours
// are set, and everything else stays as it is.
func (c Client) Add(file, name string, s Server) (*Change, error) {
	ch, old, err := c.load(file, name, s.URL)
	if err != nil {
		return nil, err
	}
	ch.after, err = c.set(ch.before, name, s)
	if err != nil {
		return nil, refused(file, err)
	}
	now, err := c.parse(ch.after)
	if err != nil {
		return nil, refused(file, err)
	}
	data, err := now.data()
	if err != nil {
		return nil, refused(file, err)
	}
	ch.Nothing = old != nil && reflect.DeepEqual(old, entryOf(data, c.container, name))
	return ch, nil
}

// set returns the text with a server, having made sure that it says the same as before
// otherwise.
func (c Client) set(before []byte, name string, s Server) ([]byte, error) {
	doc, err := c.parse(before)
	if err != nil {
		return nil, err
	}
	want, err := doc.data()
	if err != nil {
		return nil, err
	}
	after, err := doc.with(name, c.entry(s))
	if err != nil {
		return nil, err
	}
	servers, ok := want[c.container].(map[string]any)
	if !ok {
		servers = map[string]any{}
		want[c.container] = servers
	}
	old, ok := servers[name].(map[string]any)
	if !ok {
		old = map[string]any{}
		servers[name] = old
	}
	for _, m := range c.entry(s) {
		if m.value == nil {
			delete(old, m.name)
			continue
		}
		old[m.name] = plain(m.value)
	}
	return after, c.says(after, want)
}

// Remove plans to take a server out of a file, with its URL if it has one. Where the file
// is just what Add made of an earlier one, of which there is a backup, it is that again.
func (c Client) Remove(file, name, url string) (*Change, error) {
	ch, old, err := c.load(file, name, url)
	if err != nil {
		return nil, err
	}
	if old == nil {
		ch.Nothing = true
		return ch, nil
	}
	s := c.serverOf(old)
	made := func(of []byte) bool {
		again, err := c.set(of, name, s)
		return err == nil && bytes.Equal(again, ch.before)
	}
	for _, backup := range backups(file) {
		earlier, had, err := c.load(backup, name, url)
		if err == nil && had == nil && made(earlier.before) {
			ch.after, ch.undoes = earlier.before, backup
			return ch, nil
		}
	}
	if made(nil) {
		return ch, nil // after is no file
	}
	ch.after, err = c.unset(ch.before, name)
	if err != nil {
		return nil, refused(file, err)
	}
	return ch, nil
}

// unset returns the text without a server, having made sure that it says the same as
// before otherwise.
func (c Client) unset(before []byte, name string) ([]byte, error) {
	doc, err := c.parse(before)
	if err != nil {
		return nil, err
	}
	want, err := doc.data()
	if err != nil {
		return nil, err
	}
	after, err := doc.without(name)
	if err != nil {
		return nil, err
	}
	servers, _ := want[c.container].(map[string]any)
	delete(servers, name)
	if c.toml && len(servers) == 0 { // its tables are what made it
		delete(want, c.container)
	}
	return after, c.says(after, want)
}

var errForm = errors.New("it has the servers in a form that this program does not change")

// says checks that a text says what is wanted.
func (c Client) says(text []byte, want map[string]any) error {
	doc, err := c.parse(text)
	if err != nil {
		return errForm
	}
	got, err := doc.data()
	if c.toml && err == nil {
		if servers, ok := got[c.container].(map[string]any); ok && len(servers) == 0 {
			delete(got, c.container)
		}
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		return errForm
	}
	return nil
}

// load reads a file and its entry with a name, or nil. An entry of something else is an
// error.
func (c Client) load(file, name, url string) (*Change, map[string]any, error) {
	ch := &Change{File: file}
	_, err := os.Stat(filepath.Dir(file))
	ch.NoFolder = errors.Is(err, fs.ErrNotExist)
	text, err := readAll(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ch, nil, nil
	case err != nil:
		return nil, nil, err
	}
	ch.before = append([]byte{}, text...) // not nil
	doc, err := c.parse(text)
	if err != nil {
		return nil, nil, refused(file, err)
	}
	data, err := doc.data()
	if err != nil {
		return nil, nil, refused(file, err)
	}
	if v, there := data[c.container]; there {
		if _, ok := v.(map[string]any); !ok {
			return nil, nil, refused(file, fmt.Errorf("its %s is not what %s expects", c.container, c.Title))
		}
	}
	old := entryOf(data, c.container, name)
	if old != nil {
		if what := c.notOurs(old, url); what != "" {
			return nil, nil, fmt.Errorf("%s has a server %s %s; nothing was changed; choose another name with --name", file, name, what)
		}
	}
	return ch, old, nil
}

// readAll reads a client's file, which may be large.
func readAll(file string) ([]byte, error) {
	f, err := files.At(file).Open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// refused is the error of a file that is left alone.
func refused(file string, err error) error {
	return fmt.Errorf("%s was left as it is: %w; put it right, or change it by hand: --print shows what belongs there", file, err)
}

func entryOf(data map[string]any, container, name string) map[string]any {
	servers, _ := data[container].(map[string]any)
	entry, _ := servers[name].(map[string]any)
	return entry
}

// Apply makes the change. If the file exists, it makes a backup first, and returns the
// name of the backup. A file that was changed since it was read is left alone.
func (ch *Change) Apply() (backup string, err error) {
	if ch.Nothing {
		return "", nil
	}
	now, err := readAll(ch.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if !bytes.Equal(now, ch.before) {
		return "", fmt.Errorf("%s was left as it is: another program changes it; try again", ch.File)
	}
	if ch.after == nil {
		return "", os.Remove(ch.File)
	}
	if ch.before != nil && ch.undoes == "" {
		if backup, err = writeBackup(ch.File, ch.before); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Dir(ch.File), 0o700); err != nil {
		return backup, err
	}
	replace := files.At(ch.File).Replace
	if ch.Private {
		replace = files.At(ch.File).ReplacePrivate
	}
	err = replace(func(w io.Writer) error {
		_, err := w.Write(ch.after)
		return err
	})
	switch {
	case err != nil && backup != "":
		return "", errors.Join(err, os.Remove(backup))
	case err == nil && ch.undoes != "":
		return "", os.Remove(ch.undoes)
	}
	return backup, err
}

func backupName(file string, n int) string { return fmt.Sprintf("%s.pve-mcp-%d.bak", file, n) }

// backups are the backups of a file, the newest first.
func backups(file string) []string {
	var out []string
	for n := 1; ; n++ {
		if _, err := os.Lstat(backupName(file, n)); err != nil {
			slices.Reverse(out)
			return out
		}
		out = append(out, backupName(file, n))
	}
}

// writeBackup keeps what a file had, with its permissions, under the first free name.
func writeBackup(file string, text []byte) (name string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		name = backupName(file, n)
		f, err := files.At(name).Open(os.O_WRONLY | os.O_CREATE | os.O_EXCL)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(text)
		return name, errors.Join(err, f.Chmod(info.Mode().Perm()|0o200), f.Sync(), f.Close())
	}
}
