package capture

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// harmless are the keys of configurations, without their numbers, that tell nothing
// about whose a guest is. Others are left out if they are not replaced.
var harmless = strings.Fields(`acpi agent arch audio balloon bios boot bootdisk cmode console cores cpu cpulimit cpuunits
	delete features freeze hotplug keyboard kvm localtime lock machine memory meta migrate_downtime migrate_speed numa onboot ostype
	protection reboot rng scsihw serial shares sockets startdate startup swap tablet tdf template timezone tpmstate tty unprivileged vcpus
	vga vmgenid vmstatestorage`)

// drives are the keys, without their numbers, that name a volume.
var drives = strings.Fields("efidisk ide mp rootfs sata scsi tpmstate unused virtio")

// shown are the options of a drive that are kept.
var shown = strings.Fields("size format media cache discard iothread ssd backup replicate mp acl quota ro shared mountoptions efitype pre-enrolled-keys version")

// Anonymise returns the model with other names of everything but of guests' ids: names,
// tags, users, nodes, storages, addresses. The same name is replaced by the same one
// everywhere. Notes, comments and logs are left out, and every setting of a guest that
// is not known to be harmless.
func Anonymise(m pvesim.Model) pvesim.Model {
	a := anonymiser{names: map[string]string{}, count: map[string]int{}}
	for i := range m.Nodes {
		m.Nodes[i].Name, m.Nodes[i].IP = a.name("node", m.Nodes[i].Name), a.address(m.Nodes[i].IP)
	}
	if m.Cluster != "" {
		m.Cluster = "cluster"
	}
	for i := range m.Storages {
		a.storage(&m.Storages[i])
	}
	for i := range m.Guests {
		a.guest(&m.Guests[i])
	}
	for i := range m.Volumes {
		v := &m.Volumes[i]
		v.ID, v.Parent, v.Node, v.Notes = a.volume(v.ID), a.volume(v.Parent), a.name("node", v.Node), ""
	}
	for i := range m.Pools {
		p := &m.Pools[i]
		p.ID, p.Comment = a.name("pool", p.ID), ""
		p.Storages = a.all("storage", p.Storages)
	}
	a.access(&m)
	for i := range m.Jobs {
		j := &m.Jobs[i]
		j.ID, j.Options = a.name("job", j.ID), a.options(j.Options)
	}
	for _, sections := range [][]pvesim.HASection{m.HAGroups, m.HARules} {
		for i := range sections {
			sections[i].ID, sections[i].Options = a.name("ha", sections[i].ID), a.options(sections[i].Options)
		}
	}
	for i := range m.Tasks {
		m.Tasks[i] = a.task(m.Tasks[i])
	}
	return m
}

// anonymiser remembers the replacement of each name.
type anonymiser struct {
	names map[string]string
	count map[string]int // of each kind
}

// name returns the replacement of a name: its kind and a number.
func (a anonymiser) name(kind, old string) string {
	if old == "" || kind == "storage" && slices.Contains([]string{"local", "local-lvm", "local-zfs"}, old) {
		return old // what every installer calls them
	}
	key := kind + " " + old
	if a.names[key] == "" {
		a.count[kind]++
		a.names[key] = kind + strconv.Itoa(a.count[kind])
	}
	return a.names[key]
}

func (a anonymiser) all(kind string, old []string) []string {
	var out []string
	for _, name := range old {
		out = append(out, a.name(kind, name))
	}
	return out
}

// user returns the replacement of user@realm or user@realm!token.
func (a anonymiser) user(id string) string {
	owner, token, isToken := strings.Cut(id, "!")
	if name, realm, _ := strings.Cut(owner, "@"); owner != "root@pam" {
		if realm != "pam" && realm != "pve" {
			realm = a.name("realm", realm)
		}
		owner = a.name("user", name) + "@" + realm
	}
	if isToken && id != "root@pam!full" {
		return owner + "!" + a.name("token", token)
	}
	if isToken {
		return id
	}
	return owner
}

// address returns the replacement of an IP address, perhaps with a prefix.
func (a anonymiser) address(old string) string {
	ip, prefix, _ := strings.Cut(old, "/")
	parsed, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(a.name("address", ip), "address"))
	out := fmt.Sprintf("10.99.%d.%d", n/250, n%250+1)
	if parsed.Is6() {
		out = fmt.Sprintf("fd00:99::%x", n)
	}
	if prefix != "" {
		out += "/" + prefix
	}
	return out
}

