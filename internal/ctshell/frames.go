package ctshell

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// frame is a message of the helper: a line that begins with its mark, and for data what
// follows up to the next one.
type frame struct {
	words []string
	data  []byte // nil if its checksum is wrong
}

func (f frame) is(name string) bool { return len(f.words) > 0 && f.words[0] == name }

// frames finds the messages of a helper in what a terminal shows, among which anything else
// may stand.
type frames struct {
	mark string
	line []byte // not complete yet
	open *frame // data that goes on
	text []byte // of it, in base64
}

// The most that is kept of a line and of data: those of the helper are shorter.
const (
	maxLine = 4 << 10
	maxText = 4 * partSize
)

// feed takes output of the terminal, and returns the messages that are complete with it.
func (f *frames) feed(out []byte) (found []frame) {
	for len(out) > 0 {
		end := bytes.IndexByte(out, '\n')
		if end < 0 {
			f.keep(out)
			return found
		}
		f.keep(out[:end])
		found = f.take(found)
		out = out[end+1:]
	}
	return found
}

// keep adds to the line that is not complete yet.
func (f *frames) keep(part []byte) {
	f.line = append(f.line, part[:min(len(part), maxLine-min(maxLine, len(f.line)))]...)
}

// take reads a line that is complete.
func (f *frames) take(found []frame) []frame {
	line := strings.ReplaceAll(string(f.line), "\r", "")
	f.line = f.line[:0]
	_, text, marked := strings.Cut(line, f.mark+" ")
	if !marked {
		if f.open != nil && len(f.text)+len(line) <= maxText {
			f.text = append(f.text, line...)
		}
		return found
	}
	words := strings.Fields(text)
	switch {
	case f.open != nil && len(words) > 0 && words[0] == "end":
		f.open.data = checked(f.text, f.open.words)
		found = append(found, *f.open)
		f.open = nil
	case len(words) > 0 && words[0] == "data":
		f.open, f.text = &frame{words: words}, f.text[:0]
	case len(words) > 0:
		f.open = nil
		found = append(found, frame{words: words})
	}
	return found
}

// checked returns data if it has the checksum that its message says, else nil.
func checked(text []byte, words []string) []byte {
	data, err := base64.StdEncoding.DecodeString(string(text))
	sum := sha256.Sum256(data)
	if err != nil || len(words) < 2 || words[1] != hex.EncodeToString(sum[:]) {
		return nil
	}
	return data
}
