package ctshell

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Command is a command to run.
type Command struct {
	Argv    []string
	Stdin   []byte
	Dir     string            // "" for that of the console's shell
	Env     map[string]string // added to that of the console's shell
	Timeout time.Duration
	// Most is how many bytes of each output are fetched.
	Most int64
}

// Result is how a command ended, and what it has printed.
type Result struct {
	// ExitCode is that of the command, unless Signal ended it.
	ExitCode, Signal int
	// Interrupted means that the command was ended with all processes of its group, after its
	// timeout or since the context ended.
	Interrupted bool
	// EndedRest means that it had left processes in the background, which were ended.
	EndedRest          bool
	Stdout, Stderr     []byte
	OutBytes, ErrBytes int64 // of all output
	// Unread says why less of the output was fetched than was asked for; "" if all was.
	Unread string
}

const (
	// pieceSize is how much of a line is filled: the terminal takes lines of 4,095 bytes.
	pieceSize = 3600
	// partSize is how much output is asked for at a time.
	partSize = 24 << 10
	// keepAlive is how long the connection may be idle.
	keepAlive = 25 * time.Second
)

// Stream is an output of a command.
type Stream string

// The outputs.
const (
	Stdout Stream = "o"
	Stderr Stream = "e"
)

// Run runs a command. An error before the command was started is any but a [LostError].
func (s *Shell) Run(ctx context.Context, c Command) (Result, error) {
	if err := s.put(ctx, "s", []byte(c.script())); err != nil {
		return Result{}, err
	}
	if err := s.put(ctx, "i", c.Stdin); err != nil {
		return Result{}, err
	}
	if err := s.request(ctx, "x"); err != nil {
		return Result{}, err
	}
	r, err := s.await(ctx, c.Timeout)
	if err != nil {
		return r, &LostError{err}
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), answers)
	defer cancel()
	if ctx.Err() == nil {
		after = ctx
	}
	if r.Stdout, err = s.fetch(after, Stdout, min(r.OutBytes, c.Most)); err == nil {
		r.Stderr, err = s.fetch(after, Stderr, min(r.ErrBytes, c.Most))
	}
	if err != nil { // the command has ended all the same, and how is known
		r.Unread = err.Error()
	}
	return r, nil
}

// script is what sh runs: the command takes the place of it.
func (c Command) script() string {
	var b strings.Builder
	b.WriteString("echo $$ >\"${0%s}p\"\n")
	if c.Dir != "" {
		fmt.Fprintf(&b, "cd %s || exit 126\n", quote(c.Dir))
	}
	b.WriteString("exec")
	if len(c.Env) > 0 { // by a program: what some names mean to the shell is not meant
		b.WriteString(" env")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		b.WriteString(" " + quote(name+"="+c.Env[name]))
	}
	for _, arg := range c.Argv {
		b.WriteString(" " + quote(arg))
	}
	return b.String() + "\n"
}

// quote writes a text as one word of sh.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// put writes a file of the helper.
func (s *Shell) put(ctx context.Context, file string, all []byte) error {
	data := all
	if _, err := s.ask(ctx, "n "+file, "ok"); err != nil {
		return err
	}
	for len(data) > 0 {
		n := min(len(data), pieceSize/4*3)
		if _, err := s.ask(ctx, "w "+file+" "+base64.StdEncoding.EncodeToString(data[:n]), "ok"); err != nil {
			return err
		}
		data = data[n:]
	}
	f, err := s.ask(ctx, "sum "+file, "sum")
	if sum := sha256.Sum256(all); err == nil && !slices.Contains(f.words, hex.EncodeToString(sum[:])) {
		err = errors.New("the input arrived damaged: something else types on the console")
	}
	return err
}

// await waits for the end of the command.
func (s *Shell) await(ctx context.Context, timeout time.Duration) (Result, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	interrupted := false
	for {
		within := keepAlive
		if interrupted {
			within = answers
		}
		f, err := s.next(waiting, within)
		switch {
		case err == nil && f.is("exit") && len(f.words) == 7:
			return f.result()
		case err == nil:
			return Result{}, fmt.Errorf("it answered %q", f.words)
		case waiting.Err() != nil && !interrupted:
			interrupted = true
			waiting = context.WithoutCancel(ctx)
			if err := s.t.send(waiting, "\x03"); err != nil {
				return Result{}, err
			}
		case errors.Is(err, errQuiet) && !interrupted:
			if err := s.t.keep(ctx); err != nil {
				return Result{}, err
			}
		default:
			return Result{}, err
		}
	}
}

