package memfs

import (
	"io"
	"io/fs"
	"os"
	"path"
)

// File is an open file.
type File struct {
	fs    *FS
	node  *node
	at    int64
	flags int
}

// Open opens a file by the flags of [os.OpenFile].
func (f *FS) Open(name string, flags int, perm fs.FileMode) (*File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, whole, n, err := f.walk(name, true, 0)
	writes := flags&(os.O_WRONLY|os.O_RDWR) != 0
	switch {
	case err != nil:
		return nil, err
	case n == nil && flags&os.O_CREATE == 0:
		return nil, ErrNotExist
	case n != nil && flags&os.O_EXCL != 0:
		return nil, ErrExist
	case n != nil && n.mode.IsDir() && writes:
		return nil, ErrIsDir
	case n == nil && len(name) > 0 && name[len(name)-1] == '/':
		return nil, ErrIsDir
	}
	if n == nil {
		n = &node{mode: perm.Perm(), changed: f.now()}
		f.link(dir, whole, n)
	}
	if flags&os.O_TRUNC != 0 && writes {
		n.data, n.changed = nil, f.now()
	}
	return &File{fs: f, node: n, flags: flags}, nil
}

func (o *File) Read(b []byte) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	switch {
	case o.node.mode.IsDir():
		return 0, ErrIsDir
	case o.flags&os.O_WRONLY != 0:
		return 0, ErrReadOnly
	case o.at >= int64(len(o.node.data)):
		return 0, io.EOF
	}
	n := copy(b, o.node.data[o.at:])
	o.at += int64(n)
	return n, nil
}

func (o *File) Write(b []byte) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.flags&(os.O_WRONLY|os.O_RDWR) == 0 {
		return 0, ErrReadOnly
	}
	if o.flags&os.O_APPEND != 0 {
		o.at = int64(len(o.node.data))
	}
	end := o.at + int64(len(b))
	if grow := end - int64(len(o.node.data)); grow > 0 {
		o.node.data = append(o.node.data, make([]byte, grow)...)
	}
	copy(o.node.data[o.at:], b)
	o.at, o.node.changed = end, o.fs.now()
	return len(b), nil
}

// StartAt sets where the next byte is read or written.
func (o *File) StartAt(at int64) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	o.at = at
}

// Truncate sets the length of the file.
func (o *File) Truncate(size int64) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	o.node.data = append(o.node.data[:min(size, int64(len(o.node.data)))], make([]byte, max(0, size-int64(len(o.node.data))))...)
}

// Info tells of the file.
func (o *File) Info() Info {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	return o.node.info("")
}

// ReadFile returns what is in a file.
func (f *FS) ReadFile(name string) ([]byte, error) {
	o, err := f.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(o)
}

// WriteFile writes a file as a whole. The folders that it is in must be there.
func (f *FS) WriteFile(name string, data []byte, perm fs.FileMode) error {
	o, err := f.Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = o.Write(data)
	return err
}

// Walk calls see for each file and folder below a folder, those above others first.
func (f *FS) Walk(name string, see func(name string, info Info)) {
	list, _ := f.ReadDir(name)
	for _, info := range list {
		below := path.Join(name, info.Name())
		see(below, info)
		if info.IsDir() {
			f.Walk(below, see)
		}
	}
}
