// Package memfs is the file system of a simulated guest, in memory: folders, files,
// symbolic links, modes and owners, with the errors of Linux.
package memfs

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errno is an error of Linux, in the words of its tools.
type Errno string

// The errors of this package.
const (
	ErrNotExist = Errno("No such file or directory")
	ErrExist    = Errno("File exists")
	ErrIsDir    = Errno("Is a directory")
	ErrNotDir   = Errno("Not a directory")
	ErrNotEmpty = Errno("Directory not empty")
	ErrInvalid  = Errno("Invalid argument")
	ErrLoop     = Errno("Too many levels of symbolic links")
	ErrReadOnly = Errno("Bad file descriptor")
)

func (e Errno) Error() string { return string(e) }

// Is reports whether the error is one of those that package fs names.
func (e Errno) Is(target error) bool {
	return e == ErrNotExist && target == fs.ErrNotExist || e == ErrExist && target == fs.ErrExist
}

// FS is a file system. It is safe for concurrent use.
type FS struct {
	now func() time.Time

	mu   sync.Mutex
	root *node // what is below it is guarded by mu
}

// node is a folder, a file or a symbolic link.
type node struct {
	mode     fs.FileMode
	uid, gid int
	changed  time.Time
	data     []byte
	target   string // of a link
	children map[string]*node
}

// New returns a file system with an empty root folder. now tells the time for its files.
func New(now func() time.Time) *FS {
	f := &FS{now: now}
	f.root = f.folder(0o755)
	return f
}

func (f *FS) folder(perm fs.FileMode) *node {
	return &node{mode: fs.ModeDir | perm.Perm(), changed: f.now(), children: map[string]*node{}}
}

// Info is what is known of a file. It is an [fs.FileInfo] and an [fs.DirEntry].
type Info struct {
	name     string
	mode     fs.FileMode
	size     int64
	changed  time.Time
	UID, GID int
	Target   string // of a symbolic link
}

// Name is that in its folder.
func (i Info) Name() string { return i.name }

// Size is in bytes.
func (i Info) Size() int64 { return i.size }

// Mode is its kind and its permissions.
func (i Info) Mode() fs.FileMode { return i.mode }

// ModTime is when it was changed last.
func (i Info) ModTime() time.Time { return i.changed }

// IsDir reports whether it is a folder.
func (i Info) IsDir() bool { return i.mode.IsDir() }

// Sys is nil.
func (i Info) Sys() any { return nil }

// Type is its kind.
func (i Info) Type() fs.FileMode { return i.mode.Type() }

// Info is itself.
func (i Info) Info() (fs.FileInfo, error) { return i, nil }

func (n *node) info(name string) Info {
	return Info{name, n.mode, int64(len(n.data)), n.changed, n.uid, n.gid, n.target}
}

// mostLinks is how many symbolic links a path may lead through.
const mostLinks = 40

// find returns the node of an absolute path.
func (f *FS) find(name string, follow bool) (*node, error) {
	_, _, n, err := f.walk(name, follow, 0)
	if err == nil && n == nil {
		err = ErrNotExist
	}
	return n, err
}

// walk returns the folder that a path is in, the path without symbolic links, and its node,
// which is nil if there is none.
func (f *FS) walk(name string, follow bool, links int) (dir *node, whole string, n *node, err error) {
	if links > mostLinks {
		return nil, "", nil, ErrLoop
	}
	slash := strings.HasSuffix(name, "/")
	name = path.Clean("/" + name)
	dir, whole, n = f.root, "/", f.root
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
	for i, part := range parts {
		last := i == len(parts)-1
		if n == nil {
			return nil, "", nil, ErrNotExist
		}
		if !n.mode.IsDir() {
			return nil, "", nil, ErrNotDir
		}
		dir, n = n, n.children[part]
		if n != nil && n.mode&fs.ModeSymlink != 0 && (follow || !last || slash) {
			target := n.target
			if !path.IsAbs(target) {
				target = path.Join(whole, target)
			}
			return f.walk(path.Join(append([]string{target}, parts[i+1:]...)...), follow, links+1)
		}
		whole = path.Join(whole, part)
	}
	if slash && n != nil && !n.mode.IsDir() {
		return nil, "", nil, ErrNotDir
	}
	return dir, whole, n, nil
}

// Stat tells of a file; of a symbolic link itself if follow is false.
func (f *FS) Stat(name string, follow bool) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name, follow)
	if err != nil {
		return Info{}, err
	}
	return n.info(path.Base(path.Clean("/" + name))), nil
}

