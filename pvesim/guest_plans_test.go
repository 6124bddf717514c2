package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// HA rules of PVE 9 are made, changed and deleted.
func TestHARules(t *testing.T) {
	t.Parallel()
	model := pvesim.Cluster()
	for i := range model.Nodes {
		model.Nodes[i].PVE = ""
	}
	model.PVE, model.HARules = "9.2.0", nil
	w := newWorld(t, model)
	w.story(`
		POST /cluster/ha/resources?sid=vm:100                            => null
		POST /cluster/ha/resources?sid=vm:101                            => null
		POST /cluster/ha/rules?rule=east&type=banana                     => 400 Parameter verification failed. type: value 'banana' does not have a value in the enumeration 'node-affinity, resource-affinity'
		POST /cluster/ha/rules?rule=east&type=node-affinity&resources=vm:100 => 400 Parameter verification failed. nodes: property is missing and it is not optional
		POST /cluster/ha/rules?rule=east&type=node-affinity&resources=vm:100&nodes=pve1&affinity=negative => 400 Parameter verification failed. affinity: property is not defined in schema and the schema does not allow additional properties
		POST /cluster/ha/rules?rule=east&type=node-affinity&resources=vm:900&nodes=pve1 => 500 create ha rule failed: cannot use unmanaged resource(s) vm:900.
		POST /cluster/ha/rules?rule=east&type=node-affinity&resources=vm:100&nodes=pve9 => 500 create ha rule failed: cannot use non-existant node(s) pve9.
		POST /cluster/ha/rules?rule=east&type=node-affinity&resources=vm:100&nodes=pve1:2,pve2&strict=1 => null
		POST /cluster/ha/rules?rule=east&type=node-affinity&resources=vm:100&nodes=pve1 => 500 create ha rule failed: HA rule 'east' already defined
		POST /cluster/ha/rules?rule=apart&type=resource-affinity&resources=vm:100&affinity=negative => 400 Rule 'apart' is invalid. resources: rule is ineffective as there are less than two resources
		POST /cluster/ha/rules?rule=apart&type=resource-affinity&resources=vm:100,vm:101&affinity=negative => null
		GET /cluster/ha/rules#east#strict                                => 1
		PUT /cluster/ha/rules/east?delete=strict&comment=near            => null
		GET /cluster/ha/rules/east#strict                                => null
		PUT /cluster/ha/rules/east?delete=nodes                          => 500 update HA rules failed: unable to delete required option 'nodes'
		PUT /cluster/ha/rules/east?digest=abc                            => 500 update HA rules failed: detected modified configuration - file changed by other user? Try again.
		PUT /cluster/ha/rules/west?comment=x                             => 500 update HA rules failed: HA rule 'west' does not exist
		DELETE /cluster/ha/rules/apart                                   => null
		GET /cluster/ha/rules#apart                                      => null
		as audit@pve!mcp
		DELETE /cluster/ha/rules/east                                    => 403 Permission check failed (/, Sys.Console)
	`)
}

// Replication jobs and backup jobs are made, changed and deleted, and are still there
// after the cluster was saved.
func TestJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		POST /cluster/replication?id=999-0&target=pve2&type=local        => 500 Guest '999' does not exist.
		POST /cluster/replication?id=100-0&target=pve1&type=local        => 500 Source and target must not be identical
		POST /cluster/replication?id=100-0&target=pve2&type=local&schedule=daily => null
		POST /cluster/replication?id=100-0&target=pve2&type=local        => 500 replication job '100-0' already exists
		GET /cluster/replication#100-0#target                            => pve2
		GET /nodes/pve1/replication#100-0#fail_count                     => 0
		GET /nodes/pve2/replication#100-0                                => null
		PUT /cluster/replication/100-0?comment=nightly                   => null
		GET /cluster/replication/100-0#comment                           => nightly
		POST /nodes/pve1/replication/100-0/schedule_now                  => 100-0
		GET /nodes/pve1/replication/100-0/status#next_sync               => 0
		POST /cluster/backup?vmid=100                                    => 400 Parameter verification failed. schedule: neither 'starttime' nor 'schedule' were set
		POST /cluster/backup?vmid=100&all=1&schedule=daily               => 500 400 Parameter verification failed.
		POST /cluster/backup?schedule=daily                              => 500 400 Parameter verification failed.
		POST /cluster/backup?id=mine&vmid=100,105&schedule=daily&storage=nfs => null
		GET /cluster/backup#mine#storage                                 => nfs
		PUT /cluster/backup/mine?enabled=0                               => null
		GET /cluster/backup/mine#enabled                                 => 0
		PUT /cluster/backup/nosuch?enabled=0                             => 500 no such vzdump job
		GET /nodes/pve1/vzdump/defaults#mode                             => snapshot
		wait 5m
	`)
	saved, err := w.sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	newWorld(t, saved).story(`
		GET /cluster/replication#100-0#comment                           => nightly
		DELETE /cluster/replication/100-0                                => null
		GET /cluster/replication#100-0#remove_job                        => full
		wait 1m
		DELETE /cluster/replication/100-0                                => 500 no such job '100-0'
		GET /cluster/backup#mine#vmid                                    => 100,105
		DELETE /cluster/backup/mine                                      => null
		GET /cluster/backup/mine                                         => 400 Parameter verification failed. id: No such job 'mine'
	`)
}
