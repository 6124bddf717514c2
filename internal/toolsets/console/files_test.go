package console_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	runsInVM   = "POST /nodes/{node}/qemu/{vmid}/agent/exec"
	opensShell = "POST /nodes/{node}/lxc/{vmid}/termproxy"
	writesFile = "POST /nodes/{node}/qemu/{vmid}/agent/file-write"
)

// binaryFile has every byte.
func binaryFile() string {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	return string(all)
}

// bigFile is a megabyte, or for a short run somewhat more than a console reads at a time.
func bigFile() string { return strings.Repeat("0123456789abcde\n", effort.Of(17_000, 1<<16, 1<<16)) }

// withFiles gives a guest files, and a container a console with a shell.
func withFiles(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) {
		if g.Kind == "lxc" {
			g.Config["cmode"] = "shell"
		}
		g.Files = map[string]string{
			"/srv/text":      "line one\nzwei: äöü €\n",
			"/srv/binary":    binaryFile(),
			"/srv/empty":     "",
			"/srv/colours":   "\x1b[31mred\x1b[0m\n",
			"/srv/big":       bigFile(),
			"/srv/dir/it's":  "quoted",
			"/srv/dir/.hid":  "hidden",
			"/etc/shadow":    "root:secret\n",
			"/C:/data/a.txt": "ä of Windows\r\n",
		}
	})
}

// places are a VM and a container on PVE 9, and a VM on 8, with what each call sends.
func places() map[string]sim.Story {
	return map[string]sim.Story{
		"VM":      {Options: sim.Options{Model: sim.Cluster(withFiles(100))}, Args: "100", Writes: []string{runsInVM}},
		"VM on 8": {Options: sim.Options{Model: sim.Cluster(sim.Version("8.4.1"), withFiles(100))}, Args: "100", Writes: []string{runsInVM}},
		"CT":      {Options: sim.Options{Model: sim.Cluster(sim.Version("9.2.11"), withFiles(203))}, Args: "203", Writes: []string{opensShell}},
	}
}

// tellEverywhere tells stories of a tool in all places, with the vmid for VMID.
func tellEverywhere(t *testing.T, name string, requests int, stories []sim.Story) {
	t.Helper()
	for place, with := range places() {
		var all []sim.Story
		for _, s := range stories {
			s.Name, s.Options = place+": "+s.Name, with.Options
			s.Args, s.First = strings.ReplaceAll(s.Args, "VMID", with.Args), strings.ReplaceAll(s.First, "VMID", with.Args)
			if s.Writes = with.Writes; place != "CT" {
				for range requests - 1 {
					s.Writes = append(s.Writes, runsInVM)
				}
			}
			all = append(all, s)
		}
		sim.Tell(t, name, all)
	}
}

