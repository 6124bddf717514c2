// Package proxmox is the engine of clients of Proxmox products. It makes requests to any
// endpoint and tells the truth about them: a refusal keeps the server's own words, a task
// that failed is a failure, and a write whose answer was lost is an unknown outcome, never a
// success and never sent again. Package pve has methods for the endpoints of Proxmox VE on
// top of it.
//
//	client, err := proxmox.New(proxmox.Options{
//		Endpoints: []string{"https://pve.example.lan:8006"},
//		Token:     proxmox.Token{ID: "ops@pve!mcp", Secret: proxmox.NewSecret(secret)},
//		Transport: proxmox.NewTransport(proxmox.TLS{}),
//	})
//	...
//	upid, err := client.Start(ctx, http.MethodPost, proxmox.Join("nodes", "pve1", "qemu", "100", "status", "start"), nil)
//	status, err := client.Wait(ctx, upid, nil)
//	if err == nil && !status.Succeeded() {
//		log.Print(status.ExitStatus.Value)
//	}
//
// [Client.Upload] and [Client.Download] stream files, and [Client.Websocket] opens consoles.
// Each of these has a connection of its own.
//
// It sends what it is given and reports what the server says: checking parameters is the
// server's business.
//
// Callers that send a client the same read at the same time share one request. Its result,
// even an error, goes to all callers that joined while it was under way, and is not kept. A
// caller that gives up does not end it for the others. Once a write was answered, or a task
// was seen to have ended, nobody joins a request that was sent before. Clients share nothing
// with each other.
//
// The package is at version 0: its names may still change between minor versions, but what
// it promises about writes and errors will not.
package proxmox
