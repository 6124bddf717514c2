package apischema

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, major int) *API {
	t.Helper()
	api, err := Load(major)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestLoadUnknownMajor(t *testing.T) {
	if _, err := Load(6); err == nil || !strings.Contains(err.Error(), "PVE 6") {
		t.Errorf("Load(6): %v, want an error that names PVE 6", err)
	}
}

func TestFind(t *testing.T) {
	api := load(t, 9)
	for _, tt := range []struct {
		method, path, template string
		params                 Values
	}{
		{"GET", "/version", "/version", Values{}},
		{"GET", "//nodes/pve1/qemu/100/config/", "/nodes/{node}/qemu/{vmid}/config", Values{"node": "pve1", "vmid": "100"}},
		{"GET", "/nodes/a/storage/s/content/s:iso/x.iso", "/nodes/{node}/storage/{storage}/content/{volume}",
			Values{"node": "a", "storage": "s", "volume": "s:iso/x.iso"}},
		{"GET", "/nodes/a b/qemu", "", nil},
		{"GET", "/nope", "", nil},
		{"PATCH", "/version", "", nil},
		{"GET", "/nodes/a/qemu/100/config/more", "", nil},
	} {
		ep, params, ok := api.Find(tt.method, tt.path)
		if !ok {
			if tt.template != "" {
				t.Errorf("%s %s: not found", tt.method, tt.path)
			}
			continue
		}
		if ep.Path != tt.template {
			t.Errorf("%s %s: found %s, want %q", tt.method, tt.path, ep.Path, tt.template)
		}
		if diff := cmp.Diff(tt.params, params); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.path, diff)
		}
	}
}

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
	ep := api.Endpoint("POST", "/nodes/{node}/firewall/rules")
	for range 2 {
		if _, err := api.Validate(ep, Values{"node": "pve", "type": "in", "action": "ACCEPT", "source": "somewhere"}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int{"pve-fw-addr-spec": 2}, api.Unchecked()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every pattern of both versions compiles and every check evaluates.
func TestFactsAreUnderstood(t *testing.T) {
	for _, major := range []int{8, 9} {
		api := load(t, major)
		var visit func(*Schema)
		visit = func(s *Schema) {
			if s.Pattern != "" {
				api.facts.matchPerl(s.Pattern, "")
			}
			if s.Items != nil {
				visit(s.Items)
			}
			for _, sub := range s.Properties {
				visit(sub)
			}
			if s.Format != nil {
				for _, sub := range s.Format.Keys {
					visit(sub)
				}
			}
		}
		for _, f := range api.facts.Formats {
			if f != nil {
				visit(&Schema{Format: f})
			}
		}
		caller := Caller{User: "a@pve", Privs: func(string) map[string]bool { return nil },
			Groups: func(string) ([]string, bool) { return nil, false }}
		for _, ep := range api.Endpoints() {
			for _, s := range ep.Params {
				visit(s)
			}
			err := ep.Permissions.Allow(caller, Values{})
			if err != nil && strings.Contains(err.Error(), "unknown") {
				t.Errorf("%s %s: %v", ep.Method, ep.Path, err)
			}
		}
	}
}

func TestPerlPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, value string
		want           bool
	}{
		{`(?^:(?^i:[a-z]+)x)`, "ABx", true},
		{`(?^:(?^i:[a-z]+)x)`, "ABX", false},
		{`[A-Za-z]{,3}`, "abc", true},
		{`[A-Za-z]{,3}`, "abcd", false},
		{`/dev/a\d+|/dev/b\d+`, "/dev/a1 and more", true}, // the anchors bind tighter, in Perl too
		{`(?^:^x$)`, "x\n", true},
		{`[$]\0\$`, "$\x00$", true},
	} {
		if got := new(Facts).matchPerl(tt.pattern, tt.value); got != tt.want {
			t.Errorf("%s on %q: %v, want %v", tt.pattern, tt.value, got, tt.want)
		}
	}
}

