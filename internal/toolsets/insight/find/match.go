package find

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// criterion is something that a guest's configuration has to have. find returns where a place
// has it.
type criterion struct {
	find        func(place) []string
	inSnapshots bool // those of snapshots count, too
}

// testConfigs rules out the guests whose configurations do not have all that is wanted, and
// keeps where the others have it.
func (f *finder) testConfigs(ctx context.Context) {
	criteria := f.criteria(ctx)
	f.guests = slices.DeleteFunc(f.guests, func(g *guest) bool {
		for _, c := range criteria {
			found := g.find(c)
			if found == nil {
				return true
			}
			g.where = append(g.where, found...)
		}
		return false
	})
	hasMAC := func(g *guest) bool { return g.find(criterion{find: f.nics}) != nil }
	if f.wanted.mac == "" || f.wanted.networked() {
		return
	}
	if f.macReported = !slices.ContainsFunc(f.guests, hasMAC); f.macReported {
		return
	}
	f.guests = slices.DeleteFunc(f.guests, func(g *guest) bool {
		found := g.find(criterion{find: f.nics})
		g.where = append(g.where, found...)
		return found == nil
	})
}

// criteria are those that configurations can meet. A MAC address that is in none of them may
// be one that a guest reports.
func (f *finder) criteria(ctx context.Context) (out []criterion) {
	w := f.wanted
	if w.networked() {
		out = append(out, criterion{find: f.nics})
	}
	if !w.iso.isEmpty() {
		out = append(out, criterion{func(p place) []string { return volumesLike(p, w.iso, true) }, true})
	}
	if !w.volume.isEmpty() {
		out = append(out, criterion{func(p place) []string { return volumesLike(p, w.volume, false) }, true})
	}
	if w.storage != "" {
		out = append(out, criterion{func(p place) []string { return volumesOn(p, w.storage) }, true})
	}
	if w.device != "" {
		mappings := f.mappingsOf(ctx, w.device)
		out = append(out, criterion{find: func(p place) []string { return devicesLike(p, w.device, mappings) }})
	}
	for _, s := range w.config {
		out = append(out, criterion{find: s.in})
	}
	if !w.notes.isEmpty() {
		out = append(out, criterion{find: w.notesIn})
	}
	return out
}

// find returns where a guest has what a criterion asks for.
func (g *guest) find(c criterion) (where []string) {
	for _, p := range g.places {
		if strings.HasPrefix(p.label, "snapshot ") && !c.inSnapshots {
			continue
		}
		for _, found := range c.find(p) {
			where = append(where, p.label+found)
		}
	}
	return where
}

// nics are the interfaces that have the MAC address, the bridge and the VLAN that are wanted.
func (f *finder) nics(p place) (found []string) {
	w := f.wanted
	for _, n := range (pve.GuestConfig{Values: p.values}).NICs(p.kind) {
		vlan, inVLAN := f.vlanOf(n)
		if w.mac != "" && plainMAC(n.MAC) != w.mac || !w.bridge.isEmpty() && !w.bridge.matches(n.Bridge) || w.vlan != 0 && !inVLAN {
			continue
		}
		text := n.Key
		for _, part := range []string{render.Text(n.Bridge, 30), vlan} {
			if part != "" {
				text += ", " + part
			}
		}
		if w.mac != "" {
			text += ", " + render.Text(n.MAC, 20)
		}
		if n.LinkDown.Value {
			text += ", link down"
		}
		found = append(found, text)
	}
	return found
}

// vlanOf says which VLAN an interface is in, and whether it is the one that is wanted.
func (f *finder) vlanOf(n pve.NIC) (text string, wanted bool) {
	if n.Tag.Set {
		return fmt.Sprintf("VLAN %d", n.Tag.Value), n.Tag.Value == f.wanted.vlan
	}
	if tag := f.vnets[n.Bridge]; tag != 0 {
		return fmt.Sprintf("VLAN %d by its vnet", tag), tag == f.wanted.vlan
	}
	trunks, ok := n.Rest.Get("trunks")
	if !ok {
		return "", false
	}
	for part := range strings.SplitSeq(trunks, ";") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseInt(first, 10, 64)
		to := from
		if isRange {
			to, _ = strconv.ParseInt(last, 10, 64)
		}
		if err == nil && from <= f.wanted.vlan && f.wanted.vlan <= to {
			return "trunk of VLANs " + render.Text(trunks, 40), true
		}
	}
	return "", false
}

// volume is one that a configuration names.
type volume struct {
	key  string
	id   pve.VolID
	disk pve.Disk // the zero value if it is no disk
}

// volumesIn are the volumes that a configuration names, by key.
func volumesIn(p place) (out []volume) {
	for _, d := range (pve.GuestConfig{Values: p.values}).Disks(p.kind) {
		if d.Volume.Storage != "" {
			out = append(out, volume{d.Key, d.Volume, d})
		}
	}
	add := func(key, text string) {
		if id, err := pve.ParseVolID(text); err == nil {
			out = append(out, volume{key: key, id: id})
		}
	}
	add("vmstate", p.values["vmstate"])
	add("hookscript", p.values["hookscript"])
	for what, text := range pve.ParseProperty(p.values["cicustom"], "").All() {
		add("cicustom "+what, text)
	}
	return out
}

