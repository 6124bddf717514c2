package once

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// skew is how far the clocks of processes that share a store may be apart.
const skew = time.Hour

// prefix begins the names of the files, so that nothing else in the folder is touched.
const prefix = "pve-mcp-used-"

// Folder is a store of empty files in a folder that processes share. Their names say until
// when they are needed.
type Folder struct{ dir string }

// OpenFolder returns the store in a folder, which has to be there and be writable.
func OpenFolder(dir string) (Folder, error) {
	f := Folder{dir}
	_, err := f.Claim(context.Background(), "probe-"+rand.Text(), time.Unix(0, 0)) // which goes at once
	return f, err
}

// open opens the folder, and returns the name of the file of a claim in it.
func (f Folder) open(id string, until time.Time) (dir *files.Folder, name string, err error) {
	name = fmt.Sprintf("%s%d-%s", prefix, until.Unix(), id)
	dir, err = files.At(filepath.Join(f.dir, name)).Folder()
	return dir, name, err
}

// Claimed implements [Store].
func (f Folder) Claimed(_ context.Context, id string, until time.Time) (bool, error) {
	dir, name, err := f.open(id, until)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	names, err := dir.Names()
	return slices.Contains(names, name), err
}

// Claim implements [Store].
func (f Folder) Claim(_ context.Context, id string, until time.Time) (first bool, err error) {
	dir, name, err := f.open(id, until)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	file, err := dir.Open(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	if err := file.Close(); err != nil {
		return false, err
	}
	dir.Sync()
	return true, clean(dir, time.Now())
}

// clean removes the files that nobody needs any more. What another process removes at the
// same time is gone, too.
func clean(dir *files.Folder, now time.Time) error {
	names, err := dir.Names()
	for _, name := range names {
		rest, ours := strings.CutPrefix(name, prefix)
		text, _, _ := strings.Cut(rest, "-")
		until, bad := strconv.ParseInt(text, 10, 64)
		if !ours || bad != nil || now.Before(time.Unix(until, 0).Add(skew)) {
			continue
		}
		if gone := dir.Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