func TestFormats(t *testing.T) {
	good := map[string][]string{
		"pve-ipv4-config":          {"dhcp", "10.0.0.1/24"},
		"pve-ipv6-config":          {"auto", "fd00::1/64"},
		"ip":                       {"10.0.0.1", "fd00::1"},
		"address":                  {"10.0.0.1", "ns.example.org"},
		"storage-pair":             {"1", "a1:b2", "data"},
		"disk-size":                {"10", "1.5G"},
		"pve-startup-order":        {"1", "order=1,up=30,down=60"},
		"pve-hotplug-features":     {"0", "disk,network,usb"},
		"pve-volume-id-or-qm-path": {"none", "cdrom", "/dev/sda", "local:iso/x.iso"},
		"pve-userid":               {"root@pam", "a.b@pve"},
		"pve-tokenid":              {"root@pam!full"},
		"pve-ha-resource-or-vm-id": {"vm:100", "ct:200", "100"},
		"pve-ha-group-node":        {"pve1", "pve1:2"},
		"pve-ha-node":              {"pve1", "pve1:2"},
		"pve-storage-path":         {"/srv/a b"},
		"pve-calendar-event":       {"daily", "sat 02:00", "mon..fri 21:30", "*/15"},
		"pve-storage-server":       {"10.0.0.1", "nas.example.org"},
		"pve-storage-portal-dns":   {"10.0.0.1:3260", "[fd00::1]:3260", "san"},
		"pve-storage-vgname":       {"pve", "vg-1"},
		"pve-storage-options":      {"vers=4.2,noatime"},
		"pve-dir-override":         {"iso=/images"},
		"lxc-ip-with-ll-iface":     {"fe80::1%eth0"},
		"IPorCIDR":                 {"10.0.0.1", "fd00::1", "10.0.0.1/8"},
		"IPorCIDRorAlias":          {"10.0.0.0/8", "web", "guest/web-1"},
		"pve-fw-dport-spec":        {"", "22", "80,443", "http,8000:8100", "echo-request", "1:2,3:4,5:6,7:8,9:10,11:12,13:14,15"},
		"pve-fw-sport-spec":        {"22", "ssh"},
		"pve-fw-protocol-spec":     {"", "0", "tcp", "6", "ipv6-icmp"},
		"pve-fw-icmp-type-spec":    {"", "any", "echo-request", "no-route"},
		"pve-fw-conntrack-helper":  {"ftp", "amanda,tftp"},
	}
	bad := map[string][]string{
		"pve-ipv4-config":          {"auto", "10.0.0.1", "10.0.0.1/33"},
		"ip":                       {"10.0.0.256", "fe80::1%eth0", "x"},
		"address":                  {"-x", "a_b"},
		"storage-pair":             {"a:b"},
		"disk-size":                {"10X", ""},
		"pve-startup-order":        {"first", "order=x"},
		"pve-hotplug-features":     {"ram"},
		"pve-volume-id-or-qm-path": {"x.iso"},
		"pve-userid":               {"x@", "root", strings.Repeat("a", 70) + "@pve"},
		"pve-tokenid":              {"root@pam"},
		"pve-ha-node":              {"pve1:", "-x:1"},
		"pve-storage-path":         {"srv", "/"},
		"pve-calendar-event":       {"at some time", "daily at"},
		"pve-storage-server":       {"a_b"},
		"pve-storage-portal-dns":   {"a_b:1"},
		"pve-storage-vgname":       {"-x"},
		"pve-storage-options":      {"a b"},
		"pve-dir-override":         {"iso"},
		"mac-addr":                 {"BC:24:11:77:21", "BD:24:11:77:21:A2"},
		"IPorCIDR":                 {"web", "10.0.0.0/33", "fe80::1%eth0"},
		"IPorCIDRorAlias":          {"dc/", "a b", "10.0.0.256"},
		"pve-fw-dport-spec":        {"x-y", "65536", "2:1", "80,", "80,,81", "echo-request,80", "http https", "1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16"},
		"pve-fw-sport-spec":        {"echo-request"},
		"pve-fw-protocol-spec":     {"tcpp", "300", "tcp udp"},
		"pve-fw-icmp-type-spec":    {"8"},
		"pve-fw-conntrack-helper":  {"ftp,", "nosuch"},
	}
	for name, values := range good {
		for _, v := range values {
			if err := formats()[name](v); err != nil {
				t.Errorf("%s refuses %q: %v", name, v, err)
			}
		}
	}
	for name, values := range bad {
		for _, v := range values {
			if formats()[name](v) == nil {
				t.Errorf("%s accepts %q", name, v)
			}
		}
	}
}

