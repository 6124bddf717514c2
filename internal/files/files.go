// Package files opens the files that settings name, and replaces files as a whole or not
// at all. Everything that a setting names is opened here.
package files

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MaxRead is the most that [Name.Read] reads, in bytes.
const MaxRead = 1 << 20

// Name names a file. Only regular files are opened: a pipe or a device is refused, and not
// waited for. What is written may be a link only to something in the same folder.
type Name struct {
	path  string
	below string // the folder that must not be left, "" for none
}

// At names a file anywhere. The zero Name and At("") name none.
func At(path string) Name { return Name{path: path} }

// Below names a file that must lie below a folder, whatever its path and the links on the
// way to it say.
func Below(dir, path string) Name { return Name{path: path, below: dir} }

// IsZero reports whether no file is named.
func (n Name) IsZero() bool { return n.path == "" }

// String is the path of the file.
func (n Name) String() string {
	if n.below == "" || n.path == "" || filepath.IsAbs(n.path) {
		return n.path
	}
	return filepath.Join(n.below, n.path)
}

// Base is the last element of the path.
func (n Name) Base() string { return filepath.Base(n.path) }

// Beside names the file whose name has something added.
func (n Name) Beside(suffix string) Name { return Name{path: n.path + suffix, below: n.below} }

// Check reports why a file cannot be there: its folder is not, or it lies where it must not.
func (n Name) Check() error {
	dir, err := n.Folder()
	if err != nil {
		return err
	}
	dir.Close()
	return nil
}

// Open opens the file with the flags of [os.OpenFile]. One that it makes is for its owner
// alone.
func (n Name) Open(flag int) (*os.File, error) {
	if writes := flag&(os.O_WRONLY|os.O_RDWR) != 0; writes {
		dir, err := n.Folder()
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		return dir.Open(n.Base(), flag)
	}
	if n.below == "" {
		f, err := openRegular(os.Stat, os.OpenFile, n.path, flag)
		return f, n.named(err)
	}
	root, err := os.OpenRoot(n.below)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openRegular(root.Stat, root.OpenFile, n.path, flag)
	return f, n.named(err)
}

// Read returns the content of the file, which must not have more than [MaxRead] bytes.
func (n Name) Read() ([]byte, error) {
	f, err := n.Open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxRead+1))
	if err == nil && len(data) > MaxRead {
		return nil, fmt.Errorf("%v has more than 1 MiB", n)
	}
	return data, err
}

