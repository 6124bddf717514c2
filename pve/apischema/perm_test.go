package apischema

import "testing"

func TestPermissions(t *testing.T) {
	held := map[string][]string{ // by path
		"/vms/100":             {"VM.Audit", "VM.PowerMgmt"},
		"/storage/local":       {"Datastore.Audit"},
		"/access/groups/staff": {"User.Modify"},
		"/pool/dev":            {"Pool.Allocate"},
	}
	caller := Caller{
		User: "a@pve!t",
		Privs: func(path string) map[string]bool {
			m := map[string]bool{}
			for _, p := range held[path] {
				m[p] = true
			}
			return m
		},
		Groups: func(user string) ([]string, bool) {
			return map[string][]string{"b@pve": {"staff"}, "c@pve": nil}[user], user != "nobody@pve"
		},
		GroupIDs: []string{"staff", "admins"},
	}
	perm := func(path string, privs ...string) *Check { return &Check{Op: "perm", Path: path, Privs: privs} }
	for _, tt := range []struct {
		name   string
		user   string
		perms  *Permissions
		params Values
		want   string // "" = allowed
	}{
		{"world without a user", "", &Permissions{User: "world"}, nil, ""},
		{"no user", "", &Permissions{User: "all"}, nil, "Permission check failed (user != null)"},
		{"all", "a@pve!t", &Permissions{User: "all"}, nil, ""},
		{"root only", "root@pam!t", nil, nil, "Permission check failed (user != root@pam)"},
		{"root only, root", "root@pam", nil, nil, ""},
		{"held", "a@pve!t", &Permissions{Check: perm("/vms/{vmid}", "VM.Audit", "VM.PowerMgmt")}, Values{"vmid": "100"}, ""},
		{"second missing", "a@pve!t", &Permissions{Check: perm("/vms/{vmid}", "VM.Audit", "VM.Clone")}, Values{"vmid": "100"},
			"Permission check failed (/vms/100, VM.Clone)"},
		{"any", "a@pve!t", &Permissions{Check: &Check{Op: "perm", Path: "/vms/100", Privs: []string{"X", "VM.Audit"}, Any: true}}, nil, ""},
		{"none of any", "a@pve!t", &Permissions{Check: &Check{Op: "perm", Path: "/vms/1", Privs: []string{"X", "Y"}, Any: true}}, nil,
			"Permission check failed (/vms/1, X|Y)"},
		{"no ACL path", "root@pam!t", &Permissions{Check: perm("/nodes/{node}", "Sys.Audit")}, Values{"node": "bad!"},
			"Permission check failed (, Sys.Audit)"},
		{"required parameter", "a@pve!t", &Permissions{Check: &Check{Op: "perm", Path: "/pool/{pool}", Privs: []string{"Pool.Allocate"}, RequireParam: "pool"}},
			Values{}, "Permission check failed"},
		{"or", "a@pve!t", &Permissions{Check: &Check{Op: "or", Subs: []*Check{perm("/", "X"), perm("/pool/dev", "Pool.Allocate")}}}, nil, ""},
		{"or, none", "a@pve!t", &Permissions{Check: &Check{Op: "or", Subs: []*Check{perm("/", "X"), perm("/", "Y")}}}, nil, "Permission check failed"},
		{"and", "a@pve!t", &Permissions{Check: &Check{Op: "and", Subs: []*Check{perm("/vms/100", "VM.Audit"), perm("/", "Y")}}}, nil,
			"Permission check failed (/, Y)"},
		{"modify a pool", "a@pve!t", &Permissions{Check: &Check{Op: "perm-modify", Path: "{path}"}}, Values{"path": "/pool/dev"}, ""},
		{"modify a guest", "a@pve!t", &Permissions{Check: &Check{Op: "perm-modify", Path: "{path}"}}, Values{"path": "/vms/100"},
			"Permission check failed (/vms/100, Permissions.Modify|VM.Allocate)"},
		{"self", "b@pve", &Permissions{Check: &Check{Op: "userid-param", Subject: "self"}}, Values{"userid": "b@pve"}, ""},
		{"not self: a token", "a@pve!t", &Permissions{Check: &Check{Op: "userid-param", Subject: "self"}}, Values{"userid": "a@pve"},
			"Permission check failed"},
		{"realm", "a@pve!t", &Permissions{Check: &Check{Op: "userid-param", Subject: "Realm.AllocateUser"}}, Values{"userid": "a@pve"},
			"Permission check failed (/access/realm/pve, Realm.AllocateUser)"},
		{"user in a managed group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}}}, Values{"userid": "b@pve"}, ""},
		{"user in no group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}}}, Values{"userid": "c@pve"},
			"Permission check failed"},
		{"create in a managed group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}, GroupsParam: "create"}},
			Values{"userid": "n@pve", "groups": "staff"}, ""},
		{"create in another group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}, GroupsParam: "create"}},
			Values{"userid": "n@pve", "groups": "staff,admins"}, "Permission check failed (/access/groups/admins, User.Modify)"},
		{"create without group", "a@pve!t", &Permissions{Check: &Check{Op: "userid-group", Privs: []string{"User.Modify"}, GroupsParam: "create"}},
			Values{"userid": "n@pve"}, "Permission check failed (/access/groups, User.Modify)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			caller.User = tt.user
			got := ""
			if err := tt.perms.Allow(caller, tt.params); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
