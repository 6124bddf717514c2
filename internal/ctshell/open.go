package ctshell

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

//go:embed helper.sh
var helper string

// Options say how a console is opened.
type Options struct {
	// ShellParent is the process id of the parent of the console's shell as the container
	// sees it: 0, since the parent is outside of it. Another one means that somebody has
	// logged in to another machine.
	ShellParent int
	// Host is the name that the container has, "" if it is unknown.
	Host string
	// Lasts is how long the commands may take, with what is around them. After that time the
	// container itself ends them, and frees its console.
	Lasts time.Duration
}

// How long the console may take to show something, has to be quiet before and after that, and
// may take to answer.
const (
	firstOutput = 4 * time.Second
	settled     = 500 * time.Millisecond
	settling    = 8 * time.Second
	watched     = time.Second
	answers     = 20 * time.Second
	abandons    = 3 * time.Second // for the end of a helper that cannot be used
)

// Shell runs commands in a container, one at a time.
type Shell struct {
	t       *terminal
	frames  frames
	waiting []frame
}

// Open takes a console over, for a user with a ticket. If somebody uses it, or if it has no
// shell, the error is an [UnusableError], and nothing was changed. Open closes conn then.
func Open(ctx context.Context, conn Conn, user, ticket string, o Options) (*Shell, error) {
	s := &Shell{t: newTerminal(ctx, conn), frames: frames{mark: randomHex(12)}}
	if err := s.open(ctx, user, ticket, o); err != nil {
		return nil, errors.Join(err, s.t.close())
	}
	return s, nil
}

func (s *Shell) open(ctx context.Context, user, ticket string, o Options) error {
	shown, err := s.t.login(ctx, user, ticket)
	if err != nil {
		return err
	}
	prompt, err := s.findPrompt(ctx, shown)
	if err != nil {
		return err
	}
	if err := s.claim(ctx, prompt); err != nil {
		return err
	}
	if err := s.startHelper(ctx, o); err != nil {
		_ = s.endHelper(ctx, abandons) // it may not be there
		return err
	}
	return nil
}

// findPrompt returns the line of the prompt of a console that nobody uses.
func (s *Shell) findPrompt(ctx context.Context, shown []byte) (string, error) {
	if err := s.t.resize(ctx); err != nil {
		return "", err
	}
	if len(shown) == 0 {
		first, err := s.t.receive(ctx, firstOutput)
		if err != nil {
			return "", s.ended(ctx, err, shown, NoPrompt)
		}
		shown = first
	}
	for begun := time.Now(); ; {
		more, err := s.t.receive(ctx, settled)
		if errors.Is(err, errQuiet) {
			break
		}
		if err != nil {
			return "", s.ended(ctx, err, shown, InUse)
		}
		if shown = lastBytes(append(shown, more...)); time.Since(begun) > settling {
			return "", &UnusableError{Why: InUse, Detail: "it keeps printing"}
		}
	}
	more, err := s.t.receive(ctx, watched)
	if err == nil && len(more) > 0 {
		return "", &UnusableError{Why: InUse, Detail: "something is printed or typed on it"}
	}
	if !errors.Is(err, errQuiet) {
		return "", s.ended(ctx, err, shown, InUse)
	}
	line := lastLine(shown)
	switch {
	case isPrompt(line):
		return line, nil
	case isLogin(line):
		return "", &UnusableError{Why: Login, Detail: line}
	case strings.ContainsAny(line, "#$%"):
		return "", &UnusableError{Why: InUse, Detail: "there is text after its prompt"}
	}
	return "", &UnusableError{Why: NoPrompt, Detail: line}
}

// ended returns what the end of a console means; quiet is what silence does.
func (s *Shell) ended(ctx context.Context, err error, shown []byte, quiet Reason) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errQuiet):
		return &UnusableError{Why: quiet}
	case errors.Is(err, io.EOF):
		return &UnusableError{Why: Ended, Detail: strings.TrimSpace(lastLine([]byte(strings.TrimRight(string(shown), "\r\n"))))}
	}
	return &UnusableError{Why: Ended, Detail: err.Error()}
}

