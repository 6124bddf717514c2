// Package pvesim simulates a Proxmox VE cluster's API for tests and demos.
//
// It is strict where PVE is strict: parameters are checked against PVE's own API
// description, privileges against users, tokens, roles and ACLs, and a refusal has
// PVE's status, reason phrase and words. What takes time in PVE takes time here, by
// a [Clock]: tasks are data that is evaluated against it, so a test may run a
// backup of an hour in no time, and the same model gives the same answers.
//
//	model := pvesim.Cluster()
//	sim, err := pvesim.New(model, pvesim.Options{})
//	...
//	client := &http.Client{Transport: sim.Transport()} // no sockets
//	req, _ := http.NewRequest("GET", sim.URL()+"/api2/json/version", nil)
//	req.Header.Set("Authorization", model.Token("ops@pve!mcp").Header())
//
// [Lab] and [Cluster] are made up; [Recorded] is a real cluster, and the package's
// tests replay what was asked of it and compare the answers.
//
// A cluster has several nodes, and each receives requests ([Sim.URLs]). A node can go
// off the network and come back ([Sim.SetOnline]). Requests go wrong by rules: a
// [Fault] refuses, delays, makes a task fail, or loses the answer to what was done;
// it also takes a node or a storage down. [ParseFault] reads it from a line of text.
// [Huge] has 10,000 guests.
// [Sim.Listen] serves a node over TLS, with a certificate of the cluster's own CA,
// for what needs a real connection.
//
// A cluster is saved as one JSON file and goes on from it ([Sim.Save], [Load]), which
// is a [Model] that people can read and write. The program pve-mcp sim serves one, and
// makes them from live clusters.
//
// It shares no types with any client, so that a mistake in one does not cancel out
// here. An endpoint that PVE has and pvesim does not serve yet checks parameters
// and privileges all the same, and then answers 501 with a message that says so.
package pvesim
