package shell

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }
func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newSystem() *System {
	f := memfs.New(time.Now)
	for _, dir := range []string{"/tmp", "/root", "/etc", "/bin"} {
		_ = f.MkdirAll(dir, 0o755)
	}
	return &System{FS: f, Clock: realClock{}, Host: "box"}
}

// What a command prints, its status, and how long it takes.
func TestExec(t *testing.T) {
	for _, tt := range []struct {
		script, out, err string
		exit, signal     int
		takes            time.Duration
	}{
		{`echo hi; exit 3`, "hi\n", "", 3, 0, 0},
		{`printf 'a\0b'`, "a\x00b", "", 0, 0, 0},
		{`echo $((2+3)) ${x:-none}; x=1; echo "$x" '$x'`, "5 none\n1 $x\n", "", 0, 0, 0},
		{`(exit 3); echo rc=$?`, "rc=3\n", "", 0, 0, 0},
		{`nothere`, "", "sh: nothere: not found\n", 127, 0, 0},
		{`echo a | tr a b | cat; false | true; echo $?`, "b\n0\n", "", 0, 0, 0},
		{"cat <<E\nx $((1+1))\nE\ncat <<'E'\n$y\nE", "x 2\n$y\n", "", 0, 0, 0},
		{`echo out; echo err >&2`, "out\n", "err\n", 0, 0, 0},
		{`{ echo a; echo b >&2; } >/tmp/f 2>&1; cat /tmp/f`, "a\nb\n", "", 0, 0, 0},
		{`f() { local v=$1; echo "in $v"; return 4; }; f x; echo $?`, "in x\n4\n", "", 0, 0, 0},
		{`for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done; case abc in a*) echo yes;; esac`, "1\n3\nyes\n", "", 0, 0, 0},
		{`sleep 2; echo late`, "late\n", "", 0, 0, 2 * time.Second},
		{`timeout 3 sleep 10; echo $?`, "124\n", "", 0, 0, 3 * time.Second},
		{`sleep 5 & wait $!; echo $?`, "0\n", "", 0, 0, 5 * time.Second},
		{`kill -9 $$; echo no`, "", "", 0, 9, 0},
		{`trap 'echo bye' EXIT; echo hi`, "hi\nbye\n", "", 0, 0, 0},
		{`trap 'echo got' TERM; kill $$; echo on`, "got\non\n", "", 0, 0, 0},
		{`set -e; false; echo no`, "", "", 1, 0, 0},
		{
			`mkdir -p /tmp/d/e && echo x >/tmp/d/e/f && ls /tmp/d && find /tmp/d -maxdepth 1 && rm -r /tmp/d && ls /tmp/d`,
			"e\n/tmp/d\n/tmp/d/e\n", "ls: /tmp/d: No such file or directory\n", 1, 0, 0,
		},
		{
			`printf hello >/tmp/h; stat -c '%a %s' /tmp/h; chmod 600 /tmp/h; stat -c %a /tmp/h; sha256sum </tmp/h | cut -d' ' -f1`,
			"644 5\n600\n2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n", "", 0, 0, 0,
		},
		{`printf 'a b\nc\n' | while read -r x y; do echo "$y-$x"; done`, "b-a\n-c\n", "", 0, 0, 0},
		{`yes | head -n 2`, "y\ny\n", "", 0, 0, 0},
		{`echo aGk= | base64 -d; printf hi | base64`, "hiaGk=\n", "", 0, 0, 0},
		{`exec 3>/tmp/x; echo a >&3; exec 3>&-; cat /tmp/x`, "a\n", "", 0, 0, 0},
		{`x=$(echo a; exit 5); echo $x $?`, "a 5\n", "", 0, 0, 0},
		{`cat nothere; echo $?`, "1\n", "cat: can't open 'nothere': No such file or directory\n", 0, 0, 0},
		{`while :; do :; done`, "", "", 0, 9, 0},
		{`sh -c 'echo $0 $1; exit 7' n arg; echo $?`, "n arg\n7\n", "", 0, 0, 0},
		{`dd if=/dev/zero bs=1000 count=3 2>/dev/null | wc -c`, "3000\n", "", 0, 0, 0},
		{`export -p | head -n 1`, "export HOME='/root'\n", "", 0, 0, 0},
		{`mkdir -p /tmp/d/e; cp -R /tmp/d /tmp/c; ls /tmp/c`, "e\n", "", 0, 0, 0},
		{`ln -s d /tmp/l; mkdir /tmp/d; readlink -f /tmp/l/new; ls -l /tmp | cut -c 1`, "/tmp/d/new\nd\nl\n", "", 0, 0, 0},
		{`export A=$(false); echo $?; export B=${C?none}; echo no`, "0\n", "sh: C: none\n", 2, 0, 0},
		{`set ""; echo $#`, "1\n", "", 0, 0, 0},
		{`set a; echo ${00} ${01}`, "sh a\n", "", 0, 0, 0},
		{`basename`, "", "basename: missing operand\n", 1, 0, 0},
		{`truncate -s -5 /tmp/f`, "", "truncate: invalid number\n", 1, 0, 0},
		{`dd bs=-1`, "", "dd: invalid number '-1'\n", 1, 0, 0},
		{`dd of=/tmp/f seek=-1k`, "", "dd: invalid number '-1k'\n", 1, 0, 0},
		{`echo | od -N -1`, "", "od: invalid number '-1'\n", 1, 0, 0},
	} {
		got, ok := newSystem().Exec([]string{"sh", "-c", tt.script}, "")
		if !ok || got.Out != tt.out || got.Err != tt.err || got.Exit != tt.exit && tt.signal == 0 || got.Signal != tt.signal || got.Takes != tt.takes {
			t.Errorf("%s\n%q, want %q\n%q, want %q\nexit %d signal %d after %v", tt.script, got.Out, tt.out, got.Err, tt.err, got.Exit, got.Signal, got.Takes)
		}
	}
	got, _ := newSystem().Exec([]string{"cat"}, "in\x00put")
	if got.Out != "in\x00put" {
		t.Errorf("cat printed %q", got.Out)
	}
	if _, ok := newSystem().Exec([]string{"nothere"}, ""); ok {
		t.Error("a program that is not there ran")
	}
}

