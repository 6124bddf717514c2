package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// nine is the cluster of the presets with PVE 9.2.
func nine() pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = "9.2.0"
	for i := range m.Nodes {
		m.Nodes[i].PVE = ""
	}
	return m
}

// Zones, virtual networks and subnets wait until they are applied, and are bridges then.
func TestSDN(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nine())
	w.story(`
		POST /cluster/sdn/zones?zone=lan&type=simple&dhcp=dnsmasq&ipam=pve    => null
		POST /cluster/sdn/zones?zone=lan&type=simple                          => 500 create sdn zone object failed: sdn zone object ID 'lan' already defined
		POST /cluster/sdn/zones?zone=trunk&type=vlan                          => 500 missing value for required option 'bridge'
		POST /cluster/sdn/zones?zone=trunk&type=simple&bridge=vmbr0           => 500 unexpected property 'bridge'
		POST /cluster/sdn/zones?zone=wide&type=vxlan                          => 500 create sdn zone object failed: 400 Parameter verification failed.
		POST /cluster/sdn/zones?zone=wide&type=vxlan&peers=10.0.0.1&ipam=none => 500 create sdn zone object failed: 400 Parameter verification failed.
		POST /cluster/sdn/zones?zone=over&type=evpn&controller=none&vrf-vxlan=10 => 500 create sdn zone object failed: controller none don't exist at /usr/share/perl5/PVE/Network/SDN/Zones/EvpnPlugin.pm line 354.
		POST /cluster/sdn/zones?zone=trunk&type=vlan&bridge=vmbr0&nodes=pve1  => null
		POST /cluster/sdn/vnets?vnet=v1&zone=lan&tag=5                        => 500 create sdn vnet object failed: 400 Parameter verification failed.
		POST /cluster/sdn/vnets?vnet=v1&zone=lan&alias=first                  => null
		POST /cluster/sdn/vnets?vnet=v2&zone=trunk                            => 500 create sdn vnet object failed: 400 Parameter verification failed.
		POST /cluster/sdn/vnets?vnet=v2&zone=trunk&tag=20                     => null
		POST /cluster/sdn/vnets?vnet=v3&zone=trunk&tag=20                     => 500 create sdn vnet object failed: 400 Parameter verification failed.
		POST /cluster/sdn/vnets?vnet=v3&zone=none                             => 500 create sdn vnet object failed: cannot lookup undefined type!
		POST /cluster/sdn/vnets/v1/subnets?subnet=10.1.0.0/24&type=subnet&gateway=10.2.0.1 => 500 create sdn subnet object failed: 400 Parameter verification failed.
		POST /cluster/sdn/vnets/v1/subnets?subnet=10.1.0.0/24&type=subnet&gateway=10.1.0.1&snat=1&dhcp-range=start-address%3D10.1.0.10,end-address%3D10.1.0.99 => null
		POST /cluster/sdn/vnets/v9/subnets?subnet=10.1.0.0/24&type=subnet     => 500 sdn vnet 'v9' does not exist
		GET /cluster/sdn/vnets/v1/subnets/lan-10.1.0.0-24#gateway             => 10.1.0.1
		GET /cluster/sdn/vnets/v1/subnets/lan-10.1.0.0-24#dhcp-range          => [map[end-address:10.1.0.99 start-address:10.1.0.10]]
		GET /cluster/sdn/vnets/v1/subnets/lan-10.1.0.0-24#cidr                => 10.1.0.0/24
		GET /cluster/sdn/vnets/v2/subnets                                     => []
		GET /cluster/sdn/zones/lan?pending=1#state                            => new
		GET /cluster/sdn/zones/lan?pending=1#pending#dhcp                     => dnsmasq
		GET /cluster/sdn/zones/lan?running=1                                  => 500 sdn 'lan' does not exist
		GET /cluster/sdn/zones/lan#dhcp                                       => dnsmasq
		PUT /nodes/pve1/qemu/104/config?net0=virtio,bridge=v1                 => null
		POST /nodes/pve1/qemu/104/status/stop                                 => OK
		POST /nodes/pve1/qemu/104/status/start                                => start failed: QEMU exited with code 1
		PUT /cluster/sdn                                                      => OK
		POST /nodes/pve1/qemu/104/status/start                                => OK
		GET /cluster/sdn/zones/lan?pending=1#state                            => null
		GET /cluster/sdn/zones/lan?pending=1#dhcp                             => dnsmasq
		GET /nodes/pve1/sdn/zones                                             => [map[status:available zone:lan] map[status:available zone:trunk]]
		GET /nodes/pve2/sdn/zones                                             => [map[status:available zone:lan]]
		GET /cluster/resources?type=sdn#network/pve2/zone/lan#network         => lan
		PUT /cluster/sdn/vnets/v1?alias=second&delete=vlanaware               => null
		GET /cluster/sdn/vnets/v1?pending=1#state                             => changed
		GET /cluster/sdn/vnets/v1?pending=1#alias                             => first
		GET /cluster/sdn/vnets/v1?pending=1#pending#alias                     => second
		PUT /cluster/sdn/vnets/v1?delete=alias                                => null
		GET /cluster/sdn/vnets/v1?pending=1#pending#alias                     => deleted
		PUT /cluster/sdn/vnets/v1?zone=trunk&tag=7                            => 500 update sdn vnet object failed: 400 Parameter verification failed.
		DELETE /cluster/sdn/zones/lan                                         => 500 delete sdn zone object failed: zone lan is used by vnet v1 at /usr/share/perl5/PVE/Network/SDN/Zones/Plugin.pm line 148.
		DELETE /cluster/sdn/vnets/v1                                          => 500 delete sdn vnet object failed: 400 Parameter verification failed.
		POST /cluster/sdn/rollback                                            => null
		GET /cluster/sdn/vnets/v1?pending=1#alias                             => first
		DELETE /cluster/sdn/vnets/v1/subnets/lan-10.1.0.0-24                  => null
		DELETE /cluster/sdn/vnets/v1                                          => null
		GET /cluster/sdn/vnets/v1?pending=1                                   => 500 sdn vnet 'v1' does not exist
		DELETE /cluster/sdn/zones/lan                                         => null
		DELETE /cluster/sdn/zones/lan                                         => 500 delete sdn zone object failed: sdn 'lan' does not exist
		GET /cluster/sdn/zones?pending=1#lan#state                            => deleted
		PUT /cluster/sdn                                                      => OK
		GET /cluster/sdn/zones?running=1#lan                                  => null
		GET /cluster/sdn/ipams/pve#type                                       => pve
		POST /cluster/sdn/ipams?ipam=net&type=netbox&url=http://10.0.0.3&token=x => 500 create sdn ipam object failed: Can't connect to netbox api: Invalid response from server: 500 Can't connect to http://10.0.0.3
		as audit@pve!mcp
		GET /cluster/sdn/zones#trunk#bridge                                   => vmbr0
		POST /cluster/sdn/zones?zone=more&type=simple                         => 403 Permission check failed (/sdn/zones, SDN.Allocate)
		PUT /cluster/sdn/vnets/v2?alias=x                                     => 403 Permission check failed (/sdn/zones/trunk/v2, SDN.Allocate)
	`)
}