func TestReadFile(t *testing.T) {
	tellEverywhere(t, "pve_read_file", 1, []sim.Story{
		{Name: "text", Args: `{"vmid":VMID,"path":"/srv/text"}`, Outcome: tool.OK, Says: []string{`"text":"line one\nzwei: äöü €\n"`, `"size":26`, `"mode":"644"`, `"owner":"0:0"`, "bytes 0 to 26 of 26"}, Lacks: []string{`"base64"`, `"more"`}},
		{Name: "binary", Args: `{"vmid":VMID,"path":"/srv/binary"}`, Outcome: tool.OK, Says: []string{`"base64":"` + base64.StdEncoding.EncodeToString([]byte(binaryFile())) + `"`, `"bytes":256`}, Lacks: []string{`"text"`}},
		{Name: "text in base64", Args: `{"vmid":VMID,"path":"/srv/colours","base64":true}`, Outcome: tool.OK, Says: []string{`"base64":"` + base64.StdEncoding.EncodeToString([]byte("\x1b[31mred\x1b[0m\n"))}},
		{Name: "what a terminal obeys", Args: `{"vmid":VMID,"path":"/srv/colours"}`, Outcome: tool.OK, Says: []string{"left out of the text", "base64: true"}, Lacks: []string{`\u001b`}},
		{Name: "a range", Args: `{"vmid":VMID,"path":"/srv/text","offset":5,"length":3}`, Outcome: tool.OK, Says: []string{`"text":"one"`, `"more":8`, "bytes 5 to 8 of 26", "offset: 8"}},
		{Name: "a range that ends within a character", Args: `{"vmid":VMID,"path":"/srv/text","offset":9,"length":7}`, Outcome: tool.OK, Says: []string{`"text":"zwei: "`, `"more":15`}},
		{Name: "from its end on", Args: `{"vmid":VMID,"path":"/srv/text","offset":27}`, Outcome: tool.OK, Says: []string{"none from 27 on"}},
		{Name: "empty", Args: `{"vmid":VMID,"path":"/srv/empty"}`, Outcome: tool.OK, Says: []string{"is empty", `"size":0`}},
		{Name: "a megabyte", Args: `{"vmid":VMID,"path":"/srv/big"}`, Outcome: tool.OK, Says: []string{fmt.Sprintf(`"size":%d`, len(bigFile())), `"more":`, "Go on with offset"}},
		{Name: "none", Args: `{"vmid":VMID,"path":"/srv/nothing"}`, Outcome: tool.Failed, Says: []string{"There is no /srv/nothing in "}},
		{Name: "a folder", Args: `{"vmid":VMID,"path":"/srv/dir"}`, Outcome: tool.Failed, Says: []string{"/srv/dir in ", "is a folder", "pve_list_files"}},
		{Name: "a device", Args: `{"vmid":VMID,"path":"/dev/zero"}`, Outcome: tool.Failed, Says: []string{"not a file"}},
	})
}

func TestListFiles(t *testing.T) {
	tellEverywhere(t, "pve_list_files", 1, []sim.Story{
		{Name: "a folder", Args: `{"vmid":VMID,"path":"/srv/dir"}`, Outcome: tool.OK, Says: []string{`has 2 entries`, `"name":".hid","kind":"file","size":6,"mode":"644","owner":"root:root"`, `"name":"it's"`}},
		{Name: "another", Args: `{"vmid":VMID,"path":"/srv"}`, Outcome: tool.OK, Says: []string{`"name":"dir","kind":"folder"`, fmt.Sprintf(`"size":%d`, len(bigFile()))}},
		{Name: "a part", Args: `{"vmid":VMID,"path":"/srv/dir","offset":1}`, Outcome: tool.OK, Says: []string{"these are 1 from 1 on"}, Lacks: []string{".hid"}},
		{Name: "a file", Args: `{"vmid":VMID,"path":"/srv/text"}`, Outcome: tool.Failed, Says: []string{"is no folder", "pve_read_file"}},
		{Name: "none", Args: `{"vmid":VMID,"path":"/srv/nothing"}`, Outcome: tool.Failed, Says: []string{"There is no /srv/nothing"}},
	})
}