// RealPath is an absolute path without symbolic links. The file itself need not be there.
func (f *FS) RealPath(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, whole, _, err := f.walk(path.Clean("/"+name), true, 0)
	return whole, err
}

// ReadDir lists a folder by name.
func (f *FS) ReadDir(name string) ([]Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, ErrNotDir
	}
	var out []Info
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		out = append(out, n.children[base].info(base))
	}
	return out, nil
}

// Mkdir makes a folder.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.add(name, true, f.folder(perm))
}

// add puts a new node where nothing is.
func (f *FS) add(name string, follow bool, n *node) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, whole, old, err := f.walk(name, follow, 0)
	switch {
	case err != nil:
		return err
	case old != nil:
		return ErrExist
	}
	f.link(dir, whole, n)
	return nil
}

// link puts a node into a folder, under the last part of its path.
func (f *FS) link(dir *node, whole string, n *node) {
	dir.children[path.Base(whole)], dir.changed = n, f.now()
}

// unlink takes a node out of a folder.
func (f *FS) unlink(dir *node, whole string) {
	delete(dir.children, path.Base(whole))
	dir.changed = f.now()
}

// MkdirAll makes a folder and those above it that are missing.
func (f *FS) MkdirAll(name string, perm fs.FileMode) error {
	made := ""
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+name), "/"), "/") {
		made += "/" + part
		err := f.Mkdir(made, perm)
		if info, statErr := f.Stat(made, true); err != nil && (statErr != nil || !info.IsDir()) {
			return err
		}
	}
	return nil
}

// Symlink makes a symbolic link.
func (f *FS) Symlink(target, name string) error {
	return f.add(name, false, &node{mode: fs.ModeSymlink | 0o777, target: target, changed: f.now()})
}

// Remove removes a file, a link or an empty folder.
func (f *FS) Remove(name string) error { return f.remove(name, false) }

// RemoveAll removes a file, or a folder with all that is in it.
func (f *FS) RemoveAll(name string) error { return f.remove(name, true) }

func (f *FS) remove(name string, all bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, whole, n, err := f.walk(name, false, 0)
	switch {
	case err != nil:
		return err
	case n == nil:
		return ErrNotExist
	case n == f.root:
		return ErrInvalid
	case len(n.children) > 0 && !all:
		return ErrNotEmpty
	}
	f.unlink(dir, whole)
	return nil
}

// Rename moves a file or a folder, over one that is there already.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, whole, n, err := f.walk(from, false, 0)
	if err != nil {
		return err
	}
	if n == nil {
		return ErrNotExist
	}
	toDir, toWhole, old, err := f.walk(to, false, 0)
	switch {
	case err != nil:
		return err
	case old == n:
		return nil
	case n == f.root || old == f.root || n.mode.IsDir() && strings.HasPrefix(path.Clean("/"+to)+"/", path.Clean("/"+from)+"/"):
		return ErrInvalid
	case old != nil && old.mode.IsDir() && !n.mode.IsDir():
		return ErrIsDir
	case old != nil && !old.mode.IsDir() && n.mode.IsDir():
		return ErrNotDir
	case old != nil && len(old.children) > 0:
		return ErrNotEmpty
	}
	f.unlink(dir, whole)
	f.link(toDir, toWhole, n)
	return nil
}

// Chmod sets the permissions of a file: the lowest twelve bits, as chmod counts them.
func (f *FS) Chmod(name string, bits uint32) error {
	return f.change(name, func(n *node) { n.mode = n.mode.Type() | modeOf(bits) })
}

// Chown sets the owner of a file; -1 leaves one as it is.
func (f *FS) Chown(name string, uid, gid int) error {
	return f.change(name, func(n *node) {
		if uid >= 0 {
			n.uid = uid
		}
		if gid >= 0 {
			n.gid = gid
		}
	})
}

// Touch sets when a file was changed last.
func (f *FS) Touch(name string, at time.Time) error {
	return f.change(name, func(n *node) { n.changed = at })
}

func (f *FS) change(name string, do func(n *node)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name, true)
	if err != nil {
		return err
	}
	do(n)
	return nil
}

// specialBits are those of the twelve that are no permissions, as chmod and as package fs has
// them.
var specialBits = [...]struct {
	bit  uint32
	flag fs.FileMode
}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}}

// modeOf is a mode as package fs has it.
func modeOf(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for _, special := range specialBits {
		if bits&special.bit != 0 {
			mode |= special.flag
		}
	}
	return mode
}

// Bits are the permissions of a mode as chmod counts them.
func Bits(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for _, special := range specialBits {
		if mode&special.flag != 0 {
			bits |= special.bit
		}
	}
	return bits
}
