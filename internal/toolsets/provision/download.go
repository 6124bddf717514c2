package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/images"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type downloadIn struct {
	What     string `json:"what,omitzero" jsonschema:"URL, \"ubuntu 24.04\", \"newest debian image\", docker.io/library/nginx:latest; default: list"`
	Content  string `json:"content,omitzero" enum:"iso,import,vztmpl" jsonschema:"default: by the name"`
	Storage  string `json:"storage,omitzero" jsonschema:"default: most room"`
	Node     string `json:"node,omitzero" jsonschema:"that fetches; default: any"`
	Filename string `json:"filename,omitzero" jsonschema:"default: the URL's"`
	Checksum string `json:"checksum,omitzero" jsonschema:"the publisher's, sha256:…"`
	change.PlanArguments
	change.WaitArgument
}

// downloadKind is how a file comes to a storage.
type downloadKind string

const (
	listOnly  downloadKind = "" // nothing is fetched
	byURL     downloadKind = "url"
	appliance downloadKind = "appliance"
	registry  downloadKind = "oci"
)

type downloadState struct {
	Kind        downloadKind `json:"kind,omitzero"`
	From        string       `json:"from,omitzero"` // a URL, the name of a template, or a reference
	Node        string       `json:"node,omitzero"`
	Volume      pve.VolID    `json:"volume,omitzero"` // as which it is kept
	Content     string       `json:"content,omitzero"`
	Compression string       `json:"compression,omitzero"`
	Checksum    checksum     `json:"checksum,omitzero"`
	Notes       []string     `json:"notes,omitzero"`
	ListContent string       `json:"list,omitzero"` // of which kind alone is listed
}

type downloadOut struct {
	change.Answer
	Volume  string       `json:"volume,omitzero" jsonschema:"volid of what was fetched"`
	Size    string       `json:"size,omitzero"`
	There   []volumeRow  `json:"there,omitzero" cut:"end" jsonschema:"what the storages have"`
	Offered []offeredRow `json:"offered,omitzero" cut:"end" jsonschema:"what can be fetched by its name"`
	Notes   []string     `json:"notes,omitzero"`
}

type volumeRow struct {
	Volume string `json:"volume"`
	Size   string `json:"size,omitzero"`
	Node   string `json:"node,omitzero" jsonschema:"if not on all"`
}

type offeredRow struct {
	What    string `json:"what"`
	Content string `json:"content"`
	From    string `json:"from,omitzero"`
}

