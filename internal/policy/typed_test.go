package policy_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// The command that a call types into the console of a container is judged as a command of the
// agent is: by the grant that names it.
func TestTypedCommand(t *testing.T) {
	allowed, err := policy.ParseCommands("/usr/bin/uptime; /bin/cat <")
	if err != nil {
		t.Fatal(err)
	}
	const console = "/nodes/pve1/lxc/200/vncwebsocket"
	terminal := func(text string) []byte { return []byte("mcp@pve!ops:PVEVNC:1\n" + text) }
	const typed = "0:2:ls"
	for name, tt := range map[string]struct {
		allow   []policy.Command
		command []string
		stdin   bool
		guest   int
		may     bool
	}{
		"one that is allowed":            {allowed, []string{"/usr/bin/uptime"}, false, 200, true},
		"with input":                     {allowed, []string{"/bin/cat"}, true, 200, true},
		"with input that it may not get": {allowed, []string{"/usr/bin/uptime"}, true, 200, false},
		"another one":                    {allowed, []string{"/bin/rm"}, false, 200, false},
		"keys of any kind":               {allowed, nil, false, 200, false},
		"all are":                        {nil, []string{"/bin/rm"}, false, 200, true},
		"in another container":           {allowed, []string{"/usr/bin/uptime"}, false, 201, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy.Policy{Exec: true, ExecAllow: tt.allow}
			_, consent := p.Decide(policy.Ask{Risk: policy.Exec})
			ctx := consent.Grant(t.Context(), policy.Target{
				Method: "GET", Path: "/nodes/*/lxc/*/vncwebsocket", Subject: policy.Guest(tt.guest), Command: tt.command, Stdin: tt.stdin,
			})
			w := &wire{}
			conn, err := openConsole(ctx, t, p, console, w)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(masked(2, terminal(typed))); err != nil {
				t.Fatal(err)
			}
			want := string(terminal(""))
			if tt.may {
				want += typed
			}
			if got := string(payloads(t, w.Bytes())); got != want {
				t.Errorf("what arrives is %q", got)
			}
			if tt.guest != 200 {
				return
			}
			if reason := try(ctx, t, &policy.Guard{Policy: p}, "POST", "/nodes/pve1/lxc/200/termproxy"); (reason == "") != tt.may {
				t.Errorf("offered: %q", reason)
			}
		})
	}
}