// KeyPair reads a certificate and its key, in PEM form.
func KeyPair(cert, key Name) (tls.Certificate, error) {
	certPEM, err := cert.Read()
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := key.Read()
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// Stat tells about the file.
func (n Name) Stat() (fs.FileInfo, error) {
	f, err := n.Open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// openRegular opens what is a regular file both before and after it was opened: opening a
// device may do something, and what had a name may be something else by then.
func openRegular(stat func(string) (fs.FileInfo, error), open func(string, int, fs.FileMode) (*os.File, error), name string, flag int) (*os.File, error) {
	info, err := stat(name)
	if err != nil && (flag&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(name, info)
	}
	f, err := open(name, flag|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, notRegular(name, info), f.Close())
	}
	return f, nil
}

func notRegular(name string, info fs.FileInfo) error {
	err := errors.New("not a regular file")
	if info != nil && info.IsDir() {
		err = syscall.EISDIR
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}

// named lets an error tell the whole path.
func (n Name) named(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return &fs.PathError{Op: "open", Path: n.String(), Err: path.Err}
	}
	return err
}

// Folder is the folder of a file. Nothing is opened through it that is not in it.
type Folder struct {
	root *os.Root
	path string
}

// Folder opens the folder that the file is in, which has to be there.
func (n Name) Folder() (*Folder, error) {
	dir := filepath.Dir(n.path)
	if n.below == "" {
		root, err := os.OpenRoot(dir)
		return &Folder{root, dir}, err
	}
	root, err := os.OpenRoot(n.below)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	inner, err := root.OpenRoot(dir)
	return &Folder{inner, filepath.Join(n.below, dir)}, n.named(err)
}

// Open opens a file in the folder with the flags of [os.OpenFile].
func (d *Folder) Open(name string, flag int) (*os.File, error) {
	f, err := openRegular(d.root.Stat, d.root.OpenFile, name, flag)
	return f, At(filepath.Join(d.path, name)).named(err)
}

// Has reports whether the folder has something with a name.
func (d *Folder) Has(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// Names are the names of all that the folder has.
func (d *Folder) Names() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Remove removes a file of the folder.
func (d *Folder) Remove(name string) error { return d.root.Remove(name) }

// Sync keeps names of new files on the disk, if a folder can be synced.
func (d *Folder) Sync() {
	if f, err := d.root.Open("."); err == nil {
		_ = f.Sync()
		f.Close()
	}
}

// Close ends the use of the folder.
func (d *Folder) Close() { _ = d.root.Close() }

// Remove removes the file.
func (n Name) Remove() error {
	dir, err := n.Folder()
	if err != nil {
		return err
	}
	defer dir.Close()
	return n.named(dir.root.Remove(n.Base()))
}

// Replace writes a file as a whole or not at all: whatever ends the process or the
// machine, there is the old file or the new one. A file that is there keeps its
// permissions, and is refused if they say that nobody may write it; a new one is
// readable by its owner alone. Of a symbolic link to a file anywhere, the file that it
// leads to is replaced.
func Replace(name string, write func(io.Writer) error) error { return At(name).Replace(write) }

// Replace replaces the file as [Replace] does. Below a folder a link is refused.
func (n Name) Replace(write func(io.Writer) error) error { return n.replace(write, false) }

// ReplacePrivate is [Name.Replace] for what only its owner may read and write, whatever the
// permissions were. Folders that are missing are made.
func (n Name) ReplacePrivate(write func(io.Writer) error) error {
	if err := n.makeFolder(); err != nil {
		return err
	}
	return n.replace(write, true)
}

// CreatePrivate makes a file that is not there yet as [Name.ReplacePrivate] replaces one. If
// there is something with its name, the error is [fs.ErrExist], and that stays as it is.
func (n Name) CreatePrivate(write func(io.Writer) error) error {
	if err := n.makeFolder(); err != nil {
		return err
	}
	dir, err := n.Folder()
	if err != nil {
		return err
	}
	defer dir.Close()
	if dir.Has(n.Base()) {
		return n.named(&fs.PathError{Op: "open", Path: n.Base(), Err: fs.ErrExist})
	}
	return dir.put(n.Base(), 0o600, write, func(temp string) error {
		err := dir.root.Link(temp, n.Base())
		if errors.Is(err, fs.ErrExist) {
			return n.named(&fs.PathError{Op: "open", Path: n.Base(), Err: fs.ErrExist})
		}
		if err != nil { // a file system without links
			return dir.root.Rename(temp, n.Base())
		}
		return nil
	})
}

// makeFolder makes the folder of the file, for its owner alone.
func (n Name) makeFolder() error {
	dir := filepath.Dir(n.path)
	if n.below == "" {
		return os.MkdirAll(dir, 0o700)
	}
	root, err := os.OpenRoot(n.below)
	if err != nil {
		return err
	}
	defer root.Close()
	return n.named(root.MkdirAll(dir, 0o700))
}

func (n Name) replace(write func(io.Writer) error, private bool) error {
	if target, err := filepath.EvalSymlinks(n.path); n.below == "" && err == nil {
		n.path = target
	}
	dir, err := n.Folder()
	if err != nil {
		return err
	}
	defer dir.Close()
	base := n.Base()
	mode, err := dir.mode(base)
	switch {
	case err != nil:
		return n.named(err)
	case private:
		mode = 0o600
	case mode&0o222 == 0: // a rename would not ask
		return n.named(&fs.PathError{Op: "open", Path: base, Err: errors.New("the file is read-only")})
	}
	return dir.put(base, mode, write, func(temp string) error { return dir.root.Rename(temp, base) })
}

// put writes a file under a temporary name, and gives it its own once all of it is on the disk.
func (d *Folder) put(base string, mode fs.FileMode, write func(io.Writer) error, give func(temp string) error) error {
	temp := "." + base + "." + rand.Text()
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return At(filepath.Join(d.path, base)).named(err)
	}
	defer func() { _ = d.root.Remove(temp) }() // there is none if it was renamed
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := give(temp); err != nil {
		return err
	}
	d.Sync() // the content is on the disk already
	return nil
}

// mode is the permissions of a file that is to be replaced, and of one that is not there yet.
func (d *Folder) mode(name string) (fs.FileMode, error) {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0o600, nil
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular(): // such as a link that leads nowhere
		return 0, notRegular(name, info)
	}
	return info.Mode().Perm(), nil
}
