package provision

import (
	"cmp"
	"context"
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

// referenceRE matches an OCI image with its registry: docker.io/library/nginx:latest.
var referenceRE = lazyregexp.New(`^(?:oci://|docker://)?([a-z0-9.-]+(?::\d+)?/[a-z0-9._/-]+)(?::([A-Za-z0-9._-]+))?$`)

func isReference(text string) bool { return !urlRE.MatchString(text) && referenceRE.MatchString(text) }

// find finds what a caller wants to have, and where it goes.
func (d *downloadPlan) find(ctx context.Context, c *tool.Call) error {
	text := strings.TrimSpace(d.in.What)
	switch {
	case urlRE.MatchString(text):
		return d.findURL(ctx, c, text)
	case isReference(text):
		return d.findOCI(ctx, c, text)
	}
	return d.findWords(ctx, c, text)
}

// compressed are endings of files that PVE unpacks.
var compressed = []string{".gz", ".lzo", ".zst", ".bz2"}

// contents are the kinds of content by ending.
var contents = map[string]string{
	".iso": "iso", ".img": "import", ".qcow2": "import", ".raw": "import", ".vmdk": "import", ".ova": "import", ".xz": "vztmpl", ".tgz": "vztmpl",
}

func (d *downloadPlan) findURL(ctx context.Context, c *tool.Call, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return tool.BadArgument("what", "is no URL of a file without a password, such as https://cdimage.debian.org/…/debian-13.iso")
	}
	name := path.Base(u.Path)
	if d.in.Filename != "" {
		name = d.in.Filename
	}
	if strings.ContainsAny(d.in.Filename, "/\\") {
		return tool.BadArgument("filename", "has a folder in it; give a name alone, such as debian-13.iso")
	}
	if name == "." || name == "/" {
		return tool.BadArgument("filename", "is needed, since the URL ends in none: such as debian-13.iso")
	}
	ending := path.Ext(name)
	if slices.Contains(compressed, ending) && !strings.Contains(name, ".tar.") {
		d.Compression, name = strings.TrimPrefix(ending, "."), strings.TrimSuffix(name, ending)
		ending = path.Ext(name)
	}
	content := d.in.Content
	if content == "" {
		content = contents[ending]
	}
	if content == "" && strings.Contains(name, ".tar.") {
		content = "vztmpl"
	}
	if content == "" {
		return tool.BadArgument("content", fmt.Sprintf("is needed, since %q does not tell: iso, import or vztmpl", render.Text(name, 60)))
	}
	if content == "import" {
		name = importName(name)
	}
	d.Kind, d.From, d.Volume.Name = byURL, text, content+"/"+name
	return d.place(ctx, c, content)
}

func (d *downloadPlan) findOCI(ctx context.Context, c *tool.Call, text string) error {
	if d.in.Content != "" && d.in.Content != "vztmpl" {
		return tool.BadArgument("content", "of an OCI image is vztmpl: it becomes a container")
	}
	reference, file, isLatest := readReference(text)
	if isLatest {
		d.Notes = append(d.Notes, "its tag was left out, so it is latest")
	}
	if d.in.Filename != "" {
		file = strings.TrimSuffix(d.in.Filename, ".tar") + ".tar"
	}
	d.Kind, d.From, d.Volume.Name = registry, reference, "vztmpl/"+file
	if err := d.place(ctx, c, "vztmpl"); err != nil {
		return err
	}
	v, err := c.PVE.NodeVersion(ctx, d.Node)
	if err == nil && pve.CompareNames(v.Version, "9.1") < 0 {
		err = explain.Refusal("Name a node with PVE 9.1 or later, or take a container template.", "The node %s has PVE %s, which takes no OCI images. Nothing was fetched.", d.Node, render.Text(v.Version, 20))
	}
	return err
}

// readReference reads what [referenceRE] matches: the reference as PVE takes it, and the file that
// the image becomes. isLatest says that it named no tag.
func readReference(text string) (reference, file string, isLatest bool) {
	m := referenceRE.FindStringSubmatch(text)
	tag := cmp.Or(m[2], "latest")
	return m[1] + ":" + tag, path.Base(m[1]) + "_" + tag + ".tar", m[2] == ""
}

// ask is what words ask for.
type ask struct {
	question []string // the words that name it
	newest   bool
	content  string // import or vztmpl, if they say so
}

// readAsk reads words such as the newest debian container.
func readAsk(text string) ask {
	var a ask
	for _, w := range images.WordsOf(text) {
		switch w {
		case "newest", "latest":
			a.newest = true
		case "template", "container":
			a.content = "vztmpl"
		case "image", "cloud":
			a.content = cmp.Or(a.content, "import")
		case "the":
		default:
			a.question = append(a.question, w)
		}
	}
	return a
}

