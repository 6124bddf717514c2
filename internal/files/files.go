// Package files replaces files as a whole or not at all.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file as a whole or not at all: whatever ends the process or the
// machine, there is the old file or the new one. A file that is there keeps its
// permissions, and is refused where they say that nobody may write it; a new one is
// readable by its owner alone. Of a symbolic link, the file that it leads to is
// replaced.
func Replace(name string, write func(io.Writer) error) error {
	name, mode, err := target(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // there is none where it was renamed
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // not every file system can; the content is on the disk already
	return d.Close()
}

// target returns the file that a name leads to, and the permissions to give it.
func target(name string) (string, fs.FileMode, error) {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return name, 0o600, nil
	}
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", 0, err // such as a link that leads nowhere
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", 0, err
	case !info.Mode().IsRegular():
		return "", 0, fmt.Errorf("%s is not a file", name)
	case info.Mode().Perm()&0o222 == 0: // a rename would not ask
		return "", 0, fmt.Errorf("%s is read-only", name)
	}
	return name, info.Mode().Perm(), nil
}
