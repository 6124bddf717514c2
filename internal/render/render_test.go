package render

import (
	"strings"
	"testing"
	"time"
)

func TestRender(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Bytes(0), "0 B"},
		{Bytes(1023), "1023 B"},
		{Bytes(1024), "1 KiB"},
		{Bytes(33554432000), "31.25 GiB"},
		{Bytes(1 << 60), "1 EiB"},
		{Bytes(-2048), "-2 KiB"},
		{Duration(0), "0s"},
		{Duration(800 * time.Millisecond), "0.8s"},
		{Duration(65 * time.Second), "1m 5s"},
		{Duration(2 * time.Hour), "2h"},
		{Duration(24*time.Hour + 5*time.Second), "1d"},
		{Duration(76*time.Hour + 30*time.Minute), "3d 4h"},
		{Text("plain näme", 20), "plain näme"},
		{Text("a\x1b[31mred\x1b[0m\x07 \x1b]0;title", 20), "ared ]0;title"},
		{Text("evil\u202etxt.exe\u200b", 20), "eviltxt.exe"},
		{Text("two\nlines", 20), "two lines"},
		{Text("a\u2028b\u2029c\u0085d", 20), "a b c d"},
		{Lines("a\u2028b\tc", 20), "a\nb\tc"},
		{Text("\u3164\u115f\u1160\uffa0 x\u034f\u17b4\ufe0f\U000e0100\u2800\u00ad\U000e0041\u2066\ufeff y", 20), "x y"},
		{Text("a\u00a0b\u3000c\u2003d", 20), "a b c d"},
		{Text("\ue000\ufdd0\U0010ffff\u0378 🙂 é ñ 日本", 20), "🙂 é ñ 日本"},
		{Said("the pass\u200bword is \u3164hunter2", 60), "the password is " + Mask},
		{Said("DB_PASS=hunter2hunter2hunter2", 12), "DB_PASS=****…(+6)"},
		{Text(" in the middle ", 20), "in the middle"},
		{Text("  0123  ", 4), "0123"},
		{Text("~}|", 3) + Text("\x7f", 3) + Text("\tx\t", 3), "~}|x"},
		{Text("0123456789", 4), "0123…(+6)"},
		{Text("cut \x1b[", 20), "cut"},
		{List(nil), ""},
		{List([]string{"a"}), "a"},
		{List([]string{"a", "b", "c"}), "a, b and c"},
		{List(strings.Split(strings.Repeat("x ", 41)+"x", " ")), strings.Repeat("x, ", 39) + "x and 2 more"},
		{strings.Join(Few([]string{"a", "b"}, 2), "|"), "a|b"},
		{strings.Join(Few([]string{"a", "b", "c", "d"}, 2), "|"), "a|b|and 2 more like these"},
		{Time(time.Unix(0, 0).UTC()), "1970-01-01T00:00:00Z"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	if got := Percent(0.12345); got != 12.3 {
		t.Errorf("Percent: %v", got)
	}
}