var (
	macRE = lazyregexp.New(`(?i)([0-9a-f]{2}:){5}[0-9a-f]{2}`)
	hexRE = lazyregexp.New(`[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}`)
)

func (a anonymiser) mac(old string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(a.name("mac", strings.ToUpper(old)), "mac"))
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", n>>16&0xff, n>>8&0xff, n&0xff)
}

func (a anonymiser) uuid(old string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(a.name("uuid", old), "uuid"))
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", n)
}

// Names that PVE makes: of disks, of the RAM of a snapshot, of backups.
var (
	diskName   = lazyregexp.New(`^(vm|base|subvol|basevol)-\d+-(disk-\d+|cloudinit)(\.\w+)?$`)
	stateName  = lazyregexp.New(`^(vm-\d+-state-)(.+?)(\.\w+)?$`)
	backupName = lazyregexp.New(`^vzdump-(qemu|lxc)-\d+-[\d_-]+\.[a-z.]+$`)
)

// volume returns the replacement of the id of a volume.
func (a anonymiser) volume(id string) string {
	storage, name, ok := strings.Cut(id, ":")
	if !ok {
		return "none"
	}
	parts := strings.Split(name, "/")
	last := len(parts) - 1
	file := parts[last]
	onServer := len(parts) == 4 && parts[0] == "backup" && (parts[1] == "vm" || parts[1] == "ct")
	if m := stateName.FindStringSubmatch(file); m != nil {
		parts[last] = m[1] + a.name("snap", m[2]) + m[3]
	} else if !onServer && !diskName.MatchString(file) && !backupName.MatchString(file) {
		parts[last] = a.name("file", file) + path.Ext(file)
	}
	return a.name("storage", storage) + ":" + strings.Join(parts, "/")
}

func (a anonymiser) storage(st *pvesim.Storage) {
	st.ID, st.Path, st.Nodes = a.name("storage", st.ID), "", a.all("node", st.Nodes)
	if st.Broken != "" {
		st.Broken = "storage '" + st.ID + "' is not online"
	}
	st.Options = a.options(st.Options)
	st.UsedOn, st.SizeOn = a.byNode(st.UsedOn), a.byNode(st.SizeOn)
}

// byNode are figures of nodes, by their other names.
func (a anonymiser) byNode(figures map[string]int64) map[string]int64 {
	out := map[string]int64{}
	for node, n := range figures {
		out[a.name("node", node)] = n
	}
	return out
}

func (a anonymiser) guest(g *pvesim.Guest) {
	g.Node = a.name("node", g.Node)
	g.Config, g.Pending = a.config(g.Config, g.VMID), a.config(g.Pending, g.VMID)
	for i, cidr := range g.IPs {
		g.IPs[i] = a.address(cidr)
	}
	for i := range g.Snapshots {
		s := &g.Snapshots[i]
		s.Name, s.Parent, s.Description, s.Config = a.name("snap", s.Name), a.name("snap", s.Parent), "", a.config(s.Config, g.VMID)
		if s.VMState != "" {
			s.VMState = a.volume(s.VMState)
		}
	}
	g.HAOptions = a.options(g.HAOptions)
}

// config replaces the values of a guest's configuration.
func (a anonymiser) config(old map[string]string, vmid int) map[string]string {
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		value, kind := old[key], strings.TrimRight(key, "0123456789")
		switch {
		case key == "name" || key == "hostname":
			out[key] = fmt.Sprintf("guest-%d", vmid)
		case key == "parent":
			out[key] = a.name("snap", value)
		case key == "tags":
			tags := a.all("tag", pve.SplitTags(value))
			slices.Sort(tags)
			out[key] = strings.Join(tags, ";")
		case key == "smbios1":
			out[key] = "uuid=" + a.uuid(hexRE.FindString(value))
		case key == "vmgenid":
			out[key] = a.uuid(value)
		case kind == "net":
			out[key] = a.nic(value)
		case slices.Contains(drives, kind):
			out[key] = a.drive(value)
		case slices.Contains(harmless, kind) && !strings.Contains(value, "custom-"): // a type of CPU
			out[key] = value
		}
	}
	return out
}

