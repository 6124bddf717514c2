package terminal

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
)

// Bar shows on a terminal how far some work is, on one line that is written over and over.
// What else is written to the terminal goes through it, so that it stands above that line.
// It takes no escape sequences: every terminal knows a carriage return.
type Bar struct {
	w     io.Writer
	width func() int // of the terminal, in characters

	mu    sync.Mutex
	shown string // guarded by mu
}

// NewBar returns a bar on a terminal of some width, which may change.
func NewBar(w io.Writer, width func() int) *Bar { return &Bar{w: w, width: width} }

// cells is how wide a bar is.
const cells = 20

// Show shows how much is done of total, which is 0 if it is unknown, and a message.
func (b *Bar) Show(done, total float64, message string) {
	text := inline(message)
	if total > 0 {
		full := int(math.Floor(cells * min(max(done/total, 0), 1)))
		text = fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat("-", cells-full), text)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replace(cut(text, max(cells, b.width()-1)))
}

// Write writes lines above the bar.
func (b *Bar) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.shown
	b.replace("")
	n, err := b.w.Write(data)
	b.replace(shown)
	return n, err
}

// End takes the bar away.
func (b *Bar) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replace("")
}

// replace shows another text. That a terminal is gone is no reason to end what is shown.
func (b *Bar) replace(text string) {
	if text == b.shown {
		return
	}
	out := "\r" + pad(text, runes(b.shown))
	if text == "" {
		out += "\r"
	}
	_, _ = io.WriteString(b.w, out)
	b.shown = text
}
