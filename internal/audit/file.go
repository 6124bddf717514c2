package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/pve-mcp/pve-mcp/internal/files"
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
	name files.Name
	key  []byte

	mu   sync.Mutex   // one goroutine at a time
	lock *flock.Flock // one process at a time; guarded by mu
}

func newFile(name files.Name, keys [][]byte) *file {
	// What is locked was opened before, as a file in the right folder: here it is made nowhere.
	f := &file{name: name, lock: flock.New(name.Beside(lockSuffix).String(), flock.SetFlag(os.O_RDWR|syscall.O_NONBLOCK))}
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
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	case err != nil:
		return fmt.Errorf("%v: %w", f.name, err)
	}
	return nil
}

// writeLocked is called with mu held.
func (f *file) writeLocked(lines []line) error {
	dir, err := f.name.Folder()
	if err != nil {
		return err
	}
	defer dir.Close()
	lock, err := dir.Open(f.name.Base()+lockSuffix, os.O_RDWR|os.O_CREATE)
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
func (f *file) open(dir *files.Folder) (s *state, err error) {
	s = &state{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	name := f.name.Base()
	there := dir.Has(name)
	if s.log, err = dir.Open(name, os.O_RDWR|os.O_CREATE|os.O_APPEND); err != nil {
		return s, err
	}
	if s.heads, err = dir.Open(name+headSuffix, os.O_RDWR|os.O_CREATE); err != nil {
		return s, err
	}
	if !there {
		dir.Sync()
	}
	info, err := s.log.Stat()
	if err != nil {
		return s, err
	}
	s.size = info.Size()
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