// findWords finds the container template or the cloud image that words mean.
func (d *downloadPlan) findWords(ctx context.Context, c *tool.Call, text string) error {
	a := readAsk(text)
	content := cmp.Or(d.in.Content, a.content)
	var templates []pve.Appliance
	if content == "" || content == "vztmpl" {
		if err := d.place(ctx, c, "vztmpl"); err != nil {
			return err
		}
		list, err := c.PVE.Appliances(ctx, d.Node)
		if err != nil {
			return err
		}
		templates = matching(list, text, a.question, a.newest)
	}
	var known []images.Image
	if content == "" || content == "import" {
		known = c.Host().Images.Meant(a.question)
	}
	if a.newest && len(known) > 1 {
		known = []images.Image{slices.MaxFunc(known, func(x, y images.Image) int { return pve.CompareNames(x.Name, y.Name) })}
	}
	shown := render.Text(text, 60)
	var names []string
	for _, t := range templates {
		names = append(names, render.Text(t.Template, 80))
	}
	names = names[:min(8, len(names))]
	switch {
	case len(known) > 0 && len(templates) > 0:
		return explain.Refusal(fmt.Sprintf("Say which: content: \"import\" for the disk image of a VM (%s), content: \"vztmpl\" for a container template (%s).", render.List(images.Names(known)), render.List(names)),
			"%q is both. Nothing was fetched.", shown)
	case len(known) == 1:
		return d.findURL(ctx, c, known[0].URL)
	case len(known) > 1:
		return explain.Refusal("Give one of them as what: "+render.List(images.Names(known))+".", "%q may mean %d images. Nothing was fetched.", shown, len(known))
	case len(templates) == 1:
		d.Kind, d.From, d.Volume.Name = appliance, templates[0].Template, "vztmpl/"+templates[0].Template
		return nil
	case len(templates) > 1:
		return explain.Refusal("Give one of them as what: "+render.List(names)+".", "%q may mean %d templates. Nothing was fetched.", shown, len(templates))
	}
	return explain.Refusal("pve_download without arguments lists what is offered; anything else, such as an ISO, has a URL.", "Nothing that is offered is called %q. Nothing was fetched.", shown)
}

// matching returns the container templates that words mean: one that is named whole, else those
// of plain systems, else any. Of the same package only the newest is offered by PVE.
func matching(list []pve.Appliance, text string, question []string, newest bool) []pve.Appliance {
	var out []pve.Appliance
	for _, a := range list {
		if a.Template == text {
			return []pve.Appliance{a}
		}
		if len(question) > 0 && images.AreAmong(question, images.WordsOf(a.Template+" "+a.OS.Value)) {
			out = append(out, a)
		}
	}
	plain := slices.DeleteFunc(slices.Clone(out), func(a pve.Appliance) bool { return a.Section.Value != "system" })
	if len(plain) > 0 {
		out = plain
	}
	slices.SortFunc(out, func(a, b pve.Appliance) int { return pve.CompareNames(b.Template, a.Template) })
	if newest && len(out) > 1 {
		return out[:1]
	}
	return out
}

// list lists what the storages have, and what is offered.
func (out *downloadOut) list(ctx context.Context, c *tool.Call, content string) error {
	stores, err := c.Stores(ctx)
	if err != nil {
		return err
	}
	for _, kind := range []string{"iso", "import", "vztmpl"} {
		if content != "" && content != kind {
			continue
		}
		with := cluster.StoresFor(kind, stores)
		got, notes, err := c.Volumes(ctx, with, pve.VolumeFilter{Content: kind})
		if err != nil {
			return err
		}
		out.Notes = append(out.Notes, notes...)
		for _, s := range got {
			for _, v := range s.Value {
				row := volumeRow{Volume: render.Text(v.VolID.String(), 120), Size: render.Bytes(v.Size.Value)}
				if !s.From.Shared.Value {
					row.Node = s.From.Node.Value
				}
				out.There = append(out.There, row)
			}
		}
	}
	return out.offer(ctx, c, content)
}

// mostOffered is how many rows of what is offered are shown.
const mostOffered = 30

func (out *downloadOut) offer(ctx context.Context, c *tool.Call, content string) error {
	if content == "" || content == "import" {
		for _, i := range c.Host().Images.All() {
			out.Offered = append(out.Offered, offeredRow{What: i.Name, Content: "import", From: i.URL})
		}
	}
	if content == "" || content == "vztmpl" {
		nodes, err := c.Nodes(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(nodes, func(n pve.Resource) bool { return n.Status.Value == "online" })
		list, err := c.PVE.Appliances(ctx, nodes[max(0, i)].Node.Value)
		if err != nil {
			return err
		}
		plain := slices.DeleteFunc(list, func(a pve.Appliance) bool { return a.Section.Value != "system" })
		for _, a := range plain {
			out.Offered = append(out.Offered, offeredRow{What: render.Text(a.Template, 100), Content: "vztmpl"})
		}
		if others := len(list) - len(plain); others > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("%d container templates with an application in them are offered as well, such as by the name of the application", others))
		}
	}
	if over := len(out.Offered) - mostOffered; over > 0 {
		out.Offered = out.Offered[:mostOffered]
		out.Notes = append(out.Notes, fmt.Sprintf("%d more are offered; content narrows the list", over))
	}
	return nil
}

// baseOf is the name of the file that a URL ends in.
func baseOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}
