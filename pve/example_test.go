package pve_test

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A task that failed is a failure, although its start was a success.
func ExampleClient_Wait() {
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(100)})
	if err != nil {
		panic(err)
	}
	token := model.Token("ops@pve!mcp")
	client, err := pve.New(proxmox.Options{
		Endpoints: []string{sim.URL()},
		Token:     proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
		Transport: sim.Transport(),
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	guest, err := client.FindGuest(ctx, 105)
	if err != nil {
		panic(err)
	}
	upid, err := client.Power(ctx, guest.Ref(), "start", pve.PowerOptions{})
	if err != nil {
		panic(err)
	}
	status, err := client.Wait(ctx, upid, nil)
	fmt.Println(err, status.Succeeded(), status.ExitStatus.Value)
	// Output: <nil> false start failed: QEMU exited with code 1
}

func ExampleGuestOf() {
	upid, err := proxmox.ParseUPID("UPID:pve1:00005108:000BCCF1:6B032E86:qmshutdown:900:root@pam!full:")
	if err != nil {
		panic(err)
	}
	guest, _ := pve.GuestOf(upid)
	fmt.Println(upid.Node, upid.Type, guest, upid.User)
	// Output: pve1 qmshutdown 900 root@pam!full
}

// What is not set is left to PVE: here the storages, and whether the copy is a full one.
func ExampleClient_Clone() {
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(1000)})
	if err != nil {
		panic(err)
	}
	token := model.Token("ops@pve!mcp")
	client, err := pve.New(proxmox.Options{
		Endpoints: []string{sim.URL()},
		Token:     proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
		Transport: sim.Transport(),
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	template, err := client.FindGuest(ctx, 900)
	if err != nil {
		panic(err)
	}
	upid, err := client.Clone(ctx, template.Ref(), pve.NewClone{VMID: 950, Name: "web-3"})
	if err != nil {
		panic(err)
	}
	status, err := client.Wait(ctx, upid, nil)
	fmt.Println(err, status.ExitStatus.Value)
	// Output: <nil> OK
}
