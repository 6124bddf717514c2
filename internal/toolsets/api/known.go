package api

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pve/apischema/viewer"
)

// mostShown bounds what a node shows of its API: that of 9.1 has 4 MB.
const mostShown = 16 << 20

// described is the API of a version of PVE, as far as it is known.
type described struct {
	*apischema.API
	version string
	// texts are the node's own words, by method and path; nil if it shows none.
	texts map[string]viewer.Text
	// facts is what this program itself knows of the API.
	facts *apischema.API
}

// The major versions of PVE whose API is known.
const (
	oldestKnown = 8
	newestKnown = 9
)

// apiOf returns the API of the node that answers, or of a node that is named.
func apiOf(ctx context.Context, c *tool.Call, node string) (described, error) {
	var v pve.Version
	var err error
	if node == "" {
		v, err = c.PVE.Version(ctx)
	} else {
		v, err = proxmox.Get[pve.Version](ctx, c.PVE.Client, proxmox.Join("nodes", node, "version"), nil)
	}
	if err != nil {
		return described{}, err
	}
	facts, err := apischema.Load(min(max(v.Major(), oldestKnown), newestKnown))
	return described{API: facts, facts: facts, version: v.Version}, err
}

// asShown returns the API as a node shows it, in its own words, with every endpoint and
// parameter of its version. If the node shows nothing, it returns d.
func (d described) asShown(ctx context.Context, c *tool.Call) described {
	shown, err := tool.Keep(c, "viewer of "+d.version, func() (*viewer.Description, error) {
		c.Report(cluster.Progress{Message: "Reading what PVE " + d.version + " says of its API"})
		script, err := c.PVE.Public(ctx, proxmox.ViewerPath, mostShown)
		if err != nil {
			return nil, err
		}
		return viewer.Read(script)
	})
	if err != nil {
		return d
	}
	d.API, d.texts = d.facts.With(shown.Endpoints), shown.Texts
	return d
}

// lacks reports whether the description has no such endpoint, or not one of its parameters. A
// newer node may have both.
func (d described) lacks(method, path string, given apischema.Values) bool {
	ep, _, ok := d.Find(method, path)
	if !ok {
		return true
	}
	for name := range given {
		if ep.Closed && d.Param(ep, name) == nil {
			return true
		}
	}
	return false
}

// isOfEndpoint reports whether a description has the version of the host that answers. Only
// that host shows its API, and a node, "" for that host itself, may have another version.
func (d described) isOfEndpoint(ctx context.Context, c *tool.Call, node string) bool {
	if node == "" {
		return true
	}
	v, err := c.PVE.Version(ctx)
	return err == nil && v.Version == d.version
}

// indexed returns the index of the API's endpoints.
func (d described) indexed(c *tool.Call) *index {
	x, _ := tool.Keep(c, fmt.Sprintf("index of %s, %d texts", d.version, len(d.texts)), func() (*index, error) {
		return newIndex(d.Endpoints(), func(key string) string { return d.texts[key].Endpoint }), nil
	})
	return x
}

// knows reports whether this program itself knows an endpoint.
func (d described) knows(ep *apischema.Endpoint) bool {
	return d.facts.Endpoint(ep.Method, ep.Path) != nil
}
