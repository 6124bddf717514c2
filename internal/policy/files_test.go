package policy_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/pve"
)

// fileRequest is the request that runs a command for files in a VM.
func fileRequest(argv []string) string {
	return "/nodes/a/qemu/100/agent/exec?" + url.Values{"command": argv}.Encode()
}

func TestFilesAllow(t *testing.T) {
	files, err := policy.ParseFiles("/srv/**; /var/log/*.log; /etc/*/conf.d/**")
	if err != nil {
		t.Fatal(err)
	}
	g := &policy.Guard{Policy: policy.Policy{Exec: true, ExecAllow: []policy.Command{{"/bin/true"}}, FilesAllow: files}}
	for name, ok := range map[string]bool{
		"/srv": true, "/srv/a/b": true, "/srv2/a": false, "/": false, "/srv/../etc/shadow": false, "/srv//a": false, "srv/a": false, "/srv/a/..": false,
		"/var/log/a.log": true, "/var/log/a/b.log": false, "/var/log": false, "/etc/x/conf.d/y": true, "/etc/conf.d/y": false, `C:\srv\a`: false,
	} {
		if got := try(t.Context(), t, g, "POST", fileRequest(policy.FileCommand(policy.FileRead, name, name, "1", "9"))); (got == "") != ok {
			t.Errorf("%s: %q", name, got)
		}
		if got := try(t.Context(), t, g, "POST", fileRequest(policy.FileCommand(policy.FileRead, "/srv/link", name, "1", "9"))); (got == "") != ok {
			t.Errorf("a link to %s: %q", name, got)
		}
	}
	other := policy.FileCommand(policy.FileRead, "/srv/a", "/srv/a", "1", "9")
	other[2] += "\ncat /etc/shadow"
	for what, argv := range map[string][]string{
		"a path of which nobody knows where it leads": policy.FileCommand(policy.FileRead, "/srv/a", "", "1", "9"),
		"another program": other,
		"another shell":   slices.Concat([]string{"/bin/bash"}, policy.FileCommand(policy.FileWhere, "/srv/a", "")[1:]),
	} {
		if got := try(t.Context(), t, g, "POST", fileRequest(argv)); got == "" {
			t.Errorf("%s was sent", what)
		}
	}
	for _, request := range [][2]string{{"GET", "/nodes/a/qemu/100/agent/file-read?file=/srv/a"}, {"POST", "/nodes/a/qemu/100/agent/file-write?file=/srv/a&content=x"}} {
		if got := try(t.Context(), t, g, request[0], request[1]); got == "" {
			t.Errorf("%s was sent", request)
		}
	}
}

func TestParseFilesRefuses(t *testing.T) {
	for _, text := range []string{"etc/**", "/a/**/b", "/a/[", "/a/../b", "/a/", "/a//b", ";", `C:\a`} {
		if got, err := policy.ParseFiles(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// A consent for a file is for commands with that file, as many as it takes.
func TestGrantOfFile(t *testing.T) {
	g := &policy.Guard{Policy: policy.Policy{Exec: true, Confirm: policy.Human}}
	ask := policy.Ask{Risk: policy.Exec, CanAsk: true, Answer: &policy.Answer{Action: "accept", Agreed: true}}
	_, consent := g.Policy.Decide(ask)
	target, whole := policy.TargetOf("POST", []string{"nodes", "a", "qemu", "100", "agent", "exec"}, url.Values{})
	if target.File = "/srv/a"; !whole || target.Subject != policy.Guest(pve.VMID(100)) {
		t.Fatalf("target %+v", target)
	}
	ctx := consent.Grant(t.Context(), target)
	for range 2 {
		if got := try(ctx, t, g, "POST", fileRequest(policy.FileCommand(policy.FileSum, "/srv/a", ""))); got != "" {
			t.Errorf("the file: %q", got)
		}
	}
	for _, argv := range [][]string{policy.FileCommand(policy.FileSum, "/srv/b", ""), {"/bin/true"}} {
		if got := try(ctx, t, g, "POST", fileRequest(argv)); got == "" {
			t.Errorf("%q was sent", argv)
		}
	}
}
