package provision

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/images"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// sourceKind is what a VM is made from.
type sourceKind string

const (
	fromNothing  sourceKind = ""         // an empty disk
	fromImage    sourceKind = "image"    // a disk image
	fromOVA      sourceKind = "ova"      // a machine of another hypervisor
	fromTemplate sourceKind = "template" // a template here
)

// source is what a VM is made from, as it was found.
type source struct {
	Kind     sourceKind `json:"kind,omitzero"`
	Volume   pve.VolID  `json:"volume,omitzero"`   // of the image; if it is downloaded first, as it will be
	Template pve.VMID   `json:"template,omitzero"` // that is cloned
	URL      string     `json:"url,omitzero"`      // from which the image is downloaded first
	Name     string     `json:"name,omitzero"`     // for a person
	User     string     `json:"user,omitzero"`     // who may log in by default
	// Cloud says that cloud-init runs in it; Agent, that the guest agent is in it.
	Cloud bool `json:"cloud,omitzero"`
	Agent bool `json:"agent,omitzero"`
	// Rather says what was not taken in its place.
	Rather string `json:"-"`
}

var (
	urlRE     = lazyregexp.New(`^https?://`)
	windowsRE = lazyregexp.New(`(?i)(?:^|[^a-z])win(?:dows|dows[-_ ]?server)?[-_ ]?(?:xp|7|8|10|11|20\d\d|server|srv)`)
)

// sourceOf finds what a caller has named as the source: a volume, a URL, a template by id or
// name, or words such as ubuntu 24.04.
func sourceOf(ctx context.Context, c *tool.Call, in createIn) (source, error) {
	text := in.Source
	if text == "" {
		return source{}, nil
	}
	if urlRE.MatchString(text) {
		return sourceOfURL(c, text, in.Download)
	}
	if id, err := pve.ParseVolID(text); err == nil {
		return sourceOfVolume(c, id)
	}
	if id, err := guestNamed(ctx, c, text); err == nil {
		return sourceOfGuest(ctx, c, id)
	} else if !errors.As(err, new(*cluster.NameError)) {
		return source{}, err
	}
	return sourceOfWords(ctx, c, in)
}

func sourceOfURL(c *tool.Call, text string, download bool) (source, error) {
	u, err := url.Parse(text)
	name := ""
	if err == nil {
		name = importName(path.Base(u.Path))
	}
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return source{}, tool.BadArgument("source", "is no URL of a file without a password, such as https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img")
	case !images.IsImage(name):
		return source{}, tool.BadArgument("source", fmt.Sprintf("ends in %q; a disk image ends in .qcow2, .img, .raw, .vmdk or .ova. An installer is downloaded with pve_download and named with iso", render.Text(path.Base(u.Path), 60)))
	case !download:
		return source{}, explain.Refusal("Repeat with download: true.", "The image is not on a storage yet, and nothing is downloaded that was not asked for. Nothing was made.")
	}
	known, _ := c.Host().Images.Of(name)
	return source{
		Kind: kindOf(name), URL: text, Volume: pve.VolID{Name: "import/" + name}, Name: render.Text(name, 100),
		User: known.User, Cloud: known.Name != "" || strings.Contains(strings.ToLower(name), "cloud"), Agent: known.Agent,
	}, nil
}

func kindOf(name string) sourceKind {
	if strings.HasSuffix(strings.ToLower(name), ".ova") {
		return fromOVA
	}
	return fromImage
}

func sourceOfVolume(c *tool.Call, id pve.VolID) (source, error) {
	content, name, _ := strings.Cut(id.Name, "/")
	shown := render.Text(id.String(), 100)
	switch {
	case content == "backup":
		return source{}, explain.Refusal("pve_restore_backup makes a guest from it.", "%s is a backup.", shown)
	case content == "vztmpl":
		return source{}, explain.Refusal("pve_create_container makes a container from it.", "%s is a container template.", shown)
	case content == "iso" && path.Ext(name) == ".iso":
		return source{}, explain.Refusal(fmt.Sprintf("Give it as iso: %q, without a source.", shown), "%s is a CD, not a disk image.", shown)
	}
	return imageSource(c, id), nil
}

// imageSource is the source that an image on a storage is.
func imageSource(c *tool.Call, id pve.VolID) source {
	name := path.Base(id.Name)
	known, isKnown := c.Host().Images.Of(name)
	return source{
		Kind: kindOf(name), Volume: id, Name: render.Text(id.String(), 100),
		User: known.User, Agent: known.Agent, Cloud: isKnown || strings.Contains(strings.ToLower(name), "cloud"),
	}
}

// guestNamed finds the guest that has exactly a name or id.
func guestNamed(ctx context.Context, c *tool.Call, text string) (pve.VMID, error) {
	if id, err := pve.ParseVMID(text); err == nil {
		_, err := c.Guest(ctx, id)
		return id, err
	}
	return cluster.FindGuestNamed(ctx, c.PVE, text)
}

func sourceOfGuest(ctx context.Context, c *tool.Call, id pve.VMID) (source, error) {
	g, s, err := c.Live(ctx, id)
	if err != nil {
		return source{}, err
	}
	label := fmt.Sprintf("%v (%s)", g, render.Text(s.Name.Value, 60))
	switch {
	case g.Kind == pve.LXC:
		return source{}, explain.Refusal("pve_create_container makes a container.", "%s is a container.", label)
	case !s.Template.Value:
		return source{}, explain.Refusal("pve_clone_guest copies it as it is; pve_make_template makes it a template.", "%s is not a template.", label)
	}
	config, err := c.PVE.CurrentConfig(ctx, g)
	if err != nil {
		return source{}, err
	}
	known, _ := c.Host().Images.Of(s.Name.Value)
	out := source{Kind: fromTemplate, Template: id, Name: "template " + label, User: known.User, Agent: true}
	for _, d := range config.Disks(g.Kind) {
		out.Cloud = out.Cloud || d.IsCloudInit()
	}
	return out, nil
}