// Only the holder of the lock on the network changes it.
func TestSDNLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nine())
	token := w.do("POST", "/cluster/sdn/lock", nil).Body.Data.(string)
	w.story(`
		POST /cluster/sdn/zones?zone=lan&type=simple                          => 500 create sdn zone object failed: invalid lock token provided! at /usr/share/perl5/PVE/Network/SDN.pm line 291.
		POST /cluster/sdn/zones?zone=lan&type=simple&lock-token=` + token + ` => null
		GET /cluster/sdn/zones/lan#lock-token                                 => null
		PUT /cluster/sdn                                                      => 500 could not commit SDN config: invalid lock token provided! at /usr/share/perl5/PVE/Network/SDN.pm line 291.
		PUT /cluster/sdn?lock-token=` + token + `                             => OK
		POST /cluster/sdn/zones?zone=lan2&type=simple                         => null
		POST /cluster/sdn/lock                                                => 500 could not acquire lock for SDN config: configuration has pending changes at /usr/share/perl5/PVE/API2/Network/SDN.pm line 151.
	`)
}

// Accounts at certificate authorities, and plugins that prove who has a domain.
func TestACME(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nine())
	w.story(`
		POST /cluster/acme/account?contact=a@example.org                      => 403 Permission check failed (user != root@pam)
		POST /cluster/acme/plugins?id=cf&type=dns                             => 500 missing value for required option 'api'
		POST /cluster/acme/plugins?id=cf&type=dns&api=cf&data=Q0Y9MQpLPTI%3D  => null
		POST /cluster/acme/plugins?id=cf&type=dns&api=cf                      => 500 ACME plugin ID 'cf' already exists
		GET /cluster/acme/plugins/cf#plugin                                   => cf
		GET /cluster/acme/plugins#standalone#type                             => standalone
		PUT /cluster/acme/plugins/cf?validation-delay=60&delete=data          => null
		GET /cluster/acme/plugins/cf#validation-delay                         => 60
		DELETE /cluster/acme/plugins/cf                                       => null
		GET /cluster/acme/plugins/cf                                          => 500 ACME plugin 'cf' not defined
	`)
	w.login("root@pam", "simulated")
	w.story(`
		GET /cluster/acme/account/mine                                        => 400 Parameter verification failed. name: ACME account config file 'mine' does not exist.
		POST /cluster/acme/account?name=mine&contact=a@example.org&tos_url=https://example.org/tos => OK
		POST /cluster/acme/account?name=mine&contact=a@example.org            => 400 Parameter verification failed. name: ACME account config file 'mine' already exists.
		GET /cluster/acme/account/mine#account#contact                        => [mailto:a@example.org]
		PUT /cluster/acme/account/mine?contact=b@example.org                  => OK
		GET /cluster/acme/account/mine#account#contact                        => [mailto:b@example.org]
		GET /cluster/acme/account#mine#name                                   => mine
		DELETE /cluster/acme/account/mine                                     => OK
		GET /cluster/acme/account                                             => []
	`)
}

