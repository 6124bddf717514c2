package terminal_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/cli/terminal"
)

func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, answer, want string
		width              int
	}{
		{"a list of objects", `{"guests":[{"vmid":100,"name":"web","mem":1024,"mem_human":"1 KiB","tags":[]},{"vmid":9,"template":true}],"total":2}`, `
VMID  NAME  MEM    TEMPLATE
 100  web   1 KiB
   9               yes

total  2
`, 80},
		{"a change", `{"message":"Start of VM 100: done.","outcome":"ok","log":["one line","another"],"uptime":"1s","uptime_seconds":1,"change":null}`, `
message  Start of VM 100: done.
outcome  ok
log:
  - one line
  - another
uptime  1s
change
`, 80},
		{"text that is too long", `{"message":"one two three four five","upid":"UPID:pve1:00000001:"}`, `
message  one two
         three four
         five
upid     UPID:pve1:00000001:
`, 19},
		{"several lines", `{"stdout":"a\n  b\n","exit":0,"none":[]}`, `
stdout:
  a
    b
exit  0
none  none
`, 0},
		{"what a terminal would take for a command", `{"name":"a\u001b[31mb\u0007\u202ec","text":"x\u001b]0;t\ny"}`, `
name  abc
text:
  x]0;t
  y
`, 80},
		{"objects in objects", `{"a":{"b":1,"c":"d"},"e":{"f":[{"g":1}]}}`, `
a  b 1, c d
e:

  f:
    G
    1

`, 80},
		{"a narrow terminal", `{"tasks":[{"upid":"UPID:pve3:000005AC:0BE8B4C0:6B03822A:qmstart:105:","type":"qmstart","status":"start failed: QEMU exited with 1","node":"pve3"}]}`, `
TYPE     STATUS
qmstart  start failed: QEMU …
  upid UPID:pve3:000005AC:0BE8B4C0:6B03822A:qmstart:105:
(too narrow for node; -o json
has all)

`, 30},
		{"none", `{"guests":[],"total":0}`, "\nguests  none\ntotal   0\n", 80},
		{"no object", `[1,2]`, "\nanswer  1, 2\n", 80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := terminal.Answer(&b, []byte(tt.answer), tt.width); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if err := terminal.Answer(&strings.Builder{}, []byte(`{"a":`), 80); err == nil {
		t.Error("half an answer is shown")
	}
}

// What else is written stands above the bar, and nothing of it is left at the end.
func TestBar(t *testing.T) {
	var b strings.Builder
	bar := terminal.NewBar(&b, func() int { return 40 })
	bar.Show(0, 0, "Backup: begun")
	bar.Show(50, 100, "Backup: 50%, and so much to say that it does not fit")
	if _, err := bar.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	bar.Show(200, 100, "done")
	bar.End()
	bar.End()
	half := "[##########----------] Backup: 50%, an…"
	want := strings.Join([]string{
		"\rBackup: begun", "\r" + half, "\r" + strings.Repeat(" ", 39) + "\ra line\n\r" + half,
		"\r[####################] done" + strings.Repeat(" ", 12), "\r" + strings.Repeat(" ", 27) + "\r",
	}, "")
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	page := "## `tool`\n\nDoes something.\n\n| name | type | meaning |\n|---|---|---|\n| `vmid` (required) | integer | one two three |\n| `x` | string |  |\n\n| name |\n|---|\n\n- an item\n"
	if err := terminal.Markdown(&b, page, 40); err != nil {
		t.Fatal(err)
	}
	want := `TOOL

Does something.

  NAME             TYPE     MEANING
  vmid (required)  integer  one two
                            three
  x                string

  none

  - an item
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