func TestWriteFile(t *testing.T) {
	tellEverywhere(t, "pve_write_file", 3, []sim.Story{
		{Name: "a new one", Args: `{"vmid":VMID,"path":"/srv/new","text":"ä\n"}`, Outcome: tool.OK, Says: []string{"3 bytes were written to /srv/new", "verified", `"size":3`, `"mode":"644"`}},
		{Name: "mode and owner stay", First: `pve_vm_exec {"vmid":VMID,"shell":"chmod 4640 /srv/text && chown 33:44 /srv/text"}`, Args: `{"vmid":VMID,"path":"/srv/text","text":"x"}`, Outcome: tool.OK, Says: []string{`"mode":"4640"`, `"owner":"33:44"`, `"size":1`}},
		{Name: "bytes", Args: fmt.Sprintf(`{"vmid":VMID,"path":"/srv/text","base64":%q}`, base64.StdEncoding.EncodeToString([]byte(binaryFile()))), Outcome: tool.OK, Says: []string{`"sha256":"40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880"`}},
		{Name: "appended", Args: `{"vmid":VMID,"path":"/srv/dir/.hid","text":" more","append":true}`, Outcome: tool.OK, Says: []string{"5 bytes were appended", `"size":11`}},
		{Name: "appended to none", Args: `{"vmid":VMID,"path":"/srv/none","text":"more","append":true}`, Outcome: tool.OK, Says: []string{`"size":4`}},
		{Name: "through a link", First: `pve_vm_exec {"vmid":VMID,"shell":"ln -s /srv/text /srv/link"}`, Args: `{"vmid":VMID,"path":"/srv/link","text":"x"}`, Outcome: tool.OK, Says: []string{`"size":1`}},
	})
	tellEverywhere(t, "pve_write_file", 1, []sim.Story{
		{Name: "a folder", Args: `{"vmid":VMID,"path":"/srv/dir","text":"x"}`, Outcome: tool.Failed, Says: []string{"is a folder"}},
		{Name: "in no folder", Args: `{"vmid":VMID,"path":"/srv/no/file","text":"x"}`, Outcome: tool.Failed, Says: []string{"There is no /srv/no/file"}},
	})
}

// A megabyte arrives in pieces, with progress, and what was written can be read again. Nothing
// else is left in its folder.
func TestWriteMuch(t *testing.T) {
	for place, with := range places() {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with.Policy.Exec = true
				w := sim.New(t, with.Options)
				much := strings.Repeat("0123456789abcdeF\n", effort.Of(6_200, 62_000, 62_000))
				a := w.Call("pve_write_file", fmt.Sprintf(`{"vmid":%s,"path":"/srv/dir/much","text":%q}`, with.Args, much))
				if a.Outcome != tool.OK || a.Fields["size"] != float64(len(much)) {
					t.Fatalf("%s", a.Text)
				}
				part := w.Call("pve_read_file", fmt.Sprintf(`{"vmid":%s,"path":"/srv/dir/much","offset":%d}`, with.Args, len(much)-17))
				if part.Fields["text"] != "0123456789abcdeF\n" {
					t.Errorf("its end: %s", part.Text)
				}
				if list := w.Call("pve_list_files", fmt.Sprintf(`{"vmid":%s,"path":"/srv/dir"}`, with.Args)); list.Fields["all"] != 3.0 {
					t.Errorf("in its folder: %s", list.Text)
				}
			})
		})
	}
}