// claim types the beginning of a line that does nothing. It fails if anybody else types at the
// same time, who then sees that the line is taken, or if the caller gives up, and takes the text
// away again.
func (s *Shell) claim(ctx context.Context, prompt string) error {
	const eraseLine = "\x15"
	text := " : " + randomHex(4)
	if err := s.t.send(ctx, text); err != nil {
		return err
	}
	err := s.seesOnly(ctx, prompt, text)
	if err != nil {
		err = errors.Join(err, s.t.send(context.WithoutCancel(ctx), eraseLine))
	}
	return err
}

// seesOnly fails unless the console shows a text that was typed after its prompt, and nothing
// else.
func (s *Shell) seesOnly(ctx context.Context, prompt, text string) error {
	shown := []byte(prompt)
	for begun := time.Now(); time.Since(begun) < settling; {
		more, err := s.t.receive(ctx, settled)
		switch {
		case errors.Is(err, errQuiet) && lastLine(shown) == prompt+text:
			return nil
		case errors.Is(err, errQuiet):
			return &UnusableError{Why: InUse, Detail: "what is typed on it is not what it shows"}
		case err != nil:
			return s.ended(ctx, err, shown, InUse)
		}
		shown = lastBytes(append(shown, more...))
	}
	return &UnusableError{Why: InUse, Detail: "it keeps printing"}
}

// lastBytes returns the end of what a terminal has shown, which is enough for its last line.
func lastBytes(shown []byte) []byte {
	const most = 64 << 10
	return shown[max(0, len(shown)-most):]
}

// startHelper completes the line so that the helper runs. The shell of that line ends by itself if
// the helper does not arrive in time, and at once on the request q.
func (s *Shell) startHelper(ctx context.Context, o Options) error {
	line := `;sh -c 'trap : INT;o=$(stty -g);trap "stty $o;exit" TERM;` +
		`setsid sh -c "sleep ` + strconv.Itoa(int(answers/time.Second)) + `;kill $$" >/dev/null 2>&1 </dev/null&w=$!;` +
		`stty -echo icanon isig icrnl;m=` + s.frames.mark +
		`;echo;echo "$m go";x=;while read -r l;do case $l in .)break;;"$m q")x=;break;;esac;x=$x$l;done;kill -9 -$w $w 2>/dev/null;trap - TERM;` +
		`sh -c "$(echo "$x"|base64 -d)" sh $m $PPID ` + strconv.Itoa(int(o.Lasts/time.Second)) + `;stty "$o";echo "$m bye"'` + "\n"
	if err := s.t.send(ctx, line); err != nil {
		return err
	}
	first, err := s.next(ctx, answers)
	if err != nil || !first.is("go") {
		return &UnusableError{Why: NoPrompt, Detail: "what runs on it does not answer as a shell does"}
	}
	script := base64.StdEncoding.EncodeToString([]byte(withoutComments(helper)))
	for len(script) > 0 {
		n := min(len(script), pieceSize)
		if err := s.t.send(ctx, script[:n]+"\n"); err != nil {
			return err
		}
		script = script[n:]
	}
	if err := s.t.send(ctx, ".\n"); err != nil {
		return err
	}
	hello, err := s.next(ctx, answers)
	if err != nil {
		return &LostError{err}
	}
	return o.check(hello)
}

// check returns why the shell that has answered is not the one that is wanted, or nil.
func (o Options) check(hello frame) error {
	w := hello.words
	switch {
	case hello.is("busy"):
		return &UnusableError{Why: InUse, Detail: "another program runs a command by it"}
	case hello.is("lacks"):
		return &UnusableError{Why: Lacks, Detail: strings.Join(w[1:], " ")}
	case !hello.is("hello") || len(w) != 5:
		return &UnusableError{Why: NoPrompt, Detail: "what runs on it does not answer as a shell does"}
	case w[1] != w[3]:
		return &UnusableError{Why: InUse, Detail: "a program runs in its shell"}
	case w[2] != strconv.Itoa(o.ShellParent):
		return &UnusableError{Why: Elsewhere}
	case o.Host != "" && !strings.EqualFold(w[4], o.Host) && !strings.HasPrefix(strings.ToLower(w[4]), strings.ToLower(o.Host)+"."):
		return &UnusableError{Why: Elsewhere, Detail: fmt.Sprintf("it is named %.60s", w[4])}
	}
	return nil
}

func withoutComments(script string) string {
	var out []string
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
