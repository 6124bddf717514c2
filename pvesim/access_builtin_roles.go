package pvesim

import "slices"

// privGroup are the privileges of one kind of object by who usually needs them,
// as PVE::AccessControl groups them to make its roles.
type privGroup struct {
	noun                     string
	root, admin, user, audit []string
}

func privGroups(v version) []privGroup {
	vm := privGroup{
		noun: "VM",
		admin: []string{"VM.Allocate", "VM.Clone", "VM.Config.CPU", "VM.Config.Disk", "VM.Config.HWType",
			"VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.Migrate", "VM.Snapshot", "VM.Snapshot.Rollback"},
		user:  []string{"VM.Backup", "VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.PowerMgmt"},
		audit: []string{"VM.Audit"},
	}
	if v.major >= 9 {
		vm.admin = append(vm.admin, "VM.GuestAgent.Unrestricted", "VM.Replicate")
		vm.user = append(vm.user, "VM.GuestAgent.FileRead", "VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite")
		vm.audit = append(vm.audit, "VM.GuestAgent.Audit")
	} else {
		vm.admin = append(vm.admin, "VM.Monitor")
	}
	sys := privGroup{
		noun: "Sys", root: []string{"Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt"},
		admin: []string{"Sys.Console", "Sys.Syslog"}, audit: []string{"Sys.Audit"},
	}
	sdn := privGroup{noun: "SDN", admin: []string{"SDN.Allocate"}, user: []string{"SDN.Use"}, audit: []string{"SDN.Audit"}}
	mapping := privGroup{noun: "Mapping", admin: []string{"Mapping.Modify"}, user: []string{"Mapping.Use"}, audit: []string{"Mapping.Audit"}}
	if v.atLeast(8, 2) {
		sys.root = append(sys.root, "Sys.AccessNetwork")
	}
	if v.major < 8 {
		sys.admin = append(sys.admin, "Permissions.Modify")
		sdn.user, mapping = nil, privGroup{}
	}
	return []privGroup{
		vm, sys, sdn, mapping,
		{noun: "Datastore", admin: []string{"Datastore.Allocate", "Datastore.AllocateTemplate"},
			user: []string{"Datastore.AllocateSpace"}, audit: []string{"Datastore.Audit"}},
		{noun: "User", root: []string{"Realm.Allocate"}, admin: []string{"Group.Allocate", "Realm.AllocateUser", "User.Modify"}},
		{noun: "Pool", admin: []string{"Pool.Allocate"}, user: []string{"Pool.Audit"}, audit: []string{"Pool.Audit"}},
		{noun: "Permissions", root: []string{"Permissions.Modify"}},
	}
}

// builtinRoles are PVE's special roles with their privileges, as
// PVE::AccessControl's create_roles makes them.
func builtinRoles(v version) map[string][]string {
	roles := map[string][]string{
		"NoAccess":        nil,
		"PVETemplateUser": {"VM.Audit", "VM.Clone"},
	}
	for _, g := range privGroups(v) {
		everything := slices.Concat(g.root, g.admin, g.user, g.audit)
		roles["Administrator"] = append(roles["Administrator"], everything...)
		if g.admin != nil {
			roles["PVE"+g.noun+"Admin"] = slices.Concat(g.admin, g.user, g.audit)
			all := slices.Concat(g.admin, g.user, g.audit)
			roles["PVEAdmin"] = append(roles["PVEAdmin"], slices.DeleteFunc(all, func(p string) bool {
				return p == "Mapping.Modify"
			})...)
		}
		if g.user != nil {
			roles["PVE"+g.noun+"User"] = slices.Concat(g.user, g.audit)
		}
		roles["PVEAuditor"] = append(roles["PVEAuditor"], g.audit...)
	}
	for name, privs := range roles {
		slices.Sort(privs)
		roles[name] = slices.Compact(privs)
	}
	return roles
}
