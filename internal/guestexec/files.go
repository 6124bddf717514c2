package guestexec

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// File is a file or folder in a guest.
type File struct {
	in         *Inside
	name, real string // real is where it leads, if that counts
}

// Facts are what is known of a file.
type Facts struct {
	Size     int64
	Mode     string // in octal digits
	UID, GID int
	Changed  time.Time
}

// OpenFile finds a file by its absolute path. If the policy limits files, it is that to which
// the path leads, and the policy has to allow that as well.
func (in *Inside) OpenFile(ctx context.Context, name string) (*File, error) {
	f := &File{in: in, name: name}
	p := in.call.Host().Policy
	if !p.LimitsFiles() {
		return f, nil
	}
	out, err := f.run(ctx, policy.FileWhere, "")
	if err != nil {
		return nil, err
	}
	real, err := base64.StdEncoding.DecodeString(out)
	if err != nil {
		return nil, errGarbled
	}
	if reason := p.RefuseFile(string(real)); reason != "" {
		return nil, &policy.RefusedError{Reason: fmt.Sprintf("%q leads to another path, and %s", name, reason)}
	}
	f.real = string(real)
	return f, nil
}

var errGarbled = errors.New("what the guest printed cannot be read; something else may print there")

// The exit codes of the program for files.
const (
	exitMissing   = 40
	exitFolder    = 41
	exitNoFolder  = 42
	exitSpecial   = 43
	exitElsewhere = 44
	exitLacks     = 45
	exitDamaged   = 46
	exitMixed     = 47
	exitDenied    = 48
)

// run runs the program for files.
func (f *File) run(ctx context.Context, do policy.FileAction, stdin string, args ...string) (string, error) {
	ended, err := f.in.Run(ctx, policy.FileCommand(do, f.name, f.real, args...), stdin)
	if err != nil {
		return "", err
	}
	said := render.Text(ended.Stderr, 200)
	at := fmt.Sprintf("%s in %v", render.Text(f.name, 200), f.in.guest)
	switch ended.ExitCode {
	case 0:
		return ended.Stdout, nil
	case exitMissing:
		return "", explain.Refusal("List the folder with pve_list_files.", "There is no %s.", at)
	case exitFolder:
		return "", explain.Refusal("Look into it with pve_list_files.", "%s is a folder.", at)
	case exitNoFolder:
		return "", explain.Refusal("Read it with pve_read_file.", "%s is no folder.", at)
	case exitDenied:
		return "", explain.Refusal("", "%s may not be read, not even by root: its file system forbids it.", at)
	case exitSpecial:
		return "", explain.Refusal("", "%s is a device, a pipe or a socket, not a file.", at)
	case exitElsewhere:
		return "", &policy.RefusedError{Reason: fmt.Sprintf("%q leads to another path than a moment ago", f.name)}
	case exitLacks:
		return "", explain.Refusal("Install it in the guest.", "%v lacks the program %s, which this needs.", f.in.guest, said)
	case exitDamaged:
		return "", explain.Refusal("Try again. The file is as it was.", "What was sent to %s arrived damaged.", at)
	case exitMixed:
		return "", explain.Refusal("Read its end.", "It was appended to %s, but something else writes there: it is not in one piece.", at)
	}
	return "", explain.Refusal("", "%s: the guest's program ended with exit code %d: %s", at, ended.ExitCode, said)
}

// factsOf reads a line of stat.
func factsOf(line string) (Facts, error) {
	words := strings.Fields(line)
	if len(words) != 5 {
		return Facts{}, errGarbled
	}
	var n [5]int64
	for i, word := range words {
		if i == 1 {
			continue
		}
		v, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return Facts{}, errGarbled
		}
		n[i] = v
	}
	return Facts{Size: n[0], Mode: words[1], UID: int(n[2]), GID: int(n[3]), Changed: time.Unix(n[4], 0)}, nil
}

// pieceSize is how much of a file is read at a time.
func (f *File) pieceSize() int64 {
	if f.in.shell != nil {
		return 256 << 10
	}
	return 1 << 20
}

// Read writes a part of a file to w, with progress, and returns how much that was.
func (f *File) Read(ctx context.Context, w io.Writer, offset, length int64) (Facts, int64, error) {
	var facts Facts
	done := int64(0)
	for {
		want := min(f.pieceSize(), length-done)
		data, now, err := f.readPiece(ctx, offset+done, want)
		if err != nil {
			return facts, done, err
		}
		facts = now
		if _, err := w.Write(data); err != nil {
			return facts, done, err
		}
		done += int64(len(data))
		if int64(len(data)) < want && offset+done < now.Size {
			return facts, done, explain.Refusal("", "%s could be read up to byte %d only.", render.Text(f.name, 200), offset+done)
		}
		if int64(len(data)) < want || done >= length {
			return facts, done, nil
		}
		f.in.call.Report(cluster.Progress{Message: fmt.Sprintf("%d of %d bytes are read", done, min(length, max(now.Size-offset, done)))})
	}
}

