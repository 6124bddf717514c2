// Package pvesim simulates a Proxmox VE cluster's API for tests and demos.
//
// [New] starts a cluster for a test, which listens on a loopback port over TLS:
//
//	server := pvesim.New(t)
//	resp, err := server.Client().Get(server.URL + "/api2/json/cluster/resources")
//
// [NewSim] makes one without sockets, for [Sim.Transport].
//
// The simulator is strict where PVE is strict: parameters are checked against PVE's own
// API description, privileges against users, tokens, roles and ACLs, and a refusal has
// PVE's status, reason phrase and words. What takes time in PVE takes time here, by a
// [Clock]: tasks are data that is evaluated against it, so that a test runs a backup of an
// hour in no time, and the same model gives the same answers.
//
// [Lab] and [Cluster] are made up, [Huge] has 10,000 guests, and nothing is wrong with
// [Healthy]. [Recorded] is a real cluster: the package's tests replay what was asked of it
// and compare the answers. A [Model] can be changed before the cluster is started, read from
// a file ([Load]) and written to one ([Sim.Save]).
//
// What is wrong with a cluster is in its model: nodes and guests that are not well
// ([NodeHealth], [GuestHealth]), disks and ZFS pools, storages that are full or broken,
// replication that fails, lines of a journal, and figures that grow ([Trend]). It shows
// wherever PVE would show it. Answers that no recorded cluster gave, such as those about ZFS
// and SMART, follow PVE's source; the code says which.
//
// A cluster has several nodes, each of which receives requests ([Sim.URLs],
// [Sim.ListenNode]). A node can go off the network and come back ([Sim.SetOnline]), lose its
// power and get it again ([Sim.SetPower]), and reboots or shuts down when the API tells it to.
// Without quorum nothing of the cluster can be changed. HA starts what it manages on other
// nodes, moves it away from a node in maintenance ([Sim.SetMaintenance]), and brings it back.
// Requests go wrong by rules: a [Fault] refuses, delays, makes a task fail, or loses the
// answer to what was done; it also takes a node or a storage down. [ParseFault] reads it
// from a line of text.
//
// [Endpoints] lists what is simulated. Another endpoint of PVE checks parameters and
// privileges all the same, and then answers 501 with a message that says so. [Sim.Handle]
// adds endpoints, and replaces the answers of those that are simulated.
//
// The package shares no types with any client, so that a mistake in one does not cancel
// out here.
//
// # Compatibility
//
// Until version 1, a minor version may change exported names, and its notes say how; a
// patch version does not. Answers follow PVE: an answer that differs from a real
// node's is a fault of this package, and any version may correct it.
package pvesim
