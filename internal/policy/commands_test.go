package policy_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

func TestExecAllow(t *testing.T) {
	allowed, err := policy.ParseCommands("/usr/bin/uptime; /usr/bin/systemctl status *; /bin/ls **; /bin/df -* *; /bin/cat -**; /bin/echo ?x [^a]*; " +
		`/bin/tail /var/log/*; /bin/cp ../*; C:\Windows\ipconfig.exe *; C:\Windows\ping.exe -* /*; C:\Windows\more.com *`)
	if err != nil {
		t.Fatal(err)
	}
	p := policy.Policy{Exec: true, ExecAllow: allowed}
	for argv, ok := range map[string]bool{
		"/usr/bin/uptime":                       true,
		"/usr/bin/uptime -p":                    false,
		"uptime":                                false,
		"/usr/bin/systemctl status x/y":         true,
		"/usr/bin/systemctl stop x":             false,
		"/usr/bin/systemctl status":             false,
		"/usr/bin/systemctl status x y":         false,
		"/bin/ls":                               true,
		"/bin/ls /etc /usr":                     true,
		"/bin/ls -la /etc":                      false,
		"/bin/ls /etc -la":                      false,
		"/usr/bin/systemctl status -Hroot@evil": false,
		"/bin/df -h /":                          true,
		"/bin/df / -h":                          false,
		"/bin/df / /":                           false,
		"/bin/cat -n /etc/hosts":                true,
		"/bin/cat":                              true,
		"/bin/echo -x b":                        false,
		"/bin/echo ax -n":                       false,
		"/bin/echo ax b":                        true,
		"/bin/sh -c ls":                         false,
		"/usr/bin/../bin/uptime":                false,
		"/usr/bin/systemctl status *; true":     false,
		"/bin/tail /var/log/syslog":             true,
		"/bin/tail /var/log/apt/term.log":       true,
		"/bin/tail /var/log/a..b":               true,
		"/bin/tail /var/log/../../etc/shadow":   false,
		"/bin/ls /var/..":                       true,
		"/bin/cat -n ../etc/shadow":             true,
		"/bin/cp ../x":                          true,
		`C:\Windows\ipconfig.exe Ethernet`:      true,
		`C:\Windows\ipconfig.exe /release`:      false,
		`C:\Windows\ping.exe -n /t`:             true,
		`C:\Windows\more.com c:\x\..\y`:         false,
		`C:Windowsipconfig.exe Ethernet`:        false,
		"/usr/bin/systemctl status \x00-Hevil":  false,
		"/bin/tail /var/log/..\x00/shadow":      false,
	} {
		if got := p.RefuseCommand(strings.Split(argv, " "), false); (got == "") != ok {
			t.Errorf("%q: %q", argv, got)
		}
		command := url.Values{"command": strings.Split(argv, " ")}
		got := try(t.Context(), t, &policy.Guard{Policy: p}, "POST", "/nodes/a/qemu/100/agent/exec?"+command.Encode())
		if (got == "") != ok {
			t.Errorf("%s: %q", argv, got)
		}
	}
	for _, bad := range []string{"uptime", "/usr/bin/*", "/bin/ls ** x", "/bin/ls a**", "/bin/ls --**", "/bin/ls -** x", "/bin/ls [", "x; /bin/ls"} {
		if _, err := policy.ParseCommands(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// Standard input may be a script: it is allowed only where a pattern says so.
func TestExecAllowOfStandardInput(t *testing.T) {
	allowed, err := policy.ParseCommands("/bin/cat <; /usr/bin/tee /etc/motd <; /bin/ls -** <; /bin/bash; /bin/echo [<]")
	if err != nil {
		t.Fatal(err)
	}
	for argv, want := range map[string]struct{ without, with bool }{
		"/bin/cat":                 {true, true},
		"/usr/bin/tee /etc/motd":   {true, true},
		"/usr/bin/tee /etc/shadow": {false, false},
		"/bin/ls -l /etc":          {true, true},
		"/bin/bash":                {true, false},
		"/bin/echo <":              {true, false},
		"/bin/cat <":               {false, false},
	} {
		for input, ok := range map[string]bool{"": want.without, "rm -rf /": want.with} {
			params := url.Values{"command": strings.Split(argv, " "), "input-data": {input}}
			got := try(t.Context(), t, &policy.Guard{Policy: policy.Policy{Exec: true, ExecAllow: allowed}}, "POST", "/nodes/a/qemu/100/agent/exec?"+params.Encode())
			if (got == "") != ok {
				t.Errorf("%s with %q: %q", argv, input, got)
			}
		}
	}
	for _, bad := range []string{"<", "/bin/ls ** x <", "/bin/ls < < **"} {
		if _, err := policy.ParseCommands(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