// candidate is something that a caller's words may mean.
type candidate struct {
	source
	label string
}

// sourceOfWords finds the one image or template that words such as ubuntu 24.04 mean: of
// several the one that can do what was asked.
func sourceOfWords(ctx context.Context, c *tool.Call, in createIn) (source, error) {
	question := images.WordsOf(in.Source)
	found, err := candidates(ctx, c, question)
	if err != nil {
		return source{}, err
	}
	able := slices.DeleteFunc(slices.Clone(found), func(f candidate) bool { return !f.suits(in) })
	unable := ""
	if i := slices.IndexFunc(found, func(f candidate) bool { return !f.suits(in) }); i >= 0 {
		unable = "the " + found[i].Name
	}
	shown := render.Text(in.Source, 60)
	meant := c.Host().Images.Meant(question)
	var known images.Image
	isKnown := len(meant) == 1
	if isKnown {
		known = meant[0]
	}
	switch {
	case len(able) == 1:
		return able[0].rather(unable), nil
	case len(able) > 1:
		var labels []string
		for _, f := range able[:min(8, len(able))] {
			labels = append(labels, f.label)
		}
		return source{}, explain.Refusal("Give one of them as source: "+render.List(labels)+".", "%q may mean %d sources. Nothing was made.", shown, len(able))
	case isKnown && in.Download:
		s, err := sourceOfURL(c, known.URL, true)
		return s.rather(unable), err
	case unable != "":
		next := "Leave user, ssh_keys and addresses out"
		if isKnown {
			next = "Repeat with download: true, which fetches " + known.URL
		}
		return source{}, explain.Refusal(next+"; or name another source; pve_update_guest_config adds a drive to the template: ide2: STORAGE:cloudinit.",
			"%q is here only as %s, which has no cloud-init drive, by which its clone could learn user, keys or addresses. Nothing was made.", shown, unable)
	case isKnown:
		return source{}, explain.Refusal(fmt.Sprintf("Repeat with download: true, which fetches %s.", known.URL), "No storage has an image for %q. Nothing was made.", shown)
	case len(meant) > 1:
		return source{}, explain.Refusal("Give one of them as source, with download: true: "+render.List(images.Names(meant))+".", "No storage has an image for %q, which may mean %d that can be fetched. Nothing was made.", shown, len(meant))
	}
	return source{}, explain.Refusal("Give a volume, a URL with download: true, or the name of a template; pve_download without arguments lists what there is.",
		"No storage has an image for %q, no template has such a name, and no known cloud image. Nothing was made.", shown)
}

// suits reports whether a VM of the source can learn what the call says of user, keys and
// addresses.
func (s source) suits(in createIn) bool {
	return s.Kind != fromTemplate || s.Cloud || in.UserData != "" || !in.tellsCloudInit()
}

// rather returns the source with what was not taken in its place, "" for nothing.
func (s source) rather(other string) source {
	if other != "" {
		s.Rather = ", not " + other + ", which has no cloud-init drive"
	}
	return s
}

// candidates lists the images and templates that words may mean. The same file on several
// storages is one.
func candidates(ctx context.Context, c *tool.Call, question []string) ([]candidate, error) {
	all, err := c.List(ctx, "vm")
	if err != nil {
		return nil, err
	}
	known := c.Host().Images
	var out []candidate
	for _, r := range all.Resources() {
		if r.Type == string(pve.QEMU) && r.Template.Value && known.About(question, r.Name.Value) {
			s, err := sourceOfGuest(ctx, c, r.VMID)
			if err != nil {
				return nil, err
			}
			out = append(out, candidate{s, fmt.Sprintf("%v (%s)", r.VMID, s.Name)})
		}
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, content := range []string{"import", "iso"} {
		with := cluster.StoresFor(content, stores)
		got, _, err := c.Volumes(ctx, with, pve.VolumeFilter{Content: content})
		if err != nil {
			return nil, err
		}
		for _, s := range got {
			for _, v := range s.Value {
				name := path.Base(v.VolID.Name)
				if seen[name] || !images.IsImage(name) || !known.About(question, name) {
					continue
				}
				seen[name] = true
				out = append(out, candidate{imageSource(c, v.VolID), render.Text(v.VolID.String(), 100)})
			}
		}
	}
	return out, nil
}

// nodesWith returns the nodes that have a volume, nil if all that have its storage do.
func nodesWith(ctx context.Context, c *tool.Call, stores []cluster.Store, id pve.VolID) ([]string, error) {
	own := slices.DeleteFunc(slices.Clone(stores), func(s cluster.Store) bool { return s.Storage.Value != id.Storage })
	if len(own) == 0 || own[0].Shared.Value {
		return nil, nil
	}
	content, _, _ := strings.Cut(id.Name, "/")
	got, notes, err := c.Volumes(ctx, own, pve.VolumeFilter{Content: content})
	var nodes []string
	for _, s := range got {
		if slices.ContainsFunc(s.Value, func(v pve.Volume) bool { return v.VolID == id }) {
			nodes = append(nodes, s.From.Ready...)
		}
	}
	if nodes == nil && err == nil {
		err = explain.Refusal("pve_download without arguments lists what there is.", "%s is on no node.%s Nothing was made.", render.Text(id.String(), 100), notLookedInto(notes))
	}
	return nodes, err
}

// importName is the name of a file under which PVE takes it as an image to import.
func importName(name string) string {
	if base, ok := strings.CutSuffix(name, ".img"); ok {
		return base + ".qcow2"
	}
	return name
}