// screen is a session whose output is kept.
type screen struct {
	*Session
	sys *System
	mu  sync.Mutex
	out bytes.Buffer
	end bool
}

func start(t *testing.T) *screen {
	s := &screen{sys: newSystem()}
	s.Session = s.sys.Start(Banner, func(b []byte) { s.mu.Lock(); defer s.mu.Unlock(); s.out.Write(b) }, func() { s.end = true })
	t.Cleanup(func() {
		s.Close()
		s.sys.KillAll()
	})
	return s
}

// types types, waits until nothing happens, and returns what was shown.
func (s *screen) types(text string) string {
	s.Input([]byte(text))
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.out.Reset()
	return s.out.String()
}

const ask = "~ # \x1b[6n"

func TestSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []string // typed, shown, …
	}{
		{"echo", []string{"id\n", "id\r\nuid=0(root) gid=0(root)\r\n" + ask}},
		{"status", []string{"(exit 3); echo rc=$?\n", "(exit 3); echo rc=$?\r\nrc=3\r\n" + ask}},
		{"nothing", []string{"\n", "\r\n" + ask}},
		{"backspace", []string{"ecx\x7fho a\n", "ecx\b\x1b[Jho a\r\na\r\n" + ask}},
		{"^U", []string{"xy\x15echo b\n", "xy\b\b\x1b[Jecho b\r\nb\r\n" + ask}},
		{"^C at the prompt", []string{"xy\x03", "xy^C\r\n" + ask}},
		{"^C of a program", []string{"sleep 100\n", "sleep 100\r\n", "\x03", "^C\r\n" + ask}},
		{"^C of a loop", []string{"while :; do sleep 1; done\n", "while :; do sleep 1; done\r\n", "\x03", "^C\r\n" + ask}},
		{"no echo", []string{"stty -echo\n", "stty -echo\r\n~ # ", "echo hidden\n", "hidden\r\n~ # ", "stty echo\n", ask}},
		{"input of a program", []string{"cat\n", "cat\r\n", "ab\n", "ab\r\nab\r\n", "\x04", ask}},
		{"here-document", []string{"cat <<E\n", "cat <<E\r\n> \x1b[6n", "x\n", "x\r\n> \x1b[6n", "E\n", "E\r\nx\r\n" + ask}},
		{"the next line of the input", []string{"stty -echo\n", "stty -echo\r\n~ # ", "head -c 4; echo $?\nabc\n", "abc\r\n0\r\n~ # "}},
		{"a folder", []string{"cd /tmp\n", "cd /tmp\r\n/tmp # \x1b[6n"}},
		{"an answer about the cursor", []string{"\x1b[1;5R\n", "\r\n" + ask}},
		{"background", []string{"sleep 9 & echo $!\n", "sleep 9 & echo $!\r\n102\r\n" + ask, "kill -9 -- -102; wait; echo $?\n", "kill -9 -- -102; wait; echo $?\r\n0\r\n" + ask}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.types("")
				for i := 0; i < len(tt.steps); i += 2 {
					if got := s.types(tt.steps[i]); got != tt.steps[i+1] {
						t.Errorf("typed %q\n%q\nwant %q", tt.steps[i], got, tt.steps[i+1])
					}
				}
			})
		})
	}
}

