package find

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// mostBytes is what the rows of an answer take at most.
	mostBytes = 4500
	// mostWhere is how many places of a guest are shown.
	mostWhere = 5
)

// answer puts the answer together.
func (f *finder) answer(ctx context.Context) out {
	o := out{Guests: []row{}, Total: len(f.guests)}
	if f.wanted.storage != "" {
		o.Storage = f.storageUse(ctx)
	}
	size := 0
	for _, g := range f.guests {
		r := row{
			Guest: nameOf(g), Node: g.Node.Value, Status: g.status,
			Where: render.Few(g.where, mostWhere), Addresses: g.addresses,
		}
		if g.Template.Value {
			r.Status = "template"
		}
		if size += len(exactjson.Encode(r)); len(o.Guests) == f.in.Limit || size > mostBytes && len(o.Guests) > 0 {
			f.next = g.at
			break
		}
		o.Guests = append(o.Guests, r)
	}
	o.Message = f.message(o)
	if f.next > 0 {
		o.More = fmt.Sprintf("offset: %d, or narrow it with guests", f.next)
	}
	f.addNotes(ctx)
	o.Notes = tool.FewNotes(f.notes)
	o.Blind = f.Blind()
	return o
}

// message is the answer in one line.
func (f *finder) message(o out) string {
	text := ""
	switch n := len(f.guests); {
	case n == 0 && f.wanted.inSnapshots():
		text = "Nothing that this token sees uses it"
	case n == 0:
		text = "No guest that could be looked at matches"
	case f.wanted.isEmpty():
		text = "The addresses of " + count(n)
	default:
		var names []string
		for _, g := range f.guests {
			names = append(names, nameOf(g))
		}
		few, _ := survey.Few(names)
		if more := n - len(few); more > 0 {
			few = append(slices.Clone(few), fmt.Sprintf("%d more", more))
		}
		text = fmt.Sprintf("%d of %s: %s", n, count(f.all), render.List(few))
	}
	if o.Storage != nil {
		text = f.wanted.storage + ": " + o.Storage.summary()
	}
	if blind := f.Blind(); len(blind) > 0 {
		text += fmt.Sprintf("; %s not be looked at (blind)", unseen(blind))
	}
	if f.next > 0 {
		text += fmt.Sprintf("; goes on at offset %d of %d", f.next, f.all)
	}
	return text + "."
}

// unseen names what could not be looked at, and of how many.
func unseen(blind []survey.Blind) string {
	var checks []string
	for _, b := range blind {
		text := b.Check
		if n := max(b.Count, len(b.On)); n > 0 {
			text += fmt.Sprintf(" (%d)", n)
		}
		if !slices.Contains(checks, text) {
			checks = append(checks, text)
		}
	}
	if len(checks) > 3 {
		checks = append(checks[:2], fmt.Sprintf("%d other things", len(checks)-2))
	}
	return render.List(checks) + " could"
}

// count counts guests in words.
func count(n int) string {
	if n == 1 {
		return "1 guest"
	}
	return fmt.Sprintf("%d guests", n)
}

// addNotes says what a search does not show.
func (f *finder) addNotes(ctx context.Context) {
	w := f.wanted
	if w.vlan != 0 {
		f.notes = append(f.notes, "a VLAN of the bridge itself (such as bond0.30), and tags that a guest sets itself, are not seen here")
	}
	if w.device != "" {
		f.notes = append(f.notes, "lxc.* lines of a container's configuration are not looked at")
	}
	for _, p := range []pattern{w.iso, w.volume} {
		if p.isExact() {
			f.noteImage(ctx, p)
		}
	}
}

// noteImage says where the image or template of a volume id is.
func (f *finder) noteImage(ctx context.Context, p pattern) {
	id, err := pve.ParseVolID(p.text)
	content, known := map[string]string{"iso": "iso", "vztmpl": "vztmpl", "import": "import", "snippets": "snippets"}[strings.SplitN(id.Name, "/", 2)[0]]
	if err != nil || !known {
		return
	}
	list, err := f.List(ctx, "")
	if err != nil {
		f.NotSeen("storage", id.Storage, f.Explain(err).What)
		return
	}
	var stores []cluster.Store
	for _, s := range cluster.StoresIn(list.Resources()) {
		if s.Storage.Value == id.Storage {
			stores = append(stores, s)
		}
	}
	if stores == nil {
		f.notes = append(f.notes, fmt.Sprintf("there is no storage %s, or this token may not see it", render.Text(id.Storage, 40)))
		return
	}
	got, notes, err := f.Volumes(ctx, stores, pve.VolumeFilter{Content: content})
	if err != nil {
		f.NotSeen("storage", id.Storage, f.Explain(err).What)
		return
	}
	var on []string
	for _, g := range got {
		for _, v := range g.Value {
			if v.VolID == id {
				on = append(on, g.From.Name())
			}
		}
	}
	if on == nil {
		f.notes = append(f.notes, p.text+" is not there, as far as this token sees")
	} else {
		f.notes = append(f.notes, p.text+" is on "+render.List(on))
	}
	f.notes = append(f.notes, notes...)
}
