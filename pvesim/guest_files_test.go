package pvesim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Files and programs see the same file system; bytes are characters of the same number.
func TestFilesOfAGuest(t *testing.T) {
	const agent = "/nodes/pve1/qemu/100/agent/"
	m := vm(func(g *pvesim.Guest) { g.Files = map[string]string{"/srv/big": strings.Repeat("x", 16<<20+1)} })
	m.PVE = "9.2.11"
	w := newWorld(t, m)
	run := func(script, want string) {
		t.Helper()
		r := w.do("POST", agent+"exec", map[string][]string{"command": {"sh", "-c", script}})
		pid, _ := r.Body.Data.(map[string]any)
		if got := w.answer("GET", fmt.Sprintf("%sexec-status?pid=%v#out-data", agent, pid["pid"])); got != want {
			t.Errorf("%s\nprinted %q, want %q", script, got, want)
		}
	}
	w.story(`POST ` + agent + `file-write?file=/tmp/a&content=h%C3%A9 => null
		GET ` + agent + `file-read?file=/tmp/a#content    => hé
		GET ` + agent + `file-read?file=/tmp/a#bytes-read => 2
		GET ` + agent + `file-read?file=/tmp/a&decode=0#content => aOk=
		POST ` + agent + `file-write?file=/tmp/b&encode=0&content=w6k= => null
		GET ` + agent + `file-read?file=/tmp/b#content    => Ã©
		POST ` + agent + `file-write?file=/tmp/c&content=%E2%82%AC => 500 Wide character in subroutine entry at /usr/share/perl5/PVE/API2/Qemu/Agent.pm line 569.
		GET ` + agent + `file-read?file=/srv/big#truncated => 1
		GET ` + agent + `file-read?file=/srv/big#bytes-read => 1.6777216e+07
		GET ` + agent + `file-read?file=/srv/big&offset=16777210&count=9#bytes-read => 7
		GET ` + agent + `file-read?file=/srv/none => 500 Agent error: failed to open file '/srv/none' (mode: 'r'): No such file or directory
		POST ` + agent + `file-write?file=/tmp&content=x => 500 Agent error: failed to open file '/tmp' (mode: 'wb'): Is a directory`)
	run("od -An -tx1 /tmp/a; printf new >/tmp/d; cat /proc/none", " 68 e9\n")
	w.story(`GET ` + agent + `file-read?file=/tmp/d#content => new`)
}

// On Windows, there are other paths, and no tools but those of the model.
func TestFilesOfWindows(t *testing.T) {
	const agent = "/nodes/pve1/qemu/100/agent/"
	w := newWorld(t, vm(func(g *pvesim.Guest) {
		g.Config["ostype"], g.Programs = "win11", map[string]pvesim.Program{"cmd /c ver": {Out: "Microsoft Windows\r\n"}}
		g.Files = map[string]string{"/C:/Users/a.txt": "hi"}
	}))
	w.story(`GET ` + agent + `file-read?file=C:%5CUsers%5Ca.txt#content => hi
		GET ` + agent + `file-read?file=C:%5Cb => 500 Agent error: failed to open file 'C:\b' (mode: 'r'): The system cannot find the file specified.
		POST ` + agent + `exec?command=sh => 500 Agent error: Failed to execute child process “sh” (No such file or directory)`)
}