func TestFilesRefused(t *testing.T) {
	windows := sim.Options{Model: sim.Cluster(withFiles(100), sim.Set(100, "ostype=win11"))}
	blocked := sim.Options{Model: sim.Cluster(sim.Guest(100, func(g *pvesim.Guest) { g.AgentBlocks = []string{"exec"} }))}
	sim.Tell(t, "pve_read_file", []sim.Story{
		{Name: "Windows", Options: windows, Args: `{"vmid":100,"path":"C:\\data\\a.txt"}`, Outcome: tool.OK, Says: []string{`"text":"ä of Windows\n"`, `"size":15`}, Lacks: []string{`"mode"`}},
		{Name: "a path of Linux on Windows", Options: windows, Args: `{"vmid":100,"path":"/etc/hosts"}`, Outcome: tool.Failed, Says: []string{"is not one of Windows", `C:\\data`}},
		{Name: "a path of Windows on Linux", Args: `{"vmid":100,"path":"C:\\a"}`, Outcome: tool.Failed, Says: []string{"is not an absolute path"}},
		{Name: "a step up", Args: `{"vmid":100,"path":"/srv/../etc/shadow"}`, Outcome: tool.Failed, Says: []string{"is not absolute and clean"}},
		{Name: "agent disabled", Options: blocked, Args: `{"vmid":100,"path":"/etc/hosts"}`, Outcome: tool.Failed, Writes: []string{runsInVM}, Says: []string{"has been disabled", "qemu-ga.conf"}},
		{Name: "no agent", Options: sim.Options{Model: sim.Cluster(sim.Set(100, "agent="))}, Args: `{"vmid":100,"path":"/etc/hosts"}`, Outcome: tool.Failed, Says: []string{"has no guest agent configured"}},
		{Name: "CT of an old node", Options: sim.Options{Model: sim.Cluster(sim.Version("8.4.1"))}, Args: `{"vmid":203,"path":"/etc/hosts"}`, Outcome: tool.Failed, Says: []string{"does not let a token use the console"}},
		{Name: "stopped", Args: `{"vmid":105,"path":"/etc/hosts"}`, Outcome: tool.Failed, Says: []string{"VM 105 is stopped"}},
		{Name: "no permission", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":100,"path":"/etc/hosts"}`, Outcome: tool.Failed, Writes: []string{runsInVM}, Says: []string{"lacks VM.GuestAgent.Unrestricted on /vms/100"}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/100/agent/exec", Drop: true}, Args: `{"vmid":100,"path":"/etc/hosts"}`, Outcome: tool.Failed, Writes: []string{runsInVM}, Says: []string{"Nothing was changed"}},
	})
	sim.Tell(t, "pve_list_files", []sim.Story{
		{Name: "Windows", Options: windows, Args: `{"vmid":100,"path":"C:\\data"}`, Outcome: tool.Failed, Says: []string{"no call that lists a folder", "only reading and writing"}},
	})
	sim.Tell(t, "pve_write_file", []sim.Story{
		{Name: "Windows", Options: windows, Args: `{"vmid":100,"path":"C:\\data\\a.txt","text":"né"}`, Outcome: tool.OK, Writes: []string{writesFile}, Says: []string{"3 bytes were written", "On Windows"}},
		{Name: "appended on Windows", Options: windows, Args: `{"vmid":100,"path":"C:\\data\\a.txt","text":"x","append":true}`, Outcome: tool.Failed, Says: []string{"can only replace a file"}},
		{Name: "much on Windows", Options: windows, Args: `{"vmid":100,"path":"C:\\data\\a.txt","text":"` + strings.Repeat("x", 46081) + `"}`, Outcome: tool.Failed, Says: []string{"at most 46080 bytes"}},
		{Name: "nothing", Args: `{"vmid":100,"path":"/srv/text"}`, Outcome: tool.Failed, Says: []string{"give text or base64"}},
		{Name: "the last answer is lost", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/100/agent/exec", Drop: true, Max: 1}, Args: `{"vmid":100,"path":"/srv/text","text":"x"}`, Outcome: tool.Unknown, Writes: []string{runsInVM}},
	})
}

