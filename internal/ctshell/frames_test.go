package ctshell

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

const mark = "0123456789abcdef01234567"

// dataOf is what the helper writes for data.
func dataOf(data []byte) string {
	var lines strings.Builder
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(76, len(text))
		lines.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return fmt.Sprintf("\r\n%s data %x\r\n%s\r\n%s end\r\n", mark, sha256.Sum256(data), lines.String(), mark)
}

// Whatever stands between messages, and wherever they are cut, data is exact or it is missing.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("data"), []byte("\x1b[6n~ # "), 3)
	f.Add([]byte{}, []byte(mark+" data x\nAAAA\n"), 1)
	f.Add([]byte("x"), []byte(mark), 7)
	f.Fuzz(func(t *testing.T, data, noise []byte, cut int) {
		if len(data) > partSize {
			data = data[:partSize]
		}
		p := frames{mark: mark}
		stream := []byte(string(noise) + "\n" + dataOf(data) + string(noise))
		var got []frame
		for size := max(1, cut); len(stream) > 0; {
			n := min(size, len(stream))
			got = append(got, p.feed(stream[:n])...)
			stream = stream[n:]
		}
		if len(p.line) > maxLine || len(p.text) > maxText {
			t.Errorf("keeps %d and %d bytes", len(p.line), len(p.text))
		}
		if bytes.Contains(noise, []byte(mark[:1])) { // it may look like a message
			return
		}
		if len(got) != 1 || !got[0].is("data") || !bytes.Equal(got[0].data, data) || got[0].data == nil {
			t.Errorf("got %v", got)
		}
	})
}

// Data that arrives damaged is missing, not wrong.
func TestDamagedData(t *testing.T) {
	whole := dataOf(bytes.Repeat([]byte("data"), 100))
	for name, stream := range map[string]string{
		"typed into":      strings.Replace(whole, "ZGF0", "ls -l", 1),
		"a line is gone":  whole[:120] + whole[200:],
		"a letter":        strings.Replace(whole, "ZGF0", "ZGFO", 1),
		"no checksum":     mark + " data\n" + mark + " end\n",
		"a person shouts": strings.Replace(whole, "\r\nZGF0", "\r\nhello\r\nZGF0", 1),
	} {
		p := frames{mark: mark}
		if got := p.feed([]byte(stream)); len(got) != 1 || got[0].data != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What stands on the line of the cursor is what a person sees there.
func TestLastLine(t *testing.T) {
	for out, want := range map[string]string{
		"\x1b[H\x1b[J\r\r\n\r\r\nBusyBox\r\r\n\r\r\n~ # \x1b[6n\r~ # \x1b[J": "~ # ",
		"\x1b]0;root@ct: ~\x07root@ct:~# ls\b\x1b[K":                         "root@ct:~# l",
		"\x1b[?2004hct# ": "ct# ",
		"abc\rd":          "dbc",
		"a\x1b[3Cb":       "a   b",
		"\xffä\x1b[1Dx":   "\ufffdx",
		"\r\ncty login: ": "cty login: ",
	} {
		if got := lastLine([]byte(out)); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}

func TestPrompts(t *testing.T) {
	for line, want := range map[string]bool{
		"~ # ": true, "root@ct:/var/www# ": true, "[root@ct ~]# ": true, "ct:~$ ": true, "# ": true,
		"root@ct:~# ls": false, "ls #": true, "root@ct:~# ls #": false, "> ": false, "postgres=# ": false,
		"": false, "cty login: ": false, "Password: ": false, ">>> ": false, "mysql> ": false,
	} {
		if got := isPrompt(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	if !isLogin("ct login: ") || !isLogin("Password: ") || isLogin("root@ct:~# ") {
		t.Error("logins")
	}
}

func FuzzLastLine(f *testing.F) {
	f.Add([]byte("\x1b[99999999Cx\x1b[2J\x1b]0;"))
	f.Fuzz(func(t *testing.T, out []byte) {
		if line := lastLine(out); len([]rune(line)) > columns {
			t.Errorf("%d characters", len(line))
		}
	})
}
