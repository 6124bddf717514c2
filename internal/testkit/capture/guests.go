package capture

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// secrets are keys of configurations that have secrets, or may have: args starts VNC
// servers with passwords, env is a container's environment.
var secrets = []string{"args", "cipassword", "env", "sshkeys"}

// config is a configuration without secrets.
func config(values map[string]string) map[string]string {
	out := maps.Clone(values)
	for _, key := range secrets {
		delete(out, key)
	}
	return out
}

func (r *Recorder) guests(ctx context.Context) {
	for _, res := range r.resources {
		if !res.IsGuest() {
			continue
		}
		g := pvesim.Guest{VMID: int(res.VMID), Kind: res.Type, Node: res.Node.Value, Config: map[string]string{}}
		if r.offline(g.Node) {
			r.Skipped(res.ID+": the configuration", errOffline)
			g.Config = map[string]string{map[string]string{"qemu": "name", "lxc": "hostname"}[g.Kind]: res.Name.Value}
		} else {
			r.guest(ctx, res.Ref(), &g)
		}
		r.model.Guests = append(r.model.Guests, g)
	}
}

// guest asks the guest's node.
func (r *Recorder) guest(ctx context.Context, ref pve.GuestRef, g *pvesim.Guest) {
	what := string(ref.Kind) + "/" + ref.VMID.String()
	c, err := r.Client.CurrentConfig(ctx, ref)
	if err != nil {
		r.Skipped(what+": the configuration", err)
		return
	}
	g.Config = config(c.Values)
	status, err := r.Client.GuestStatus(ctx, ref)
	if err != nil {
		r.Skipped(what+": the state", err)
	}
	if g.Running = status.Status == "running"; g.Running {
		g.Up, g.Load = seconds(status.Uptime.Value), status.CPU.Value
		if state := status.QMPStatus.Value; state != "running" {
			g.QMPStatus = state
		}
		r.addresses(ctx, ref, g)
	}
	pending, err := r.Client.Pending(ctx, ref)
	if err != nil {
		r.Skipped(what+": pending changes", err)
	}
	changes := map[string]string{}
	for _, p := range pending {
		switch {
		case p.Pending.Set:
			changes[p.Key] = p.Pending.Value
		case p.Delete.Value > 0:
			changes["delete"] = strings.TrimPrefix(changes["delete"]+","+strings.Repeat("!", int(p.Delete.Value)-1)+p.Key, ",")
		}
	}
	if len(changes) > 0 {
		g.Pending = config(changes)
	}
	r.snapshots(ctx, ref, g)
}

// addresses asks a running guest for them. A VM whose agent does not answer now will
// not do so in the model.
func (r *Recorder) addresses(ctx context.Context, ref pve.GuestRef, g *pvesim.Guest) {
	ask := r.Client.ContainerInterfaces
	if ref.Kind == pve.QEMU {
		if agent := g.Config["agent"]; !strings.HasPrefix(agent, "1") && !strings.Contains(agent, "enabled=1") {
			return
		}
		ask = r.Client.AgentInterfaces
	}
	list, err := ask(ctx, ref)
	if err != nil {
		g.AgentDead = true
		return
	}
	for _, i := range list {
		if i.Name != "lo" {
			g.IPs = append(g.IPs, i.CIDRs()...)
		}
	}
}

// snapshots takes them parents first.
func (r *Recorder) snapshots(ctx context.Context, ref pve.GuestRef, g *pvesim.Guest) {
	what := string(ref.Kind) + "/" + ref.VMID.String()
	list, err := r.Client.Snapshots(ctx, ref)
	if err != nil {
		r.Skipped(what+": snapshots", err)
	}
	slices.SortStableFunc(list, func(a, b pve.Snapshot) int { return int(a.Time.Value - b.Time.Value) })
	for _, s := range list {
		if s.Name == pve.Current {
			continue
		}
		o := read[object](ctx, r, "nodes", ref.Node, string(ref.Kind), ref.VMID.String(), "snapshot", s.Name, "config")
		snap := pvesim.Snapshot{
			Name: s.Name, Description: s.Description.Value, Parent: s.Parent.Value, Age: r.age(s.Time.Value),
			VMState: o["vmstate"], Phase: s.State.Value, Config: config(o),
		}
		for _, key := range []string{"description", "digest", "parent", "snaptime", "snapstate", "vmstate"} {
			delete(snap.Config, key)
		}
		g.Snapshots = append(g.Snapshots, snap)
	}
}

// access takes users, tokens and ACLs, as far as the token sees them, and adds a token
// that may do everything. The secrets of all are made up.
func (r *Recorder) access(ctx context.Context) {
	users := map[string]bool{}
	for _, o := range read[[]object](ctx, r, "access", "users") {
		users[o["userid"]] = true
		r.model.Users = append(r.model.Users, pvesim.User{
			ID: o["userid"], Disabled: o["enable"] == "0", Comment: o["comment"], Email: o["email"],
			Groups: strings.FieldsFunc(o["groups"], func(c rune) bool { return c == ',' || c == ' ' }),
		})
	}
	if !users["root@pam"] {
		r.model.Users = append(r.model.Users, pvesim.User{ID: "root@pam"})
	}
	r.token("root@pam!full", false)
	for _, id := range slices.Sorted(maps.Keys(users)) {
		for _, o := range read[[]object](ctx, r, "access", "users", id, "token") {
			if name := id + "!" + o["tokenid"]; name != "root@pam!full" {
				r.token(name, o["privsep"] != "0")
			}
		}
	}
	r.model.Roles = map[string][]string{}
	for _, o := range read[[]object](ctx, r, "access", "roles") {
		if o["special"] != "1" {
			r.model.Roles[o["roleid"]] = strings.Split(o["privs"], ",")
		}
	}
	for _, o := range read[[]object](ctx, r, "access", "acl") {
		who := o["ugid"]
		if o["type"] == "group" {
			who = "@" + who
		}
		r.model.ACL = append(r.model.ACL, pvesim.ACL{Path: o["path"], Who: who, Role: o["roleid"], NoPropagate: o["propagate"] == "0"})
	}
}

func (r *Recorder) token(id string, privsep bool) {
	n := strconv.FormatInt(int64(len(r.model.Tokens)+1), 16)
	r.model.Tokens = append(r.model.Tokens, pvesim.Token{
		ID: id, PrivSep: privsep, Secret: "00000000-0000-4000-8000-" + strings.Repeat("0", 12-len(n)) + n,
	})
}