// With a list of commands, files are those that another list names, wherever a link leads.
func TestFilesAllowed(t *testing.T) {
	commands, err := policy.ParseCommands("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	files, err := policy.ParseFiles("/srv/**; /var/log/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for place, with := range places() {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with.Policy.Exec = true
				w := sim.New(t, with.Options)
				links := "ln -s /etc/shadow /srv/out; ln -s /etc /srv/dir/away; ln -s /srv/text /srv/in"
				if a := w.Call("pve_vm_exec", fmt.Sprintf(`{"vmid":%s,"shell":%q}`, with.Args, links)); a.Outcome != tool.OK {
					t.Fatal(a.Text)
				}
				w.Host.Policy.ExecAllow = commands
				w.Host.Guard.Policy.ExecAllow = commands
				check := func(name, args, want string) {
					t.Helper()
					if a := w.Call(name, fmt.Sprintf(`{"vmid":%s,%s}`, with.Args, args)); !strings.Contains(a.Text, want) || strings.Contains(a.Text, "root:secret") {
						t.Errorf("%s %s: %s", name, args, a.Text)
					}
				}
				check("pve_read_file", `"path":"/srv/text"`, "PVE_MCP_FILES_ALLOW")
				w.Host.Policy.FilesAllow, w.Host.Guard.Policy.FilesAllow = files, files
				check("pve_read_file", `"path":"/srv/text"`, "line one")
				check("pve_read_file", `"path":"/srv/in"`, "line one")
				check("pve_read_file", `"path":"/etc/shadow"`, "none of the paths that PVE_MCP_FILES_ALLOW names")
				check("pve_read_file", `"path":"/srv/out"`, "leads to another path")
				check("pve_read_file", `"path":"/srv/dir/away/shadow"`, "leads to another path")
				check("pve_list_files", `"path":"/srv/dir/away"`, "leads to another path")
				check("pve_list_files", `"path":"/srv"`, `"name":"out","kind":"link"`)
				check("pve_write_file", `"path":"/srv/out","text":"x"`, "leads to another path")
				check("pve_write_file", `"path":"/srv/dir/away/new","text":"x"`, "leads to another path")
				check("pve_write_file", `"path":"/srv/new","text":"x"`, "verified")
				check("pve_write_file", `"path":"/var/log/a/b.log","text":"x"`, "none of the paths")
			})
		})
	}
}

// Where a human has to agree, one consent is for one file: for all that it takes to write that,
// and for nothing else.
func TestFilesWithConsent(t *testing.T) {
	for place, with := range places() {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with.Policy = policy.Policy{Exec: true, Confirm: policy.Human}
				w := sim.New(t, with.Options)
				write, _ := toolset.Named("pve_write_file")
				req := tool.Request{Arguments: json.RawMessage(fmt.Sprintf(`{"vmid":%s,"path":"/srv/text","text":"agreed"}`, with.Args)), Caller: "test", CanAsk: true}
				asked := write.Call(t.Context(), w.Host, req)
				if asked.Question == nil || !strings.Contains(asked.Question.Message, "/srv/text") || len(sim.Writes(w.Sent())) > 0 {
					t.Fatalf("question %+v, sent %v", asked.Question, w.Sent())
				}
				req.State, req.Reply = asked.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
				if done := write.Call(t.Context(), w.Host, req); done.Outcome != tool.OK {
					t.Errorf("with consent: %s", done.Text)
				}
				if again := write.Call(t.Context(), w.Host, req); again.Outcome == tool.OK {
					t.Errorf("once more: %s", again.Text)
				}
			})
		})
	}
}

// A large file goes from and to a folder of this machine, without passing through the call.
func TestLocalFiles(t *testing.T) {
	for place, with := range places() {
		t.Run(place, func(t *testing.T) {
			folder, size := t.TempDir(), strconv.Itoa(len(bigFile()))
			synctest.Test(t, func(t *testing.T) {
				with.Policy.Exec = true
				w := sim.New(t, with.Options)
				call := func(name, args, want string) {
					t.Helper()
					if a := w.Call(name, fmt.Sprintf(`{"vmid":%s,%s}`, with.Args, args)); !strings.Contains(a.Text, want) {
						t.Errorf("%s %s: %s", name, args, a.Text)
					}
				}
				call("pve_read_file", `"path":"/srv/big","local_path":"big"`, "PVE_MCP_FILES")
				w.Host.FilesDir = folder
				call("pve_read_file", `"path":"/srv/big","local_path":"big"`, size+" bytes of /srv/big")
				call("pve_read_file", `"path":"/srv/big","local_path":"big"`, "overwrite")
				call("pve_read_file", `"path":"/srv/nothing","local_path":"none"`, "There is no /srv/nothing")
				call("pve_write_file", `"path":"/srv/copy","local_path":"big"`, size+" bytes were written to /srv/copy")
				call("pve_write_file", `"path":"/srv/copy","local_path":"none"`, "none")
				call("pve_write_file", `"path":"/srv/copy","local_path":"big","text":"x"`, "in place of text and base64")
			})
			data, err := os.ReadFile(filepath.Join(folder, "big"))
			if err != nil || string(data) != bigFile() {
				t.Errorf("%d bytes, %v", len(data), err)
			}
			if list, err := os.ReadDir(folder); err != nil || len(list) != 1 {
				t.Errorf("in the folder: %v, %v", list, err)
			}
		})
	}
}