// readPiece reads a piece until it arrives as the guest has it: a file may change meanwhile.
func (f *File) readPiece(ctx context.Context, offset, length int64) ([]byte, Facts, error) {
	for range 3 {
		out, err := f.run(ctx, policy.FileRead, "", strconv.FormatInt(offset+1, 10), strconv.FormatInt(length, 10))
		if err != nil {
			return nil, Facts{}, err
		}
		lines := strings.SplitN(out, "\n", 3)
		if len(lines) != 3 {
			return nil, Facts{}, errGarbled
		}
		facts, err := factsOf(lines[0])
		if err != nil {
			return nil, Facts{}, err
		}
		data, err := base64.StdEncoding.DecodeString(lines[2])
		if sum := sha256.Sum256(data); err == nil && hex.EncodeToString(sum[:]) == strings.TrimSpace(lines[1]) {
			return data, facts, nil
		}
	}
	return nil, Facts{}, explain.Refusal("Try again.", "%s changes while it is read.", render.Text(f.name, 200))
}

// Sum returns the SHA-256 checksum of a file.
func (f *File) Sum(ctx context.Context) (Facts, string, error) {
	out, err := f.run(ctx, policy.FileSum, "")
	if err != nil {
		return Facts{}, "", err
	}
	return summed(out)
}

func summed(out string) (Facts, string, error) {
	line, sum, _ := strings.Cut(out, "\n")
	facts, err := factsOf(line)
	return facts, strings.TrimSpace(sum), err
}

// putSize is how much is written at a time: base64 makes 60 KiB of it, and PVE passes 64.
const putSize = 45 << 10

// Write makes of data the content of a file, or appends it. The data goes to a temporary file
// first, so that the file is as it was until all has arrived. Mode and owner stay.
func (f *File) Write(ctx context.Context, data io.Reader, size int64, appends bool) (facts Facts, sum string, err error) {
	token := rand.Text()
	if _, err := f.run(ctx, policy.FileBegin, "", token); err != nil {
		return Facts{}, "", err
	}
	ended := false
	defer func() {
		if err != nil && !ended {
			after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			_, dropped := f.run(after, policy.FileDrop, "", token)
			if dropped != nil {
				err = fmt.Errorf("%w; the temporary folder .pve-mcp-%s beside it may be left", err, token)
			}
		}
	}()
	sent, err := f.put(ctx, token, data, size)
	if err != nil {
		return Facts{}, "", err
	}
	how := "replace"
	if appends {
		how = "append"
	}
	ended = true
	out, err := f.run(ctx, policy.FileEnd, "", token, sent, how)
	if err != nil {
		return Facts{}, "", err
	}
	facts, sum, err = summed(out)
	if err == nil && !appends && sum != sent {
		err = explain.Refusal("Read it again.", "%s was written, but has other content now: something else writes there.", render.Text(f.name, 200))
	}
	return facts, sum, err
}

// put fills the temporary file, and returns the checksum of what was sent.
func (f *File) put(ctx context.Context, token string, data io.Reader, size int64) (string, error) {
	hash := sha256.New()
	buf := make([]byte, putSize)
	for sent := int64(0); ; {
		n, err := io.ReadFull(data, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return "", err
		}
		if n > 0 {
			piece := base64.StdEncoding.EncodeToString(buf[:n])
			if _, err := f.run(ctx, policy.FilePut, piece, token, strconv.FormatInt(sent, 10)); err != nil {
				return "", err
			}
			_, _ = hash.Write(buf[:n])
			sent += int64(n)
		}
		if n < len(buf) && sent != size {
			return "", explain.Refusal("Call again when nothing writes there.", "Only %d of %d bytes could be read of what is to be written: it has changed. The file in the guest is as it was.", sent, size)
		}
		if n < len(buf) {
			return hex.EncodeToString(hash.Sum(nil)), nil
		}
		f.in.call.Report(cluster.Progress{Message: fmt.Sprintf("%d of %d bytes are written", sent, size)})
	}
}

// Entry is what a folder has.
type Entry struct {
	Name string
	Kind string // file, folder, link or other
	Facts
	User, Group string
}

// List returns what a folder has, in the guest's order.
func (f *File) List(ctx context.Context) ([]Entry, error) {
	mark := rand.Text()
	out, err := f.run(ctx, policy.FileList, "", mark)
	if err != nil {
		return nil, err
	}
	count, rest, _ := strings.Cut(out, "\n")
	data, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return nil, errGarbled
	}
	var all []Entry
	for record := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), mark+" ") {
		if record = strings.TrimSuffix(record, "\n"); record == "" {
			continue
		}
		e, err := entryOf(record)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	const patterns = 3 // that remain as they are if they match no name
	if n, err := strconv.Atoi(strings.TrimSpace(count)); err != nil || len(all) < n-patterns {
		return nil, explain.Refusal("Use pve_vm_exec with find.", "%s has %s entries, which are too many to list.", render.Text(f.name, 200), render.Text(count, 20))
	}
	return all, nil
}

// entryOf reads what stat prints of an entry.
func entryOf(record string) (Entry, error) {
	words := strings.SplitN(record, " ", 8)
	if len(words) != 8 {
		return Entry{}, errGarbled
	}
	mode, err := strconv.ParseUint(words[0], 16, 32)
	if err != nil {
		return Entry{}, errGarbled
	}
	facts, err := factsOf(fmt.Sprintf("%s %o %s %s %s", words[5], mode&0o7777, words[1], words[2], words[6]))
	return Entry{Name: strings.TrimPrefix(words[7], "./"), Kind: kindOf(mode), Facts: facts, User: words[3], Group: words[4]}, err
}

// kindOf says what a mode of a file system is about.
func kindOf(mode uint64) string {
	switch mode & 0o170000 {
	case 0o100000:
		return "file"
	case 0o040000:
		return "folder"
	case 0o120000:
		return "link"
	}
	return "other"
}