func download() tool.Tool {
	return change.New(change.Spec[downloadIn, downloadState, downloadOut]{
		Name:  "pve_download",
		Title: "Download an image, ISO or template",
		Doc:   "Download or fetch an ISO, cloud image, container template or OCI image to a storage, by name or URL.",
		Examples: []tool.Example{
			{Arguments: `{}`},
			{Arguments: `{"what":"https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img","storage":"nfs","wait":45}`},
			{Arguments: `{"what":"newest debian","content":"vztmpl","storage":"local","wait":45}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnStorage, "Datastore.AllocateTemplate").If("something is fetched"),
			tool.On(tool.OnRoot, "Sys.Modify").Until(8).If("a URL").ForAdmins(),
			tool.On(tool.OnRoot, "Sys.Audit").Until(8).If("a URL").ForAdmins(),
			tool.On(tool.OnNode, "Sys.AccessNetwork").Since(8).If("a URL or an OCI image"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("what is there is not listed"),
		},
		Plan:   planDownload,
		Start:  startDownload,
		Finish: finishDownload,
	})
}

func planDownload(ctx context.Context, c *tool.Call, in downloadIn) (change.Plan, downloadState, error) {
	s := downloadState{ListContent: in.Content}
	if in.What == "" {
		return change.Plan{About: "List of images", Already: "Nothing was downloaded: what is there and what is offered is listed.", ReadOnly: true}, s, nil
	}
	sum, err := readChecksum(in.Checksum)
	if err != nil {
		return change.Plan{}, s, err
	}
	s.Checksum = sum
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return change.Plan{}, s, err
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return change.Plan{}, s, err
	}
	d := downloadPlan{downloadState: s, in: in, perms: perms, stores: stores}
	if err := d.find(ctx, c); err != nil {
		return change.Plan{}, s, err
	}
	plan := change.Plan{
		Subject: policy.Subject{Kind: policy.VolumeKind, ID: d.Volume.String()},
		About:   fmt.Sprintf("Download of %s to %s on %s", render.Said(d.From, 120), render.Text(d.Volume.String(), 120), d.Node),
	}
	there, err := d.isThere(ctx, c)
	if there {
		plan.Already, plan.ReadOnly = fmt.Sprintf("%s is there already, and is not loaded again.", d.Volume), true
		if sum.Sum != "" {
			d.Notes = append(d.Notes, "that it has the checksum is not known: PVE checks only what it loads")
		}
	} else if err == nil {
		err = d.look(ctx, c)
	}
	return plan, d.downloadState, err
}

// downloadPlan is a download while it is planned.
type downloadPlan struct {
	downloadState
	in     downloadIn
	perms  pve.Permissions
	stores []cluster.Store
}

// place chooses storage and node for a kind of content.
func (d *downloadPlan) place(ctx context.Context, c *tool.Call, content string) error {
	d.Content = content
	var best cluster.Store
	lacks := ""
	for _, s := range d.stores {
		name := s.Storage.Value
		switch {
		case d.in.Storage != "" && name != d.in.Storage, !s.Holds(content), len(s.Ready) == 0, d.in.Node != "" && !s.UsableOn(d.in.Node):
		case !d.perms.Has("/storage/"+name, "Datastore.AllocateTemplate"):
			lacks = name
		case best.Storage.Value == "" || newguest.Free(s) > newguest.Free(best):
			best = s
		}
	}
	if best.Storage.Value != "" {
		d.Volume.Storage, d.Node = best.Storage.Value, cmp.Or(d.in.Node, best.Ready[0])
		return nil
	}
	if lacks != "" {
		return cluster.RequirePrivilege(d.perms, "/storage/"+lacks, "Datastore.AllocateTemplate")
	}
	if d.in.Node != "" {
		if _, err := c.OnlineNode(ctx, d.in.Node); err != nil {
			return err
		}
	}
	where := ""
	if d.in.Storage != "" {
		where = fmt.Sprintf("The storage %s may not, or is not there. ", render.Text(d.in.Storage, 60))
	}
	return explain.Refusal(fmt.Sprintf("%sAn administrator allows it: pvesm set STORAGE --content …,%s.", where, content),
		"No storage that this token may use holds the content %s. Nothing was fetched.", content)
}

// isThere reports whether the storage has the file: that of the node that was named, or else of
// any, which is the one of the plan then.
func (d *downloadPlan) isThere(ctx context.Context, c *tool.Call) (bool, error) {
	there, err := hasVolume(ctx, c, d.Node, d.Volume)
	if there || err != nil || d.in.Node != "" {
		return there, err
	}
	for _, s := range d.stores {
		for _, node := range s.Ready {
			if s.Storage.Value != d.Volume.Storage || node == d.Node || s.Shared.Value {
				continue
			}
			if there, err = hasVolume(ctx, c, node, d.Volume); there || err != nil {
				d.Node = node
				return there, err
			}
		}
	}
	return false, nil
}

// look asks the server about the file before it is fetched, and looks whether it fits.
func (d *downloadPlan) look(ctx context.Context, c *tool.Call) error {
	if d.Kind != byURL {
		return nil
	}
	if reason := c.Host().Policy.RefuseFetch(d.From); reason != "" {
		return &policy.RefusedError{Reason: reason}
	}
	if err := mayFetch(ctx, c, d.perms, d.Node); err != nil {
		return err
	}
	meta, err := c.PVE.QueryURL(ctx, d.Node, d.From)
	if err != nil {
		return err
	}
	for _, s := range d.stores {
		if s.Storage.Value == d.Volume.Storage && s.UsableOn(d.Node) && meta.Size.Set && meta.Size.Value > newguest.Free(s) {
			return explain.Refusal("Name another storage, or make room.", "The file has %s, and %s has %s free. Nothing was fetched.",
				render.Bytes(meta.Size.Value), s.Storage.Value, render.Bytes(newguest.Free(s)))
		}
	}
	if !meta.Size.Set {
		d.Notes = append(d.Notes, "its size is not known: the server does not say")
	}
	return d.findSum(ctx, c)
}

// mayFetch returns an error that names the privilege that the token lacks to let a node fetch
// from a URL. PVE's own refusal names none.
func mayFetch(ctx context.Context, c *tool.Call, perms pve.Permissions, node string) error {
	if perms.Has("/", "Sys.Audit") && perms.Has("/", "Sys.Modify") || perms.Has("/nodes/"+node, "Sys.AccessNetwork") {
		return nil
	}
	v, err := c.PVE.NodeVersion(ctx, node)
	if err != nil {
		return err
	}
	if v.Major() < 8 {
		return cluster.RequirePrivilege(perms, "/", "Sys.Modify")
	}
	return cluster.RequirePrivilege(perms, "/nodes/"+node, "Sys.AccessNetwork")
}

// findSum finds the checksum of a known image, if this process may fetch it.
func (d *downloadPlan) findSum(ctx context.Context, c *tool.Call) error {
	if d.Checksum.Sum != "" {
		return nil
	}
	all := c.Host().Images.All()
	i := slices.IndexFunc(all, func(i images.Image) bool { return i.URL == d.From && i.Sums != "" })
	switch {
	case i < 0:
	case !c.Host().Policy.Fetch:
		d.Notes = append(d.Notes, "the publisher's checksums are at "+all[i].Sums+"; PVE_MCP_FETCH=true lets this server read them")
	default:
		sum, err := fetchChecksum(ctx, all[i].Sums, baseOf(d.From))
		if err != nil {
			return explain.Refusal("Give the checksum, or try again.", "The publisher's checksum could not be read from %s: %v. Nothing was fetched.", all[i].Sums, err)
		}
		d.Checksum = sum
		return nil
	}
	d.Notes = append(d.Notes, "no checksum was given: that the file is what its publisher made is not checked")
	return nil
}

func startDownload(ctx context.Context, c *tool.Call, s *downloadState) (change.Job, error) {
	var upid proxmox.UPID
	var err error
	switch s.Kind {
	case appliance:
		upid, err = c.PVE.StartApplianceDownload(ctx, s.Node, s.Volume.Storage, s.From)
	case registry:
		name := strings.TrimSuffix(fileOf(s.Volume), ".tar")
		upid, err = c.PVE.StartOCIPull(ctx, s.Node, s.Volume.Storage, s.From, name)
	default:
		upid, err = c.PVE.StartDownload(ctx, s.Node, s.Volume.Storage, pve.Download{
			URL: s.From, Content: s.Content, Filename: fileOf(s.Volume), Checksum: s.Checksum.Sum, Algorithm: s.Checksum.Algorithm, Compression: s.Compression,
		})
	}
	return change.Job{UPID: upid}, err
}

func finishDownload(ctx context.Context, c *tool.Call, s downloadState, end change.End) (downloadOut, error) {
	out := downloadOut{Notes: s.Notes}
	if s.Kind == listOnly {
		return out, out.list(ctx, c, s.ListContent)
	}
	list, err := c.PVE.Content(ctx, s.Node, s.Volume.Storage, pve.VolumeFilter{Content: s.Content})
	if err != nil {
		return out, err
	}
	i := slices.IndexFunc(list, func(v pve.Volume) bool { return v.VolID == s.Volume })
	if i < 0 {
		if end.Status.Succeeded() {
			out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but %s does not have %s.", s.Volume.Storage, s.Volume)
		}
		return out, nil
	}
	out.Volume, out.Size = render.Text(s.Volume.String(), 200), render.Bytes(list[i].Size.Value)
	if s.Checksum.Sum != "" && end.Status.Succeeded() {
		out.Notes = append(out.Notes, "its "+s.Checksum.Algorithm+" checksum is right")
	}
	return out, nil
}
