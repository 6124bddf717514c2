package apischema

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The messages are those of PVE::JSONSchema.
func TestValidateWording(t *testing.T) {
	api := load(t, 9)
	config := api.Endpoint("PUT", "/nodes/{node}/qemu/{vmid}/config")
	base := Values{"node": "pve1", "vmid": "100"}
	for _, tt := range []struct {
		name string
		give Values
		want map[string]string // of the parameters; nil = accepted
	}{
		{"indexed", Values{"net31": "virtio,bridge=vmbr0", "scsi30": "local:1"}, nil},
		{"index too high", Values{"net32": "virtio"}, map[string]string{"net32": notDefined}},
		{"index with zero", Values{"net01": "virtio"}, map[string]string{"net01": notDefined}},
		{"key alias", Values{"net0": "virtio=BC:24:11:77:21:A2,bridge=vmbr0,firewall=yes"}, nil},
		{"multicast MAC", Values{"net0": "virtio=01:00:5E:00:00:01"},
			map[string]string{"net0": "invalid format - format error\nnet0.macaddr: invalid format - value does not look like a valid unicast MAC address\n\n"}},
		{"duplicate key", Values{"net0": "virtio,bridge=a,bridge=b"},
			map[string]string{"net0": "invalid format - duplicate key in comma-separated list property: bridge\n"}},
		{"unknown key", Values{"net0": "virtio,bridgd=a"},
			map[string]string{"net0": "invalid format - invalid key in comma-separated list property: bridgd\n"}},
		{"key without value", Values{"net0": "virtio,bridge="},
			map[string]string{"net0": "invalid format - missing key in comma-separated list property\n"}},
		{"model named twice", Values{"net0": "model=virtio,e1000=BC:24:11:77:21:A2"},
			map[string]string{"net0": "invalid format - key alias 'model' is already defined\n"}},
		{"no default key", Values{"ipconfig0": "dhcp"},
			map[string]string{"ipconfig0": "invalid format - value without key, but schema does not define a default key\n"}},
		{"inner requires", Values{"ipconfig0": "gw=10.0.0.1"},
			map[string]string{"ipconfig0": "invalid format - format error\nipconfig0.ip: missing property - 'ipconfig0.gw' requires this property\n"}},
		{"inner optional missing", Values{"agent": "fstrim_cloned_disks=1"},
			map[string]string{"agent": "invalid format - format error\nagent.enabled: property is missing and it is not optional\n"}},
		{"requires", Values{"force": "1"}, map[string]string{"delete": "missing property - 'force' requires this property"}},
		{"given without value", Values{"name": nil}, nil},
		{"unknown without value", Values{"nosuch": nil}, map[string]string{"nosuch": notDefined}},
		{"maximum", Values{"cpulimit": "129"}, map[string]string{"cpulimit": "value must have a maximum value of 128"}},
		{"number", Values{"cpulimit": "1.5e1"}, nil},
		{"beyond a float", Values{"cores": strings.Repeat("9", 400)}, nil},
		{"length in characters", Values{"description": strings.Repeat("é", 8192)}, nil},
		{"too long", Values{"description": strings.Repeat("é", 8193)},
			map[string]string{"description": "value may only be 8192 characters long"}},
		{"enumeration", Values{"bios": "efi"},
			map[string]string{"bios": "value 'efi' does not have a value in the enumeration 'seabios, ovmf'"}},
		{"pattern", Values{"startdate": "tomorrow"}, map[string]string{"startdate": "value does not match the regex pattern"}},
		{"JSON boolean", Values{"onboot": true}, nil},
		{"JSON boolean for a string", Values{"name": true},
			map[string]string{"name": "type check ('string') failed - got JSON::PP::Boolean"}},
		{"repeated", Values{"name": []any{"a", "b"}}, map[string]string{"name": "type check ('string') failed - got ARRAY"}},
		{"repeated list", Values{"delete": []any{"name", "tags"}}, nil},
		{"two problems", Values{"cores": "0", "onboot": "yes"}, map[string]string{
			"cores":  "value must have a minimum value of 1",
			"onboot": "type check ('boolean') failed - got 'yes'",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range base {
				tt.give[k] = v
			}
			_, err := api.Validate(config, tt.give)
			var got map[string]string
			if pe := new(ParamError); errors.As(err, &pe) {
				got = pe.Errors
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const notDefined = "property is not defined in schema and the schema does not allow additional properties"

func TestValidateShapes(t *testing.T) {
	api := load(t, 9)
	exec := api.Endpoint("POST", "/nodes/{node}/qemu/{vmid}/agent/exec")
	got, err := api.Validate(exec, Values{"node": "pve1", "vmid": "100", "command": "id"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"id"}, got["command"]); diff != "" {
		t.Errorf("one value of a list (-want +got):\n%s", diff)
	}
	config := api.Endpoint("PUT", "/nodes/{node}/qemu/{vmid}/config")
	got, err = api.Validate(config, Values{"node": "pve1", "vmid": "100", "delete": []any{"name", "tags"}})
	if err != nil {
		t.Fatal(err)
	}
	if got["delete"] != "name,tags" {
		t.Errorf("delete = %v, want name,tags", got["delete"])
	}
}

func TestUncheckedFormatsAreCounted(t *testing.T) {
	api := load(t, 9)
	ep := api.Endpoint("POST", "/nodes/{node}/network")
	for range 2 {
		if _, err := api.Validate(ep, Values{"node": "pve", "type": "bridge", "iface": "vmbr9", "bridge_vids": "2-4094"}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int{"pve-vlan-id-or-range-list": 2}, api.Unchecked()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
