package guestexec

import (
	"fmt"
	"unicode/utf8"
)

// Printed is how a command in a guest has ended, and what it has printed, as a change of many
// guests keeps it.
type Printed struct {
	ExitCode       *int64 // nil if it has not ended by itself
	Stdout, Stderr Excerpt
	// All identifies all that was printed; "" if not all of it is known.
	All string
	// Process collects the rest of a command that still runs in a VM.
	Process string
	// Remark is what is to be said beside the exit code.
	Remark string
}

// Excerpt is the beginning and the end of a text.
type Excerpt struct {
	Head, Tail string
	Cut        int // bytes between them
	// Open says that the text goes on beyond what is known of it: it has no Tail, and Cut bytes
	// or more are missing after the Head.
	Open bool
}

// Size is how many bytes of the text there are.
func (e Excerpt) Size() int { return len(e.Head) + len(e.Tail) }

// Within returns the excerpt with so many bytes at most. Its end is twice as long as its
// beginning: that tells how a command went.
func (e Excerpt) Within(most int) Excerpt {
	if e.Size() <= most {
		return e
	}
	if e.Open {
		to := runeStart(e.Head, most)
		return Excerpt{Head: e.Head[:to], Cut: e.Cut + len(e.Head) - to, Open: true}
	}
	head, tail := e.Head, e.Tail
	if e.Cut == 0 {
		tail = head + tail
	}
	to := runeStart(head, min(most/3, len(head)))
	from := max(0, len(tail)-(most-most/3))
	for from < len(tail) && !utf8.RuneStart(tail[from]) {
		from++
	}
	out := Excerpt{Head: head[:to], Tail: tail[from:]}
	out.Cut = e.Size() + e.Cut - out.Size()
	return out
}

// runeStart is the last place up to a limit at which a character of the text begins or it ends.
func runeStart(text string, limit int) int {
	for limit > 0 && limit < len(text) && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return limit
}

// String is the text, with a word about what is missing.
func (e Excerpt) String() string {
	switch {
	case e.Open:
		return fmt.Sprintf("%s[%d bytes or more cut]", e.Head, e.Cut)
	case e.Cut == 0:
		return e.Head + e.Tail
	}
	return fmt.Sprintf("%s[%d bytes cut]%s", e.Head, e.Cut, e.Tail)
}