// result reads the message of a command's end.
func (f frame) result() (Result, error) {
	var n [7]int64
	for i, word := range f.words[1:] {
		n[i+1], _ = strconv.ParseInt(word, 10, 64)
	}
	r := Result{EndedRest: n[2] == 1, Interrupted: n[3] == 1, OutBytes: n[5], ErrBytes: n[6]}
	const bySignal = 128
	switch code := int(n[1]); {
	case r.Interrupted:
	case f.words[1] == "-":
		return r, errors.New("the command has ended, but not how is known")
	case code > bySignal && n[4] > 0: // the shell has said that a signal ended it
		r.Signal = code - bySignal
	default:
		r.ExitCode = code
	}
	return r, nil
}

// fetch reads the first bytes of an output.
func (s *Shell) fetch(ctx context.Context, from Stream, size int64) ([]byte, error) {
	out := []byte{}
	for int64(len(out)) < size {
		n := min(partSize, size-int64(len(out)))
		part, err := s.fetchPart(ctx, fmt.Sprintf("g %s %d %d", from, len(out)+1, n))
		if err != nil {
			return out, err
		}
		if len(part) == 0 {
			return out, nil
		}
		out = append(out, part...)
	}
	return out, nil
}

// fetchPart asks for a part until it arrives unharmed: others may print on the console.
func (s *Shell) fetchPart(ctx context.Context, request string) ([]byte, error) {
	for range 4 {
		f, err := s.ask(ctx, request, "data")
		if err != nil {
			return nil, err
		}
		if f.data != nil {
			return f.data, nil
		}
	}
	return nil, errors.New("the output arrives damaged: something else prints on the console")
}

// Keep keeps an output of the last command as a file in the container, in a folder for such, and
// returns its path.
func (s *Shell) Keep(ctx context.Context, from Stream, name string) (path string, err error) {
	f, err := s.ask(ctx, fmt.Sprintf("keep %s %s", from, name), "ok")
	if err == nil && len(f.words) < 2 {
		err = errors.New("where it was kept is unknown")
	}
	if err != nil {
		return "", err
	}
	return f.words[1], nil
}

// Close leaves the console as it was found.
func (s *Shell) Close(ctx context.Context) error {
	return errors.Join(s.endHelper(ctx, answers), s.t.close())
}

// endHelper ends the helper, though ctx may have ended, and waits until it has left.
func (s *Shell) endHelper(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if err := s.request(ctx, "q"); err != nil {
		return err
	}
	for {
		if f, err := s.next(ctx, within); err != nil || f.is("bye") {
			return err
		}
	}
}

// request types a request to the helper.
func (s *Shell) request(ctx context.Context, text string) error {
	return s.t.send(ctx, s.frames.mark+" "+text+"\n")
}

// ask types a request, and returns its answer.
func (s *Shell) ask(ctx context.Context, text, wanted string) (frame, error) {
	if err := s.request(ctx, text); err != nil {
		return frame{}, err
	}
	f, err := s.next(ctx, answers)
	if err == nil && f.is("no") {
		return f, errors.New("a file for it could not be written in the container")
	}
	if err == nil && !f.is(wanted) {
		err = fmt.Errorf("the console answered %q to %.20q", f.words, text)
	}
	return f, err
}

// next returns the next message of the helper.
func (s *Shell) next(ctx context.Context, within time.Duration) (frame, error) {
	for deadline := time.Now().Add(within); len(s.waiting) == 0; {
		out, err := s.t.receive(ctx, time.Until(deadline))
		if err != nil {
			return frame{}, err
		}
		s.waiting = append(s.waiting, s.frames.feed(out)...)
	}
	f := s.waiting[0]
	s.waiting = s.waiting[1:]
	return f, nil
}
