package provision_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// withWeb is a cluster whose nodes can fetch some files.
func withWeb() *pvesim.Model {
	m := withImages()
	m.Web = []pvesim.WebFile{
		{URL: "https://images.test/debian-13.iso", Size: 700 << 20},
		{URL: "https://images.test/tool.iso.gz", Size: 100 << 20},
		{URL: "https://images.test/none.iso", Status: 404, Reason: "File not found"},
		{URL: "https://images.test/huge.iso", Size: 100 << 40},
	}
	return m
}

func TestDownload(t *testing.T) {
	sum := pvesim.WebFile{URL: "https://images.test/debian-13.iso", Size: 700 << 20}.Sum("sha256")
	for _, tt := range []struct {
		name, args string
		outcome    tool.Outcome
		says       []string
	}{
		{"a URL with its checksum", `{"what":"https://images.test/debian-13.iso","storage":"nfs","checksum":"sha256:` + sum + `","wait":45}`, tool.OK,
			[]string{`"volume":"nfs:iso/debian-13.iso"`, "its sha256 checksum is right"}},
		{"another checksum", `{"what":"https://images.test/debian-13.iso","storage":"nfs","checksum":"` + strings.Repeat("0", 64) + `","wait":45}`, tool.Failed,
			[]string{"checksum mismatch"}},
		{"no checksum", `{"what":"https://images.test/debian-13.iso","storage":"nfs","wait":45}`, tool.OK, []string{"no checksum was given"}},
		{"compressed", `{"what":"https://images.test/tool.iso.gz","storage":"nfs","wait":45}`, tool.OK, []string{`"volume":"nfs:iso/tool.iso"`}},
		{"a container template", `{"what":"debian","content":"vztmpl","storage":"local","wait":45}`, tool.OK, []string{`"volume":"local:vztmpl/debian-12`}},
		{"a cloud image by its name", `{"what":"debian 13","content":"import","wait":45}`, tool.OK, []string{`"volume":"nfs:import/debian-13-genericcloud-amd64.qcow2"`, "PVE_MCP_FETCH=true"}},
		{"the whole list", `{}`, tool.OK, []string{"Nothing was downloaded", `"volume":"nfs:import/noble-server-cloudimg-amd64.qcow2"`, `"what":"Ubuntu 24.04","content":"import"`, `"content":"vztmpl"`}},
		{"words that say what it is to be", `{"what":"newest debian cloud image","storage":"nfs","wait":45}`, tool.OK, []string{`"volume":"nfs:import/debian-13-genericcloud-amd64.qcow2"`}},
		{"words for a template", `{"what":"the latest debian container template"}`, tool.OK, []string{`local:vztmpl/debian-12-standard`, "is there already"}},
		{"a system that is offered as both", `{"what":"newest debian"}`, tool.Failed, []string{`is both`, `content: \"import\" for the disk image of a VM (Debian 13), content: \"vztmpl\" for a container template (debian-12-standard`}},
		{"several images", `{"what":"debian","content":"import"}`, tool.Failed, []string{"Debian 12 and Debian 13", "may mean 2 images"}},
		{"what is there", `{"what":"ubuntu 24.04","content":"import"}`, tool.OK, []string{"is there already, and is not loaded again"}},
		{"what is there, with a checksum", `{"what":"https://images.test/virtio-win.iso","filename":"noble-server-cloudimg-amd64.qcow2","content":"import","checksum":"` + strings.Repeat("0", 64) + `"}`, tool.OK,
			[]string{"is there already, and is not loaded again", "that it has the checksum is not known"}},
		{"a URL that is a key", `{"what":"https://images.test/debian-13.iso?sig=abcdef","storage":"nfs","wait":45}`, tool.OK, []string{"?sig=*****"}},
		{"no such file", `{"what":"https://images.test/none.iso"}`, tool.Failed, []string{"404 File not found"}},
		{"no room", `{"what":"https://images.test/huge.iso"}`, tool.Failed, []string{"The file has 100 TiB"}},
		{"a private address", `{"what":"http://10.0.0.1/x.iso"}`, tool.Failed, []string{"is private"}},
		{"no content", `{"what":"https://images.test/a.exe"}`, tool.Failed, []string{`The argument \"content\" is needed`}},
		{"an unknown name", `{"what":"plan9"}`, tool.Failed, []string{"Nothing that is offered is called"}},
		{"OCI on PVE 8", `{"what":"docker.io/library/nginx:latest","node":"pve1"}`, tool.Failed, []string{"OCI"}},
		{"a bad checksum", `{"what":"https://images.test/debian-13.iso","checksum":"sha256:abc"}`, tool.Failed, []string{"no checksum such as"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: withWeb(), Token: everyone})
				a := w.Call("pve_download", tt.args)
				if a.Outcome != tt.outcome {
					t.Errorf("%s", a.Text)
				}
				for _, s := range tt.says {
					if !strings.Contains(a.Text, s) {
						t.Errorf("%s lacks %s", a.Text, s)
					}
				}
			})
		})
	}
}
