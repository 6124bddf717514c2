package rfb

import "testing"

// Characters are where code page 437 has them; what it lacks is a question mark.
func TestIndex(t *testing.T) {
	for char, want := range map[rune]int{'A': 65, ' ': 32, 'Ç': 128, '─': 0xc4, '■': 254, '\u00a0': 255, '€': '?'} {
		if got := index(char); got != want {
			t.Errorf("%q is at %d, want %d", char, got, want)
		}
	}
}
