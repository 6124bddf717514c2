package pve

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// recordedConfigs calls each with every configuration that was recorded.
func recordedConfigs(t *testing.T, each func(what string, kind Kind, data json.RawMessage)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(recorded.Dir(t), "initial.json"))
	if err != nil {
		t.Fatal(err)
	}
	var initial struct {
		Guests []struct {
			Type   Kind
			VMID   VMID
			Config json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &initial); err != nil {
		t.Fatal(err)
	}
	for _, g := range initial.Guests {
		each("initial.json: "+g.VMID.String(), g.Type, g.Config)
	}
	configRE := regexp.MustCompile(`^/nodes/[^/]+/(qemu|lxc)/\d+/(?:snapshot/[^/]+/)?config$`)
	for _, row := range recorded.Rows(t) {
		m := configRE.FindStringSubmatch(row.Path)
		if m == nil || row.Method != "GET" || row.Status != 200 {
			continue
		}
		var body struct{ Data json.RawMessage }
		if err := json.Unmarshal(row.Body, &body); err != nil {
			t.Fatal(err)
		}
		each(row.String(), Kind(m[1]), body.Data)
	}
}

// Recorded configurations come back as they were, their property strings have the keys
// that PVE's description names, and nothing of a disk or an interface is lost or unknown.
func TestRecordedConfigs(t *testing.T) {
	api, err := apischema.Load(9)
	if err != nil {
		t.Fatal(err)
	}
	rows, properties, disks, nics := 0, 0, 0, 0
	recordedConfigs(t, func(what string, kind Kind, data json.RawMessage) {
		rows++
		var config GuestConfig
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		sameJSON(t, what, data, config)
		if config.Digest == "" && !strings.Contains(what, "/snapshot/") || len(config.Extra) > 0 {
			t.Errorf("%s: digest %q, extra %s", what, config.Digest, config.Extra)
		}
		ep := api.Endpoint("PUT", "/nodes/{node}/"+string(kind)+"/{vmid}/config")
		for key, value := range config.Values {
			s := api.Param(ep, key)
			if s == nil || s.Format == nil || s.Format.Keys == nil {
				continue
			}
			properties++
			checkProperty(t, what+" "+key, value, s.Format.Keys)
		}
		for _, d := range config.Disks(kind) {
			disks++
			hasNoSize := d.Bus == "unused" || d.IsCloudInit() // PVE writes none
			if d.Volume.String() != d.Source || d.Size.Set == hasNoSize || d.Rest.String() != "" {
				t.Errorf("%s: %s: %+v", what, config.Values[d.Key], d)
			}
			if d.Size.Set && !strings.Contains(config.Values[d.Key]+",", ",size="+FormatSize(d.Size.Value)+",") {
				t.Errorf("%s: %s: size %s", what, config.Values[d.Key], FormatSize(d.Size.Value))
			}
		}
		for _, n := range config.NICs(kind) {
			nics++
			if n.Model == "" || n.MAC == "" || n.Bridge == "" || (n.Name == "") != (kind == QEMU) || n.Rest.String() != "" {
				t.Errorf("%s: %s: %+v", what, config.Values[n.Key], n)
			}
		}
	})
	if properties == 0 || disks == 0 || nics == 0 {
		t.Errorf("%d property strings, %d disks, %d interfaces", properties, disks, nics)
	}
	t.Logf("%d rows with a configuration: %d property strings, %d disks, %d interfaces", rows, properties, disks, nics)
}

func checkProperty(t *testing.T, what, value string, keys map[string]*apischema.Schema) {
	t.Helper()
	defaultKey := ""
	for key, s := range keys {
		if s.DefaultKey {
			defaultKey = key
		}
	}
	p := ParseProperty(value, defaultKey)
	if p.String() != value {
		t.Errorf("%s: %q prints %q", what, value, p)
	}
	for key := range p.All() {
		if keys[key] == nil {
			t.Errorf("%s: %q: no such key %q", what, value, key)
		}
	}
}
