package tty

import "bytes"

// maxEdited is how long a line the editor takes, as that of busybox does.
const maxEdited = 1022

// editor is the line editor of a shell at its prompt.
type editor struct {
	prompt string
	line   []byte
	escape []byte // a sequence that is not complete yet
	done   func(line string, end End)
}

// End is how the editing of a line ended.
type End int

// The ends.
const (
	Entered     End = iota
	Interrupted     // by ^C
	Closed          // by ^D
)

// Edit shows a prompt and lets a line be edited, as a shell does. What was typed before is
// taken first. Without echo there is no editor: it waits for a line in the terminal's own
// mode. done is called once, without a lock.
func (t *TTY) Edit(prompt string, done func(line string, end End)) {
	t.mu.Lock()
	t.editor = &editor{prompt: prompt, done: done}
	if !t.modes.Echo {
		t.write([]byte(prompt))
	} else {
		t.write([]byte(prompt + askCursor))
	}
	early := append(bytes.Join(t.ready, nil), t.line...)
	t.ready, t.line = nil, nil
	t.mu.Unlock()
	t.Input(early)
}

// askCursor asks the terminal where its cursor is.
const askCursor = "\x1b[6n"

// edit takes a byte for the editor, and returns what to do then without the lock.
func (t *TTY) edit(c byte) func() {
	e := t.editor
	if !t.modes.Echo {
		return t.editUnseen(c)
	}
	switch {
	case len(e.escape) > 0:
		e.escape = append(e.escape, c)
		if bracket := len(e.escape) == 2 && c == '['; !bracket && (len(e.escape) == 2 || c >= '@') {
			e.escape = nil
		}
	case c == escape:
		e.escape = []byte{c}
	case c == '\n' || c == '\r':
		t.write([]byte("\n"))
		return t.finish(Entered)
	case c == ctrlC:
		t.write([]byte("^C\n"))
		return t.finish(Interrupted)
	case c == ctrlD && len(e.line) == 0:
		return t.finish(Closed)
	case c == erase || c == backspace:
		if n := len(e.line); n > 0 {
			e.line = e.line[:n-1]
			t.write([]byte("\b\x1b[J"))
		}
	case c == ctrlU:
		t.write(append(bytes.Repeat([]byte("\b"), len(e.line)), "\x1b[J"...))
		e.line = nil
	case c < ' ' || len(e.line) >= maxEdited:
		t.write([]byte{7})
	default:
		e.line = append(e.line, c)
		t.write([]byte{c})
	}
	return func() {}
}

// editUnseen takes a byte of a line that nobody edits.
func (t *TTY) editUnseen(c byte) func() {
	interrupted := t.discipline(c)
	if interrupted {
		return t.finish(Interrupted)
	}
	all := bytes.Join(t.ready, nil)
	switch {
	case len(t.ready) > 0 && len(all) == 0:
		t.ready = nil
		return t.finish(Closed)
	case bytes.HasSuffix(all, []byte("\n")):
		t.editor.line, t.ready = bytes.TrimSuffix(all, []byte("\n")), nil
		return t.finish(Entered)
	}
	return func() {}
}

// finish ends the editing.
func (t *TTY) finish(end End) func() {
	e := t.editor
	t.editor = nil
	return func() { e.done(string(e.line), end) }
}
