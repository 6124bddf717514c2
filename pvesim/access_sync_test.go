package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Users and groups come from a realm's directory, and those that it has no more can go.
func TestRealmSync(t *testing.T) {
	t.Parallel()
	m := pvesim.Lab()
	m.Directories = []pvesim.Directory{{
		Realm: "corp", Users: []pvesim.User{{ID: "ann@corp", Email: "ann@example.org"}, {ID: "bob@corp"}}, Groups: map[string][]string{"ops": {"ann@corp"}},
	}}
	w := newWorld(t, m)
	w.story(`
		POST /access/domains/none/sync?scope=both                  => 400 Parameter verification failed. realm: Realm does not exist.
		POST /access/domains/pve/sync?scope=both                   => 500 Cannot sync realm type 'pve'! Only LDAP/AD realms can be synced.
		POST /access/domains?realm=corp&type=ldap&server1=10.0.0.5&base_dn=dc=example&user_attr=uid => null
		POST /access/domains?realm=far&type=ldap&server1=10.0.0.6&base_dn=dc=example&user_attr=uid => null
		POST /access/domains/corp/sync                             => 400 Parameter verification failed. scope: Not passed as parameter and not defined in realm default sync options.
		POST /access/domains/far/sync?scope=users                  => IO::Socket::IP: connect: No route to host
		POST /access/users?userid=eve@corp                         => null
		PUT /access/acl?path=/vms&roles=PVEAuditor&users=eve@corp  => null
		POST /access/domains/corp/sync?scope=both&dry-run=1        => OK
		GET /access/users/ann@corp                                 => 500 no such user ('ann@corp')
		POST /access/domains/corp/sync?scope=users&enable-new=0    => OK
		GET /access/users/ann@corp#enable                          => 0
		GET /access/users/ann@corp#email                           => ann@example.org
		GET /access/users/ann@corp#groups                          => []
		PUT /access/users/ann@corp?enable=1                        => null
		GET /access/users/eve@corp#enable                          => 1
		PUT /access/domains/corp?sync-defaults-options=scope=both,remove-vanished=acl%3Bentry => null
		POST /access/domains/corp/sync                             => OK
		GET /access/users/ann@corp#enable                          => 1
		GET /access/groups/ops-corp#members                        => [ann@corp]
		GET /access/users/eve@corp                                 => 500 no such user ('eve@corp')
		GET /access/acl#eve@corp                                   => null
		as ops@pve!mcp
		POST /access/domains/corp/sync?scope=both                  => 403 Permission check failed (/access/realm/corp, Realm.AllocateUser)
	`)
	if saved, err := w.sim.Model(); err != nil || len(saved.Directories) != 1 {
		t.Errorf("the directories are not saved: %v %v", saved.Directories, err)
	}
}
