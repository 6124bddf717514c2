package keyboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/keyboard"
)

func write(chords ...keyboard.Chord) string {
	var out []string
	for _, c := range chords {
		var keys []string
		for _, k := range c {
			if k > ' ' && k < 0x3000 {
				keys = append(keys, string(rune(k)))
			} else {
				keys = append(keys, fmt.Sprintf("%x", k))
			}
		}
		out = append(out, strings.Join(keys, "+"))
	}
	return strings.Join(out, " ")
}

// Text is typed by the keys that type it in the guest, of the keyboard that QEMU has.
func TestText(t *testing.T) {
	for _, tt := range []struct{ guest, qemu, text, want string }{
		{"", "", "a B1!\n", "a 20 ffe1+B 1 ffe1+! ff0d"},
		{"", "en-us", "~|", "ffe1+~ ffe1+|"},
		{"", "de", "zY@€ß", "z ffe1+Y fe03+@ fe03+€ ß"},
		{"de", "", "zY-/@ö_", "y ffe1+Z / ffe1+& fe03+q ; ffe1+?"},
		{"us", "de", "zy/", "y z -"},
		{"fr", "", "aq1.", "q a ffe1+! ffe1+<"},
		{"gb", "en-gb", "\"@£", "ffe1+\" ffe1+@ ffe1+£"},
		{"es", "es", "ñ[{", "ñ fe03+[ fe03+{"},
		{"it", "it", "@#\\", "fe03+@ fe03+# \\"},
	} {
		k, err := keyboard.For(tt.guest, tt.qemu)
		if err != nil {
			t.Fatal(err)
		}
		chords, err := k.Text(tt.text)
		if got := write(chords...); err != nil || got != tt.want {
			t.Errorf("%s on %s, %q: %q %v, want %q", tt.guest, tt.qemu, tt.text, got, err, tt.want)
		}
	}
}

// What cannot be typed for certain is refused.
func TestTextRefused(t *testing.T) {
	for _, tt := range []struct{ guest, qemu, text, want string }{
		{"", "", "naïve", `has 'ï' as its character 3, which no key of the layout us types alone`},
		{"de", "de", "^", `has '^'`},
		{"de", "", "<", `has '<'`}, // QEMU's keyboard has it on two keys
		{"", "tr", "a", "the VM's option keyboard is tr, and where the keys of that are is not known"},
		{"de", "tr", "a", "cannot be typed in another layout"},
		{"xx", "", "a", "the layout xx is not known: only us, gb, de, fr, es, it"},
	} {
		k, err := keyboard.For(tt.guest, tt.qemu)
		if err == nil {
			_, err = k.Text(tt.text)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s on %s, %q: %v", tt.guest, tt.qemu, tt.text, err)
		}
	}
}

// Each layout types each letter and digit, and each of its characters by one key.
func TestLayouts(t *testing.T) {
	for _, name := range keyboard.Layouts() {
		for _, qemu := range []string{name, ""} {
			k, err := keyboard.For(name, qemu)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,-/" {
				if chords, err := k.Text(string(r)); err != nil || len(chords) != 1 {
					t.Errorf("%s on %q: %q: %v", name, qemu, r, err)
				}
			}
		}
	}
}

func TestChord(t *testing.T) {
	k, err := keyboard.For("", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ctrl-alt-del": "ffe3+ffe9+ffff", "Ctrl+Alt+F2": "ffe3+ffe9+ffbf", "enter": "ff0d", "F12": "ffc9", "ctrl-c": "ffe3+c", "alt--": "ffe9+-", "-": "-", "shift": "ffe1", "alt-sysrq-b": "ffe9+ff61+b",
	} {
		c, err := k.Chord(name)
		if got := write(c); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
		presses := c.Presses()
		if len(presses) != 2*len(c) || !presses[0].Down || presses[len(presses)-1] != (keyboard.Press{Keysym: c[0]}) {
			t.Errorf("%s: %v", name, presses)
		}
	}
	for _, name := range []string{"", "hyper-x", "f13", "ctrl-", "enterr"} {
		if c, err := k.Chord(name); err == nil || !strings.Contains(err.Error(), "no key is called") {
			t.Errorf("%q: %v %v", name, c, err)
		}
	}
}

func TestSequence(t *testing.T) {
	for name, want := range map[string]string{"enter": "\r", "ctrl-c": "\x03", "Ctrl-D": "\x04", "up": "\x1b[A", "f1": "\x1bOP", "alt-x": "\x1bx", "esc": "\x1b", "ctrl-[": "\x1b", "q": "q"} {
		if got, err := keyboard.Sequence(name); err != nil || got != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"ctrl-alt-del": "has", "shift-a": "only ctrl and alt", "capslock": "does not have", "nothing": "no key is called", "": "no key is called"} {
		if got, err := keyboard.Sequence(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q %v", name, got, err)
		}
	}
}

// Whatever is typed, each press has its release.
func FuzzText(f *testing.F) {
	f.Add("Hello\n", "de", "ctrl-x")
	f.Fuzz(func(t *testing.T, text, layout, name string) {
		k, err := keyboard.For(layout, "")
		if err != nil {
			return
		}
		chords, _ := k.Text(text)
		if c, err := k.Chord(name); err == nil {
			chords = append(chords, c)
		}
		_, _ = keyboard.Sequence(name)
		held := map[uint32]int{}
		for _, c := range chords {
			for _, p := range c.Presses() {
				if p.Down {
					held[p.Keysym]++
				} else {
					held[p.Keysym]--
				}
			}
		}
		for key, n := range held {
			if n != 0 {
				t.Errorf("%x is held %d times", key, n)
			}
		}
	})
}