func TestPermissions(t *testing.T) {
	held := map[string][]string{ // by path
		"/vms/100":             {"VM.Audit", "VM.PowerMgmt"},
		"/storage/local":       {"Datastore.Audit"},
		"/access/groups/staff": {"User.Modify"},
		"/pool/dev":            {"Pool.Allocate"},
	}
	caller := Caller{
		User: "a@pve!t",
		Privs: func(path string) map[string]bool {
			m := map[string]bool{}
			for _, p := range held[path] {
				m[p] = true
			}
			return m
		},
		Groups: func(user string) ([]string, bool) {
			return map[string][]string{"b@pve": {"staff"}, "c@pve": nil}[user], user != "nobody@pve"
		},
		GroupIDs: []string{"staff", "admins"},
	}
	perm := func(path string, privs ...string) *Check { return &Check{Op: "perm", Path: path, Privs: privs} }
	for _, tt := range []struct {
		name   string
		user   string
		perms  *Permissions
		params Values
		want   string // "" = allowed
	}{
		{"world without a user", "", &Permissions{User: "world"}, nil, ""},
		{"no user", "", &Permissions{User: "all"}, nil, "Permission check failed (user != null)"},
		{"all", "a@pve!t", &Permissions{User: "all"}, nil, ""},
		{"root only", "root@pam!t", nil, nil, "Permission check failed (user != root@pam)"},
		{"root only, root", "root@pam", nil, nil, ""},
		{"held", "a@pve!t", &Permissions{Check: perm("/vms/{vmid}", "VM.Audit", "VM.PowerMgmt")}, Values{"vmid": "100"}, ""},
		{"second missing", "a@pve!t", &Permissions{Check: perm("/vms/{vmid}", "VM.Audit", "VM.Clone")}, Values{"vmid": "100"},
			"Permission check failed (/vms/100, VM.Clone)"},
		{"any", "a@pve!t", &Permissions{Check: &Check{Op: "perm", Path: "/vms/100", Privs: []string{"X", "VM.Audit"}, Any: true}}, nil, ""},
		{"none of any", "a@pve!t", &Permissions{Check: &Check{Op: "perm", Path: "/vms/1", Privs: []string{"X", "Y"}, Any: true}}, nil,
			"Permission check failed (/vms/1, X|Y)"},
		{"no ACL path", "root@pam!t", &Permissions{Check: perm("/nodes/{node}", "Sys.Audit")}, Values{"node": "bad!"},
			"Permission check failed (, Sys.Audit)"},
		{"required parameter", "a@pve!t", &Permissions{Check: &Check{Op: "perm", Path: "/pool/{pool}", Privs: []string{"Pool.Allocate"}, RequireParam: "pool"}},
			Values{}, "Permission check failed"},
		{"or", "a@pve!t", &Permissions{Check: &Check{Op: "or", Subs: []*Check{perm("/", "X"), perm("/pool/dev", "Pool.Allocate")}}}, nil, ""},
		{"or, none", "a@pve!t", &Permissions{Check: &Check{Op: "or", Subs: []*Check{perm("/", "X"), perm("/", "Y")}}}, nil, "Permission check failed"},
		{"and", "a@pve!t", &Permissions{Check: &Check{Op: "and", Subs: []*Check{perm("/vms/100", "VM.Audit"), perm("/", "Y")}}}, nil,
			"Permission check failed (/, Y)"},
		{"modify a pool", "a@pve!t", &Permissions{Check: &Check{Op: "perm-modify", Path: "{path}"}}, Values{"path": "/pool/dev"}, ""},
		{"modify a guest", "a@pve!t", &Permissions{Check: &Check{Op: "perm-modify", Path: "{path}"}}, Values{"path": "/vms/100"},
			"Permission check failed (/vms/100, Permissions.Modify|VM.Allocate)"},
		{"self", "b@pve", &Permissions{Check: &Check{Op: "userid-param", Subject: "self"}}, Values{"userid": "b@pve"}, ""},
		{"not self: a token", "a@pve!t", &Permissions{Check: &Check{Op: "userid-param", Subject: "self"}}, Values{"userid": "a@pve"},
			"Permission check failed"},
		{"realm", "a@pve!t", &Permissions{Check: &Check{Op: "userid-param", Subject: "Realm.AllocateUser"}}, Values{"userid": "a@pve"},
			"Permission check failed (/access/realm/pve, Realm.AllocateUser)"},
		{"user in a managed group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}}}, Values{"userid": "b@pve"}, ""},
		{"user in no group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}}}, Values{"userid": "c@pve"},
			"Permission check failed"},
		{"create in a managed group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}, GroupsParam: "create"}},
			Values{"userid": "n@pve", "groups": "staff"}, ""},
		{"create in another group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}, GroupsParam: "create"}},
			Values{"userid": "n@pve", "groups": "staff,admins"}, "Permission check failed (/access/groups/admins, User.Modify)"},
		{"create without group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}, GroupsParam: "create"}},
			Values{"userid": "n@pve"}, "Permission check failed (/access/groups, User.Modify)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			caller.User = tt.user
			got := ""
			if err := tt.perms.Allow(caller, tt.params); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFactsRoundTrip(t *testing.T) {
	for major, data := range map[int][]byte{8: embedded8, 9: embedded9} {
		facts, err := ReadFacts(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if err := facts.Write(&buf); err != nil {
			t.Fatal(err)
		}
		again, err := ReadFacts(&buf)
		if err != nil {
			t.Fatal(err)
		}
		first, err := json.Marshal(facts)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) || facts.Major != major {
			t.Errorf("PVE %d: writing and reading changes the facts (%v)", major, err)
		}
		if !slices.IsSortedFunc(facts.Endpoints, func(a, b *Endpoint) int {
			return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
		}) {
			t.Errorf("PVE %d: endpoints are not sorted", major)
		}
	}
}
