package ha

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

func (p *planner) setGroup(context.Context) error {
	if p.usesRules() {
		return p.noGroup(p.in.Name)
	}
	if err := p.checkName("group"); err != nil {
		return err
	}
	was := groupKind.named(p.groups, p.in.Name)
	p.begin(http.MethodPut, "group", p.in.Name, groupKind.settings(was))
	if was == nil {
		p.begin(http.MethodPost, "group", p.in.Name, nil)
	}
	after := maps.Clone(p.Before)
	if was == nil {
		after = section{"type": "group"}
	}
	if was == nil && p.in.Nodes == nil {
		return tool.BadArgument("nodes", `is missing, such as ["pve1:2","pve2:1"]`)
	}
	for _, key := range p.in.Unset {
		delete(after, key)
	}
	if err := p.takeNodes(after, "restricted"); err != nil {
		return err
	}
	if p.in.Failback != nil {
		after["nofailback"] = tool.Flag(!*p.in.Failback)
	}
	if p.in.Comment != "" {
		after["comment"] = p.in.Comment
	}
	members := p.members(p.in.Name)
	p.About = fmt.Sprintf("HA group %s, of %s", p.in.Name, strings.TrimSuffix(fmt.Sprintf("%s: %s", count(len(members), "guest"), render.List(render.Few(p.names.names(members), 20))), ": "))
	own := maps.Clone(after)
	own["group"] = p.in.Name
	before := p.moves(members, p.names)
	p.groups = append(slices.DeleteFunc(slices.Clone(p.groups), func(g section) bool { return g["group"] == p.in.Name }), own)
	if now := p.moves(members, p.names); !slices.Equal(before, now) {
		p.sayMoves(members)
	}
	p.settle(after)
	p.Form.Del("type")
	p.undoBy(p.backTo("set_group", "name", p.in.Name))
	if was == nil {
		p.Form.Set("group", p.in.Name)
		p.undoBy(map[string]any{"change": "remove_group", "name": p.in.Name})
	}
	for _, sid := range members {
		p.also = append(p.also, policy.Guest(vmid(sid)))
	}
	return nil
}

func (p *planner) removeGroup(context.Context) error {
	was := groupKind.named(p.groups, p.in.Name)
	if was == nil {
		return p.noGroup(p.in.Name)
	}
	if members := p.members(p.in.Name); len(members) > 0 {
		return explain.Refusal("Take them out first: change: update, unset: [\"group\"].", "The HA group %s still has guests: %s. Nothing was sent.", p.in.Name, render.List(render.Few(p.names.names(members), 10)))
	}
	p.begin(http.MethodDelete, "group", p.in.Name, groupKind.settings(was))
	p.About = fmt.Sprintf("Deletion of the HA group %s", p.in.Name)
	p.lost = []string{"it has no guests; its nodes and settings are gone"}
	p.undoBy(p.backTo("set_group", "name", p.in.Name))
	return nil
}