// volumesLike are the volumes whose id, name or file name is like a pattern, or that are
// linked clones of such a volume.
func volumesLike(p place, like pattern, isos bool) (found []string) {
	matches := func(storage, name string) bool {
		return like.matches(storage+":"+name) || like.matches(name) || like.matches(path.Base(name))
	}
	for _, v := range volumesIn(p) {
		if isos && !(v.disk.IsCDROM() && !v.disk.IsCloudInit()) {
			continue
		}
		text := v.key
		if !like.isExact() || like.text != v.id.String() {
			text += ", " + render.Text(v.id.String(), 100)
		}
		if matches(v.id.Storage, v.id.Name) {
			found = append(found, text)
			continue
		}
		for i, c := range v.id.Name {
			base := v.id.Name[:i]
			if c == '/' && strings.Contains(path.Base(base), "base") && matches(v.id.Storage, base) {
				found = append(found, text+", a linked clone of it")
				break
			}
		}
	}
	return found
}

// volumesOn are the volumes on a storage.
func volumesOn(p place, storage string) (found []string) {
	for _, v := range volumesIn(p) {
		if v.id.Storage != storage {
			continue
		}
		text := v.key
		switch {
		case v.disk.IsCDROM():
			text += ", " + render.Text(path.Base(v.id.Name), 80)
		case v.disk.Size.Set:
			text += ", " + render.Bytes(v.disk.Size.Value)
		}
		found = append(found, text)
	}
	return found
}

// in returns the keys that have the value that a setting wants, whole or in a part between
// commas.
func (s setting) in(p place) (found []string) {
	if s.not && !p.whole {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		if !s.key.matches(key) || slices.Contains(secretKeys, key) {
			continue
		}
		value := render.MaskSecrets(p.values[key])
		if s.has(value) != s.not {
			found = append(found, key+": "+render.Text(value, 100))
		}
	}
	if value := defaultOf(p.kind, s.key.text); found == nil && p.whole && value != "" && p.values[s.key.text] == "" && s.has(value) != s.not {
		return []string{s.key.text + ": not set, which means " + value}
	}
	if found == nil && s.not && !slices.ContainsFunc(slices.Collect(maps.Keys(p.values)), s.key.matches) && defaultOf(p.kind, s.key.text) == "" {
		return []string{render.Text(s.key.text, 40) + ": not set"}
	}
	return found
}

// has reports whether a value is the one that is wanted, or has it between commas.
func (s setting) has(value string) bool {
	if s.value.matches(value) {
		return true
	}
	for part := range strings.SplitSeq(value, ",") {
		_, inner, keyed := strings.Cut(part, "=")
		if s.value.matches(part) || keyed && s.value.matches(inner) {
			return true
		}
	}
	return false
}

// notesIn returns the line of the notes that has the text. Secrets in notes are masked before.
func (w wanted) notesIn(p place) []string {
	text := render.Notes(p.values["description"], 20_000)
	if !w.notes.matches(text) {
		return nil
	}
	for line := range strings.Lines(text) {
		if w.notes.matches(strings.TrimSpace(line)) {
			return []string{"notes: " + render.Text(line, 120)}
		}
	}
	return []string{"notes"}
}

// mappingsOf are the names of the mappings of devices that have a device.
func (f *finder) mappingsOf(ctx context.Context, device string) (names []string) {
	for _, kind := range []string{"pci", "usb"} {
		list, _ := survey.One(f.Survey, "mappings of devices", func(ctx context.Context) ([]pve.DeviceMapping, error) {
			return f.PVE.DeviceMappings(ctx, kind)
		})
		for _, m := range list {
			if slices.ContainsFunc(m.Map, func(entry string) bool { return mentions(entry, device) }) {
				names = append(names, strings.ToLower(m.ID))
			}
		}
	}
	return names
}

// passed are the keys under which a guest has devices of its node, without their numbers.
var passed = []string{"hostpci", "usb", "serial", "parallel", "dev"}

// devicesLike are the devices that are passed through and mention a device, or a mapping
// that has it.
func devicesLike(p place, device string, mappings []string) (found []string) {
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		value, kind := p.values[key], strings.TrimRight(key, "0123456789")
		isDisk := pve.IsDiskKey(p.kind, key) && strings.HasPrefix(pve.DiskOf(p.kind, key, value).Source, "/dev/")
		isRaw := key == "args" && device != "*"
		switch {
		case !slices.Contains(passed, kind) && !isDisk && !isRaw,
			kind == "usb" && strings.Contains(value, "spice"),
			kind == "serial" && !strings.Contains(value, "/dev/"):
			continue
		}
		mapping, mapped := pve.ParseProperty(value, "host").Get("mapping")
		if device == "*" || mentions(value, device) || mapped && slices.Contains(mappings, strings.ToLower(mapping)) {
			found = append(found, key+": "+render.Said(value, 80))
		}
	}
	return found
}

// mentions reports whether a value names a device. PVE leaves out the domain 0000 of a PCI
// address as it likes; an address without a function means all of them.
func mentions(value, device string) bool {
	value, device = strings.ReplaceAll(strings.ToLower(value), "0000:", ""), strings.TrimPrefix(device, "0000:")
	if device == "" || strings.Contains(value, device) {
		return device != ""
	}
	slot, _, hasFunction := strings.Cut(device, ".")
	if !hasFunction || !strings.Contains(slot, ":") {
		return false
	}
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '=' || r == ';' }) {
		if part == slot {
			return true
		}
	}
	return false
}
