package pvesim_test

import "testing"

// Fabrics and the nodes in them wait until they are applied, and are routes between nodes then.
func TestFabrics(t *testing.T) {
	t.Parallel()
	const fabric, node = " /cluster/sdn/fabrics/fabric", " /cluster/sdn/fabrics/node"
	newWorld(t, clusterOf("9.2.11")).story(`
		POST` + fabric + `?id=fab&protocol=openfabric                          => 500 adding fabric failed: fabric 'fab' does not have an IP prefix configured
		POST` + fabric + `?id=fab&protocol=openfabric&ip_prefix=10.9.0.0/24&hello_interval=5 => null
		POST` + fabric + `?id=fab&protocol=openfabric&ip_prefix=10.9.0.0/24    => 500 adding fabric failed: fabric 'fab' already exists in config
		GET` + fabric + `/fab#hello_interval                                   => 5
		GET` + fabric + `/none                                                 => 500 fabric 'none' does not exist in configuration
		PUT` + fabric + `/fab?protocol=openfabric&delete=hello_interval        => null
		GET` + fabric + `/fab#hello_interval                                   => null
		GET` + fabric + `?pending=1#fab#state                                  => new
		GET` + fabric + `?running=1                                            => []
		POST` + node + `/none?node_id=pve1&protocol=openfabric&ip=10.9.0.1&interfaces=name%3Deth1 => 500 adding node failed: fabric 'none' does not exist in configuration
		POST` + node + `/fab?node_id=pve1&protocol=ospf&ip=10.9.0.1&interfaces=name%3Deth1 => 500 adding node failed: node has a different protocol than the referenced fabric
		POST` + node + `/fab?node_id=pve1&protocol=openfabric&ip=10.8.0.1&interfaces=name%3Deth1 => 500 adding node failed: node IP 10.8.0.1 is outside the IP prefix 10.9.0.0/24 of the fabric
		POST` + node + `/fab?node_id=pve1&protocol=openfabric&ip=10.9.0.1&interfaces=name%3Deth1 => null
		POST` + node + `/fab?node_id=pve2&protocol=openfabric&ip=10.9.0.1&interfaces=name%3Deth1 => 500 adding node failed: fabric fab contains nodes with duplicated IPs
		POST` + node + `/fab?node_id=pve2&protocol=openfabric&ip=10.9.0.2&interfaces=name%3Deth1 => null
		GET` + node + `/fab/pve1#interfaces                                    => [name=eth1]
		GET /nodes/pve1/sdn/fabrics/fab/neighbors                              => 500 fabric 'fab' does not exist in configuration
		PUT /cluster/sdn                                                       => OK
		GET /nodes/pve1/sdn/fabrics/fab/neighbors                              => [map[neighbor:pve2 status:Up uptime:1h0m0s]]
		GET /nodes/pve1/sdn/fabrics/fab/routes                                 => [map[route:10.9.0.2/32 via:[eth1]]]
		GET /nodes/pve3/sdn/fabrics/fab/routes                                 => []
		DELETE` + node + `/fab/pve2                                            => null
		POST /cluster/sdn/zones?zone=vx&type=vxlan&fabric=fab                  => null
		DELETE` + fabric + `/fab                                               => 500 deleting fabric failed: this fabric is still used in the VXLAN zone "vx" at /usr/share/perl5/PVE/API2/Network/SDN/Fabrics/Fabric.pm line 305.
		DELETE /cluster/sdn/zones/vx                                           => null
		DELETE` + fabric + `/fab                                               => null
		GET` + node + `                                                        => []
		as audit@pve!mcp
		DELETE` + fabric + `/fab                                               => 403 Permission check failed (/sdn/fabrics/fab, SDN.Allocate)
	`)
}
