// Package pve is a client of the Proxmox VE API, with a method for each endpoint that it
// knows. Requests, errors and tasks are those of package proxmox, on which it is built.
//
//	client, err := pve.New(proxmox.Options{
//		Endpoints: []string{"https://pve.example.lan:8006"},
//		Token:     proxmox.Token{ID: "ops@pve!mcp", Secret: proxmox.NewSecret(secret)},
//		Transport: proxmox.NewTransport(proxmox.TLS{}),
//	})
//	...
//	guest, err := client.FindGuest(ctx, 100)
//	upid, err := client.Power(ctx, guest.Ref(), "start", pve.PowerOptions{})
//	status, err := client.Wait(ctx, upid, nil)
//	if err == nil && !status.Succeeded() {
//		log.Print(status.ExitStatus.Value)
//	}
//
// Parameters that are more than one or two have a type, whose zero value is PVE's default
// unless its field says otherwise: [NewClone], [Restoration], [TaskFilter] and others. They
// have what most callers need; [proxmox.Client.Do] takes any parameter of any endpoint.
//
// Answers are decoded leniently, since PVE writes a number as a number or as a string from
// one version to the next. A field that PVE may leave out is a [lenient.Opt], and fields that
// a type does not name are kept in its Extra.
//
// The package is at version 0: its names may still change between minor versions. It serves
// Proxmox VE 7, 8 and 9.
package pve
