package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// The files beside the log.
const (
	headSuffix = ".head"
	lockSuffix = ".lock"
)

// lockTime is how long a writer waits for the others; lockPause is how often it asks.
const (
	lockTime  = 10 * time.Second
	lockPause = 2 * time.Millisecond
)

// file is the log on the disk. It is opened for every write, since it may be moved away
// at any time.
type file struct {
	path string
	key  []byte

	mu   sync.Mutex   // one goroutine at a time
	lock *flock.Flock // one process at a time; guarded by mu
}

func newFile(path string, keys [][]byte) *file {
	f := &file{path: path, lock: flock.New(path + lockSuffix)}
	if len(keys) > 0 {
		f.key = keys[0]
	}
	return f
}

// write appends lines, or without any sees whether it could. Its error names a file.
func (f *file) write(lines ...line) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.writeLocked(lines)
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		name := path.Path
		if filepath.Dir(f.path) != name { // as os.Root names them
			name = filepath.Join(filepath.Dir(f.path), filepath.Base(name))
		}
		return fmt.Errorf("%s: %w", name, path.Err)
	case err != nil:
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// writeLocked is called with mu held.
func (f *file) writeLocked(lines []line) error {
	// A file that somebody else has put there must not lead this program to write
	// elsewhere, so that none of the three may be a link that leaves the folder.
	dir, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	lock, err := dir.OpenFile(filepath.Base(f.path)+lockSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lockTime)
	defer cancel()
	switch locked, err := f.lock.TryLockContext(ctx, lockPause); {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("another process has held its lock for %v", lockTime)
	case err != nil:
		return err
	case locked:
		defer func() { _ = f.lock.Unlock() }() // the next one to write hears of it
	}
	s, err := f.open(dir)
	if err != nil {
		return err
	}
	defer s.close()
	if s.last.hash != "" && s.last.Prev == s.head { // a crash came between the two
		if err := s.setHead(s.last.hash); err != nil {
			return err
		}
	}
	for _, ln := range lines {
		if len(s.rest) > 0 {
			if err := s.append(line{Time: ln.Time, Event: "torn", Torn: tornOf(s.rest)}, f.key); err != nil {
				return err
			}
		}
		if err := s.append(ln, f.key); err != nil {
			return err
		}
	}
	return nil
}

// state is the log while it is written.
type state struct {
	log, heads *os.File
	size       int64
	last       line   // zero in an empty file
	rest       []byte // after the last line, what is none
	ended      bool   // whether the last byte is a newline
	head       string // that is noted, "" for none
}

// open opens the log and reads its end.
func (f *file) open(dir *os.Root) (s *state, err error) {
	s = &state{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	name := filepath.Base(f.path)
	_, missing := dir.Lstat(name)
	if s.log, err = dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return s, err
	}
	if s.heads, err = dir.OpenFile(name+headSuffix, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return s, err
	}
	if missing != nil {
		syncFolder(dir)
	}
	for _, file := range []*os.File{s.log, s.heads} {
		info, err := file.Stat()
		switch {
		case err != nil:
			return s, err
		case !info.Mode().IsRegular():
			return s, &fs.PathError{Op: "write", Path: file.Name(), Err: errors.New("not a regular file")}
		case file == s.log:
			s.size = info.Size()
		}
	}
	if s.last, s.rest, s.ended, err = tail(s.log, s.size); err != nil {
		return s, err
	}
	if s.last.hash == "" && s.size > 0 && !bytes.HasPrefix([]byte(opening), s.rest[:min(len(s.rest), len(opening))]) {
		return s, errors.New("it has other lines than those of an audit log, and is left alone")
	}
	head := make([]byte, len(genesis))
	if n, _ := s.heads.ReadAt(head, 0); n == len(head) && hashRE.Match(head) {
		s.head = string(head)
	}
	return s, nil
}

// syncFolder keeps the name of a new file on the disk, where a folder can be synced.
func syncFolder(dir *os.Root) {
	if d, err := dir.Open("."); err == nil {
		_ = d.Sync()
		d.Close()
	}
}

func (s *state) close() {
	for _, file := range []*os.File{s.log, s.heads} {
		if file != nil {
			file.Close()
		}
	}
}

// prev is the hash that the next line follows: the one that is noted, if any, so that
// lines are missed that were cut off since.
func (s *state) prev() string {
	switch {
	case s.head != "":
		return s.head
	case s.last.hash != "":
		return s.last.hash
	}
	return genesis
}

// append writes a line and notes its hash, or leaves both as they were.
func (s *state) append(ln line, key []byte) error {
	ln.Prev = s.prev()
	text, hash, err := seal(ln, key)
	if err != nil {
		return err
	}
	if s.size > 0 && !s.ended {
		text = append([]byte("\n"), text...)
	}
	_, err = s.log.Write(text)
	if err == nil {
		err = s.log.Sync()
	}
	before := s.head
	if err == nil {
		err = s.setHead(hash)
	}
	if err != nil {
		_ = s.log.Truncate(s.size) // what cannot be undone is torn, and found by the next one
		if s.head = before; before != "" {
			_ = s.setHead(before)
		}
		return err
	}
	ln.hash = hash
	s.last, s.rest, s.ended, s.size = ln, nil, true, s.size+int64(len(text))
	return nil
}

func (s *state) setHead(hash string) error {
	if _, err := s.heads.WriteAt([]byte(hash+"\n"), 0); err != nil {
		return err
	}
	s.head = hash
	return s.heads.Sync()
}

// tail returns the last line of a log, what stands after it that is none, and whether
// the file ends with a newline. A line that lacks no more than its newline is one.
func tail(r io.ReaderAt, size int64) (last line, rest []byte, ended bool, err error) {
	for n := int64(64 << 10); ; n *= 4 {
		from := max(0, size-n)
		buf := make([]byte, size-from)
		if _, err := r.ReadAt(buf, from); err != nil {
			return line{}, nil, false, err
		}
		ended = bytes.HasSuffix(buf, []byte("\n"))
		for end := len(bytes.TrimSuffix(buf, []byte("\n"))); end >= 0; {
			start := bytes.LastIndexByte(buf[:end], '\n') + 1
			if ln, ok := parse(buf[start:end]); ok && (start > 0 || from == 0) {
				return ln, buf[min(end+1, len(buf)):], ended, nil
			}
			end = start - 1
		}
		if from == 0 {
			return line{}, buf, ended, nil
		}
	}
}
