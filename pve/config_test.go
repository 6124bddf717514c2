package pve_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve"
)

func TestGuestConfigKeepsEverything(t *testing.T) {
	give := `{"cores":2,"cpulimit":0.5,"digest":"abc","lxc":[["lxc.apparmor.profile","unconfined"]],"memory":"512",` +
		`"net10":"name=eth10","net2":"name=eth2","rootfs":"local:1","mp0":"local:2,mp=/srv","unused0":"local:3","onboot":true,"tags":"","x":null}`
	var c pve.GuestConfig
	if err := json.Unmarshal([]byte(give), &c); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"cores": "2", "cpulimit": "0.5", "memory": "512", "net10": "name=eth10", "net2": "name=eth2", "rootfs": "local:1",
		"mp0": "local:2,mp=/srv", "unused0": "local:3", "onboot": "true", "tags": "",
	}
	if diff := cmp.Diff(want, c.Values); diff != "" || c.Digest != "abc" || len(c.Extra) != 2 {
		t.Errorf("%+v\n%s", c, diff)
	}
	keys := ""
	for _, d := range c.Disks(pve.LXC) {
		keys += d.Key + " "
	}
	for _, n := range c.NICs(pve.LXC) {
		keys += n.Key + " "
	}
	if keys != "mp0 rootfs unused0 net2 net10 " {
		t.Errorf("disks and interfaces: %s", keys)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again pve.GuestConfig
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("%s (-first +again):\n%s", data, diff)
	}
	if err := json.Unmarshal([]byte(`[]`), &c); err == nil {
		t.Error("a list became a configuration")
	}
}

func TestGuestConfigOverTheWire(t *testing.T) {
	var asked []string
	client := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.URL.RequestURI())
		if len(asked) > 1 {
			return answer("200 OK", `{"data":[{"key":"cores","value":2,"pending":"4"},{"key":"name","value":"web"},`+
				`{"key":"ide2","value":"none","delete":1},{"key":"scsi1","pending":"local:4","new":true}]}`)
		}
		return answer("200 OK", `{"data":{"cores":2,"digest":"abc"}}`)
	}))
	guest := pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 100}
	c, err := client.SnapshotConfig(t.Context(), guest, "before")
	if err != nil || c.Values["cores"] != "2" || c.Digest != "abc" {
		t.Errorf("%+v %v", c, err)
	}
	list, err := client.Pending(t.Context(), guest)
	if err != nil {
		t.Fatal(err)
	}
	var waiting []string
	for _, v := range list {
		if v.Waits() {
			waiting = append(waiting, fmt.Sprintf("%s %s>%s %d", v.Key, v.Value.Value, v.Pending.Value, v.Delete.Value))
		}
	}
	if diff := cmp.Diff([]string{"cores 2>4 0", "ide2 none> 1", "scsi1 >local:4 0"}, waiting); diff != "" || string(list[3].Extra["new"]) != "true" {
		t.Errorf("%+v\n%s", list, diff)
	}
	if diff := cmp.Diff([]string{"/api2/json/nodes/pve1/qemu/100/config?snapshot=before", "/api2/json/nodes/pve1/qemu/100/pending"}, asked); diff != "" {
		t.Error(diff)
	}
}
