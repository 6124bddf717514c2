package pvesim_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Users, groups, roles, tokens and ACLs can be made, changed and deleted, and count
// at once.
func TestAccessAdministration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Lab())
	makeAnn(w)
	value := func(method, path string, form url.Values) string {
		data, _ := w.do(method, path, form).Body.Data.(map[string]any)
		secret, _ := data["value"].(string)
		return secret
	}
	secret := value("POST", "/access/users/ann@pve/token/ci", url.Values{"privsep": {"0"}})
	w.model.Tokens = append(w.model.Tokens, pvesim.Token{ID: "ann@pve!ci", Secret: secret})
	w.story(`
		POST /access/users/ann@pve/token/ci                              => 400 Parameter verification failed. tokenid: Token already exists.
		GET /access/users/ann@pve/token#ci#privsep                       => 0
		as ann@pve!ci
		GET /nodes/pve/qemu/100/config#name                              => homeassistant
		POST /nodes/pve/qemu/100/status/start                            => VM 100 already running
		GET /nodes/pve/qemu/101/config                                   => 403 Permission check failed (/vms/101, VM.Audit)
		PUT /access/acl?path=/vms/100&roles=Starter&users=ann@pve        => 403 Permission check failed (/vms/100, Permissions.Modify|VM.Allocate)
	`)
	saved, err := w.sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, saved).as("ann@pve!ci")
	again.story(`
		GET /nodes/pve/qemu/100/config#name                              => homeassistant
	`)
	again.as("root@pam!full").story(`
		GET /access/groups/staff#comment                                 => all
		GET /access/roles/Starter#VM.Audit                               => 1
		PUT /access/users/ann@pve?enable=0                               => null
	`)
	if got := again.answer("GET", "/version"); !strings.HasPrefix(got, "401 ") {
		t.Errorf("a token of a user who is disabled gets %s", got)
	}
	w.as("root@pam!full").story(`
		PUT /access/users/ann@pve/token/ci?expire=1                      => map[expire:1 privsep:0]
	`)
	if got := w.answer("GET", "/version"); !strings.HasPrefix(got, "401 ") {
		t.Errorf("a token that has expired gets %s", got)
	}
	w.as("root@pam!full").story(`
		DELETE /access/users/ann@pve/token/ci                            => null
		DELETE /access/groups/staff                                      => null
		GET /access/users/ann@pve#groups                                 => []
		DELETE /access/roles/Starter                                     => null
		DELETE /access/users/ann@pve                                     => null
		GET /access/users#ann@pve                                        => null
		GET /access/acl#/vms/100                                         => null
	`)
}

// makeAnn makes the user ann@pve in the group staff, which has the role Starter on guest 100,
// and tries on the way what is refused.
func makeAnn(w *world) {
	w.story(`
		POST /access/groups?groupid=staff&comment=people                 => null
		POST /access/groups?groupid=staff                                => 500 create group failed: group 'staff' already exists
		POST /access/users?userid=ann@pve&groups=staff&comment=Ann       => null
		POST /access/users?userid=ann@pve                                => 500 create user failed: user 'ann@pve' already exists
		POST /access/users?userid=bob@pve&groups=nobody                  => 500 create user failed: no such group 'nobody'
		POST /access/users?userid=bob@ldap&password=long-enough          => 500 create user failed: auth domain 'ldap' does not exist
		GET /access/users/ann@pve#groups                                 => [staff]
		GET /access/groups#staff#users                                   => ann@pve
		GET /access/groups/staff#members                                 => [ann@pve]
		PUT /access/groups/staff?comment=all                             => null
		GET /access/groups/staff#comment                                 => all
		PUT /access/users/ann@pve?email=ann@example.org&expire=4102444800 => null
		GET /access/users#ann@pve#email                                  => ann@example.org
		PUT /access/users/nobody@pve?comment=x                           => 500 no such user ('nobody@pve')
		POST /access/roles?roleid=PVEMine                                => 400 Parameter verification failed. roleid: cannot use role ID starting with the (case-insensitive) 'PVE' namespace
		POST /access/roles?roleid=Starter&privs=VM.Audit                 => null
		POST /access/roles?roleid=Starter                                => 500 create role failed: role 'Starter' already exists
		PUT /access/roles/Starter?privs=VM.PowerMgmt&append=1            => null
		PUT /access/roles/Starter?privs=VM.Nonsense                      => 400 Parameter verification failed. privs: invalid format - invalid privilege 'VM.Nonsense'
		GET /access/roles/Starter#VM.PowerMgmt                           => 1
		GET /access/roles#Starter#special                                => 0
		PUT /access/roles/PVEAdmin?privs=VM.Audit                        => 500 auto-generated role 'PVEAdmin' cannot be modified
		DELETE /access/roles/NoSuch                                      => 500 delete role failed: role 'NoSuch' does not exist
		PUT /access/acl?path=/vms/100&roles=Starter                      => 400 Parameter verification failed. groups: either 'users', 'groups' or 'tokens' is required. tokens: either 'users', 'groups' or 'tokens' is required. users: either 'users', 'groups' or 'tokens' is required.
		PUT /access/acl?path=/nope&roles=Starter&groups=staff            => 400 Parameter verification failed. path: invalid ACL path '/nope'
		PUT /access/acl?path=/vms/100&roles=NoSuch&groups=staff          => 500 ACL update failed: role 'NoSuch' does not exist
		PUT /access/acl?path=/vms/100&roles=Starter&users=eve@pve        => 500 ACL update failed: user 'eve@pve' does not exist
		PUT /access/acl?path=/vms/100&roles=Starter&groups=staff         => null
		GET /access/users/ann@pve/token/ci                               => 500 no such token 'ci' for user 'ann@pve'
	`)
}

// The tokens of the presets may do what the simulator's page says of them.
func TestTokensOfThePresets(t *testing.T) {
	t.Parallel()
	newWorld(t, pvesim.Cluster()).story(`
		as ops@pve!mcp
		POST /nodes/pve1/qemu/104/status/reboot                          => OK
		PUT /nodes/pve1/config?description=x                             => 403 Permission check failed (/, Sys.Modify)
		PUT /cluster/options?keyboard=de                                 => 403 Permission check failed (/, Sys.Modify)
		POST /nodes/pve1/status?command=reboot                           => 403 Permission check failed (/nodes/pve1, Sys.PowerMgmt)
		as audit@pve!mcp
		GET /nodes/pve1/qemu/104/config#name                             => mail
		POST /nodes/pve1/qemu/104/status/stop                            => 403 Permission check failed (/vms/104, VM.PowerMgmt)
		as none@pve!mcp
		GET /nodes/pve1/qemu/104/config                                  => 403 Permission check failed (/vms/104, VM.Audit)
		as root@pam!full
		PUT /cluster/options?keyboard=de                                 => null
		PUT /access/password?userid=ops@pve&password=longenough          => 403 Permission check failed (URI '/access/password' not available with API token, need proper ticket.
	`)
}
