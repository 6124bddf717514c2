// Package keyboard turns text and the names of keys into key presses, as VNC sends them.
//
// VNC names what is on a key, not the key itself. QEMU looks up which key has that on the
// keyboard that it was started with: the VM's option keyboard, en-us without one. The guest
// then decides by its own layout what the key types. If the two layouts differ, what is sent is
// what QEMU's keyboard has on the key that types the character in the guest.
package keyboard

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// Press is a key that is pressed or released, by its X keysym.
type Press struct {
	Keysym uint32
	Down   bool
}

// Chord is keys that are pressed one after the other and released in reverse.
type Chord []uint32

// Presses are those of the chord.
func (c Chord) Presses() []Press {
	var out []Press
	for _, k := range c {
		out = append(out, Press{k, true})
	}
	for i := len(c) - 1; i >= 0; i-- {
		out = append(out, Press{c[i], false})
	}
	return out
}

// The keysyms that are needed by name.
const (
	shiftKey = 0xffe1
	ctrlKey  = 0xffe3
	altKey   = 0xffe9
	metaKey  = 0xffeb
	altGrKey = 0xfe03
	enterKey = 0xff0d
	tabKey   = 0xff09
)

// Keyboard is how a guest is typed to.
type Keyboard struct {
	guest, qemu layout
}

// For returns the keyboard of a guest by its layout and the one that QEMU was started with,
// which is the value of the VM's option keyboard. "" for the layout is the same as that.
func For(guest, qemu string) (Keyboard, error) {
	q, ok := named(qemu)
	if !ok {
		if guest == "" || guest == qemu {
			return Keyboard{}, fmt.Errorf("the VM's option keyboard is %s, and where the keys of that are is not known: only of %s", render.Text(qemu, 20), strings.Join(Layouts(), ", "))
		}
		return Keyboard{}, fmt.Errorf("the VM's option keyboard is %s: where its keys are is not known, so that text cannot be typed in another layout", render.Text(qemu, 20))
	}
	g := q
	if guest != "" {
		if g, ok = named(guest); !ok {
			return Keyboard{}, fmt.Errorf("the layout %s is not known: only %s", render.Text(guest, 20), strings.Join(Layouts(), ", "))
		}
	}
	return Keyboard{guest: g, qemu: q}, nil
}

// Name is the name of the guest's layout.
func (k Keyboard) Name() string { return k.guest.name }

// Text returns the chords that type a text. A new line is the key Enter.
func (k Keyboard) Text(text string) ([]Chord, error) {
	var out []Chord
	for i, char := range []rune(text) {
		chord, ok := k.chord(char)
		if !ok {
			return nil, fmt.Errorf("has %q as its character %d, which no key of the layout %s types alone", char, i+1, k.guest.name)
		}
		out = append(out, chord)
	}
	return out, nil
}

// chord returns the keys that type a character.
func (k Keyboard) chord(char rune) (Chord, bool) {
	switch char {
	case '\n', '\r':
		return Chord{enterKey}, true
	case '\t':
		return Chord{tabKey}, true
	case ' ':
		return Chord{' '}, true
	}
	at, ok := k.guest.keyOf(char)
	if !ok {
		return nil, false
	}
	if k.guest.name != k.qemu.name {
		if char, ok = k.onQEMU(at); !ok {
			return nil, false
		}
	}
	switch sym := uint32(char); { // Latin-1, and the euro, are their own keysyms
	case at.shift:
		return Chord{shiftKey, sym}, true
	case at.altGr:
		return Chord{altGrKey, sym}, true
	default:
		return Chord{sym}, true
	}
}

// onQEMU returns what QEMU's keyboard has on a key. What the extra key has, another key of most
// keyboards has too, so that QEMU would take that.
func (k Keyboard) onQEMU(at key) (rune, bool) {
	char := k.qemu.char(at)
	if char == ' ' {
		at.shift, at.altGr = false, false
		char = k.qemu.char(at)
	}
	return char, char != ' ' && !at.extra()
}
