package apischema

import "testing"

func TestPerlPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, value string
		want           bool
	}{
		{`(?^:(?^i:[a-z]+)x)`, "ABx", true},
		{`(?^:(?^i:[a-z]+)x)`, "ABX", false},
		{`[A-Za-z]{,3}`, "abc", true},
		{`[A-Za-z]{,3}`, "abcd", false},
		{`/dev/a\d+|/dev/b\d+`, "/dev/a1 and more", true}, // the anchors bind tighter, in Perl too
		{`(?^:^x$)`, "x\n", true},
		{`[$]\0\$`, "$\x00$", true},
	} {
		if got := new(Facts).matchPerl(tt.pattern, tt.value); got != tt.want {
			t.Errorf("%s on %q: %v, want %v", tt.pattern, tt.value, got, tt.want)
		}
	}
}
