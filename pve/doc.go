// Package pve is a client of the Proxmox VE API that tells the truth about it: a
// refusal keeps PVE's own words, a task that failed is a failure, and a write
// whose answer was lost is an unknown outcome, never a success and never sent
// again.
//
//	client, err := pve.New(pve.Options{
//		Endpoints: []string{"https://pve.example.lan:8006"},
//		Token:     pve.Token{ID: "ops@pve!mcp", Secret: secret},
//		Transport: pve.NewTransport(pve.TLS{}),
//	})
//	...
//	guest, err := client.FindGuest(ctx, 100)
//	upid, err := client.Power(ctx, guest.Ref(), "start", nil)
//	status, err := client.Wait(ctx, upid, nil)
//	if err == nil && !status.Succeeded() {
//		log.Print(status.ExitStatus.Value)
//	}
//
// Those who ask a client the same at the same time share one request to PVE, and nothing
// is shared between clients. What comes of it, an error too, is for all who asked while it
// was under way, and is not kept. One who gives up leaves it to the others. It was asked
// before the last of them wanted to know, by no more than it takes; so nobody joins a
// request once a write was answered, or a task was seen to have ended, after it was sent.
//
// It sends what it is given and reports what PVE says: checking parameters is
// PVE's business. Answers are decoded leniently, since PVE writes a number as a
// number or as a string from one version to the next; a field that PVE may leave
// out is an [Opt], and fields that a type does not name are kept in its Extra.
package pve