// nic keeps what an interface is, not where.
func (a anonymiser) nic(old string) string {
	var parts []string
	for part := range strings.SplitSeq(old, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case macRE.MatchString(value):
			part = key + "=" + a.mac(value)
		case key == "ip" || key == "ip6" || key == "gw" || key == "gw6":
			if address := a.address(value); address != "" {
				part = key + "=" + address
			}
		case key == "bridge":
			part = key + "=vmbr0"
		case !slices.Contains([]string{"name", "type", "firewall", "link_down", "mtu", "rate", "queues", "model"}, key):
			continue
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

func (a anonymiser) drive(old string) string {
	parts := strings.Split(old, ",")
	id := strings.TrimPrefix(strings.TrimPrefix(parts[0], "file="), "volume=")
	out := []string{id}
	if strings.Contains(id, ":") {
		out[0] = a.volume(id)
	} else if id != "none" && id != "cdrom" {
		out[0] = "none" // a path on the node
	}
	for _, part := range parts[1:] {
		if key, _, _ := strings.Cut(part, "="); slices.Contains(shown, key) {
			out = append(out, part)
		}
	}
	return strings.Join(out, ",")
}

// options keeps what is known to tell nothing, and replaces names.
func (a anonymiser) options(old map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range old {
		switch key {
		case "node", "storage", "pool":
			out[key] = a.name(key, value)
		case "group":
			out[key] = a.name("ha", value)
		case "nodes":
			var nodes []string
			for part := range strings.SplitSeq(value, ",") {
				node, priority, _ := strings.Cut(part, ":")
				nodes = append(nodes, strings.TrimSuffix(a.name("node", node)+":"+priority, ":"))
			}
			out[key] = strings.Join(nodes, ",")
		case "affinity", "all", "bwlimit", "compress", "disable", "exclude", "failback", "is_mountpoint", "max_relocate", "max_restart", "mode",
			"nofailback", "protected", "prune-backups", "repeat-missed", "resources", "restricted", "strict", "vmid":
			out[key] = value
		}
	}
	return out
}

// access replaces users and what ACLs are about.
func (a anonymiser) access(m *pvesim.Model) {
	for i := range m.Users {
		u := &m.Users[i]
		u.ID, u.Comment, u.Email, u.Groups = a.user(u.ID), "", "", a.all("group", u.Groups)
	}
	for i := range m.Tokens {
		m.Tokens[i].ID = a.user(m.Tokens[i].ID)
	}
	roles := map[string][]string{}
	for id, privs := range m.Roles {
		roles[a.name("role", id)] = privs
	}
	for i := range m.ACL {
		acl := &m.ACL[i]
		if m.Roles[acl.Role] != nil {
			acl.Role = a.name("role", acl.Role)
		}
		if group, isGroup := strings.CutPrefix(acl.Who, "@"); isGroup {
			acl.Who = "@" + a.name("group", group)
		} else {
			acl.Who = a.user(acl.Who)
		}
		parts := strings.Split(acl.Path, "/")
		kind := map[string]string{"nodes": "node", "storage": "storage", "pool": "pool"}[parts[1]]
		for j := 2; j < len(parts) && parts[1] != "vms"; j++ {
			if !slices.Contains([]string{"groups", "realm", "zones", "localnetwork", "notification"}, parts[j]) {
				parts[j] = a.name(map[bool]string{true: "group", false: kind}[parts[1] == "access"], parts[j])
			}
		}
		acl.Path = strings.Join(parts, "/")
	}
	m.Roles = roles
}

var plainExit = lazyregexp.New(`^(OK|WARNINGS: \d+|job errors|unexpected status|got timeout|received interrupt|interrupted by signal)$`)

// task leaves out what a task said.
func (a anonymiser) task(t pvesim.PastTask) pvesim.PastTask {
	parts := strings.Split(t.UPID, ":")
	t.UPID, t.Log = "", nil
	if len(parts) > 7 {
		t.Node, t.Type, t.ID, t.User = parts[1], parts[5], parts[6], parts[7]
	}
	t.Node, t.User = a.name("node", t.Node), a.user(t.User)
	if _, err := strconv.Atoi(t.ID); err != nil {
		t.ID = ""
	}
	if !plainExit.MatchString(t.Exit) {
		t.Exit = "failed"
	}
	return t
}