// The name servers, names, time zone, repositories and certificate of a node are changed.
func TestNodeSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nine())
	w.story(`
		PUT /nodes/pve1/dns?search=example.org&dns1=10.0.0.53&dns3=10.0.0.54  => null
		GET /nodes/pve1/dns                                                   => map[dns1:10.0.0.53 dns2:10.0.0.54 search:example.org]
		GET /nodes/pve2/dns                                                   => map[dns1:10.255.255.53]
		POST /nodes/pve1/hosts?data=10.0.0.1%20a%20b_c                        => 400 Parameter verification failed. data: Invalid Hostname 'b_c'
		POST /nodes/pve1/hosts?data=10.0.0%20a                                => 400 Parameter verification failed. data: Invalid IP '10.0.0'
		POST /nodes/pve1/hosts?data=10.0.0.1%20a&digest=abc                   => 500 detected modified configuration - file changed by other user? Try again.
		POST /nodes/pve1/hosts?data=10.0.0.1%20a                              => null
		GET /nodes/pve1/hosts#data                                            => 10.0.0.1 a
		PUT /nodes/pve1/time?timezone=Mars/Base                               => 400 Parameter verification failed. timezone: No such timezone
		PUT /nodes/pve1/time?timezone=UTC                                     => null
		GET /nodes/pve1/time#timezone                                         => UTC
		PUT /nodes/pve1/apt/repositories?handle=banana                        => 500 unknown repository handle 'banana'
		PUT /nodes/pve1/apt/repositories?handle=test                          => null
		GET /nodes/pve1/apt/repositories#standard-repos#test#status           => 1
		POST /nodes/pve1/apt/repositories?path=/etc/apt/sources.list.d/proxmox.sources&index=1&enabled=0 => null
		GET /nodes/pve1/apt/repositories#standard-repos#test#status           => 0
		PUT /nodes/pve1/apt/repositories?handle=test                          => null
		GET /nodes/pve1/apt/repositories#standard-repos#test#status           => 1
		POST /nodes/pve1/apt/repositories?path=/etc/apt/sources.list.d/proxmox.sources&index=2 => 500 invalid index
		POST /nodes/pve1/certificates/custom?certificates=x                   => 400 Parameter verification failed. certificates: invalid format - not a valid PEM-formatted string.
		DELETE /nodes/pve1/certificates/custom                                => null
	`)
}
