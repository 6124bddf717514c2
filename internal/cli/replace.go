package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// replaceFile writes a file that only its owner can read, as a whole or not at all:
// whatever ends the process or the machine, there is the old file or the new one.
func replaceFile(name string, write func(io.Writer) error) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // there is none where it was renamed
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
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