// A line longer than the terminal keeps loses its end; shorter ones are whole.
func TestLongLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.types("stty -echo\n")
		s.types("cat >/tmp/f\n" + strings.Repeat("a", 5000) + "\n" + strings.Repeat("b", 4095) + "\n\x04")
		got, err := s.sys.FS.ReadFile("/tmp/f")
		if want := strings.Repeat("a", 4095) + "\n" + strings.Repeat("b", 4095) + "\n"; err != nil || string(got) != want {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// What a client does: a marker, both ways in base64, a session of its own, and its end.
func TestFramedCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.types("stty -echo\n")
		script := base64.StdEncoding.EncodeToString([]byte("echo out; echo err >&2; sleep 100 & sleep 30; exit 3"))
		s.types("mkdir /tmp/.m && echo " + script + " | base64 -d >/tmp/.m/s\n")
		got := s.types("sh /tmp/.m/s </dev/null >/tmp/.m/o 2>/tmp/.m/e & p=$!; wait $p; echo M-$?-M; base64 /tmp/.m/o\n")
		if got != "" {
			t.Errorf("it printed %q", got)
		}
		time.Sleep(31 * time.Second)
		if got := s.types(""); !strings.Contains(got, "M-3-M\r\nb3V0Cg==\r\n~ # ") {
			t.Errorf("it printed %q", got)
		}
		if got := s.types("ps | grep sleep\n"); !strings.Contains(got, "sleep 100") {
			t.Errorf("what it left behind has gone: %q", got)
		}
		s.types("sh -c 'setsid sh -c \"sleep 500 & sleep 600\" & p=$!; sleep 1; kill -9 -- -$p'\n")
		time.Sleep(2 * time.Second)
		s.types("")
		if got := s.types("ps | grep -c 'sleep [56]00'\n"); !strings.HasPrefix(got, "0\r\n") {
			t.Errorf("the group still runs: %q", got)
		}
		if s.types("exit\n"); !s.end {
			t.Error("the shell did not end")
		}
	})
}

// A process that was killed starts none that runs on, though it was about to.
func TestKilledProcessStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem()
		goes := make(chan struct{})
		parent := s.start(nil, []string{"sh"}, 0, func(p *Process) int {
			<-goes
			child := s.start(p, []string{"sleep", "1007"}, p.group, func(c *Process) int {
				c.sleep(1007 * time.Second)
				return 0
			})
			<-child.done
			return 0
		})
		began := time.Now()
		if err := s.Kill(-parent.PID, sigKILL); err != nil {
			t.Fatal(err)
		}
		close(goes)
		<-parent.done
		if took := time.Since(began); took > 0 {
			t.Errorf("what it has started ran for %v", took)
		}
	})
}
