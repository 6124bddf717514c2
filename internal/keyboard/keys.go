package keyboard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// namedKey is a key that types no character.
type namedKey struct {
	names  []string
	keysym uint32
	// sequence is what a terminal sends for it, "" for nothing.
	sequence string
}

var namedKeys = []namedKey{
	{[]string{"enter", "return", "ret"}, enterKey, "\r"},
	{[]string{"esc", "escape"}, 0xff1b, "\x1b"},
	{[]string{"tab"}, tabKey, "\t"},
	{[]string{"backspace"}, 0xff08, "\x7f"},
	{[]string{"space", "spc"}, ' ', " "},
	{[]string{"up"}, 0xff52, "\x1b[A"},
	{[]string{"down"}, 0xff54, "\x1b[B"},
	{[]string{"right"}, 0xff53, "\x1b[C"},
	{[]string{"left"}, 0xff51, "\x1b[D"},
	{[]string{"home"}, 0xff50, "\x1b[H"},
	{[]string{"end"}, 0xff57, "\x1b[F"},
	{[]string{"pageup", "pgup"}, 0xff55, "\x1b[5~"},
	{[]string{"pagedown", "pgdn"}, 0xff56, "\x1b[6~"},
	{[]string{"insert"}, 0xff63, "\x1b[2~"},
	{[]string{"delete", "del"}, 0xffff, "\x1b[3~"},
	{[]string{"print", "sysrq"}, 0xff61, ""},
	{[]string{"pause"}, 0xff13, ""},
	{[]string{"menu"}, 0xff67, ""},
	{[]string{"capslock"}, 0xffe5, ""},
	{[]string{"ctrl", "control"}, ctrlKey, ""},
	{[]string{"alt"}, altKey, ""},
	{[]string{"shift"}, shiftKey, ""},
	{[]string{"altgr"}, altGrKey, ""},
	{[]string{"meta", "win", "super"}, metaKey, ""},
}

// functionKeys are what a terminal sends for F1 to F12.
var functionKeys = []string{
	"\x1bOP", "\x1bOQ", "\x1bOR", "\x1bOS", "\x1b[15~", "\x1b[17~", "\x1b[18~", "\x1b[19~", "\x1b[20~", "\x1b[21~", "\x1b[23~", "\x1b[24~",
}

// keyNamed finds a key by its name.
func keyNamed(name string) (namedKey, bool) {
	for _, k := range namedKeys {
		if slices.Contains(k.names, name) {
			return k, true
		}
	}
	if digits, isF := strings.CutPrefix(name, "f"); isF {
		if n, err := strconv.Atoi(digits); err == nil && n >= 1 && n <= len(functionKeys) {
			return namedKey{[]string{name}, 0xffbe + uint32(n) - 1, functionKeys[n-1]}, true
		}
	}
	return namedKey{}, false
}

// parts divides the name of a chord, such as ctrl-alt-del; the key - is its own name.
func parts(chord string) []string {
	chord = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(chord)), "+", "-")
	if rest, minus := strings.CutSuffix(chord, "--"); minus {
		return append(strings.Split(rest, "-"), "-")
	}
	if chord == "-" {
		return []string{"-"}
	}
	return strings.Split(chord, "-")
}

func errUnknown(chord, part string) error {
	return fmt.Errorf("has %q, and no key is called %q: give keys such as enter, esc, f2, up, ctrl-c or ctrl-alt-del", chord, part)
}

// Chord returns the keys that a name such as ctrl-alt-del or f2 is about.
func (k Keyboard) Chord(name string) (Chord, error) {
	var out Chord
	for _, part := range parts(name) {
		if known, ok := keyNamed(part); ok {
			out = append(out, known.keysym)
			continue
		}
		chord, ok := k.chord([]rune(part + " ")[0])
		if !ok || len([]rune(part)) != 1 {
			return nil, errUnknown(name, part)
		}
		out = append(out, chord...)
	}
	return out, nil
}

// Sequence returns what a terminal sends for a name such as ctrl-c or up.
func Sequence(name string) (string, error) {
	all := parts(name)
	last := all[len(all)-1]
	ctrl, alt := false, false
	for _, held := range all[:len(all)-1] {
		switch held {
		case "ctrl", "control":
			ctrl = true
		case "alt":
			alt = true
		default:
			return "", fmt.Errorf("has %q, which a terminal does not have: only ctrl and alt are held there", name)
		}
	}
	sequence := last
	if known, ok := keyNamed(last); ok {
		if sequence = known.sequence; sequence == "" || ctrl {
			return "", fmt.Errorf("has %q, which a terminal does not have", name)
		}
	} else if len([]rune(last)) != 1 {
		return "", errUnknown(name, last)
	}
	if ctrl {
		c := sequence[0]
		if len(sequence) != 1 || c < '@' || c > '~' {
			return "", fmt.Errorf("has %q, which a terminal does not have", name)
		}
		sequence = string(rune(c & 0x1f))
	}
	if alt {
		sequence = "\x1b" + sequence
	}
	return sequence, nil
}
