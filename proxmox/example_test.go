package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// simulated is a client of a simulated cluster.
func simulated() *proxmox.Client {
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(1000)})
	if err != nil {
		panic(err)
	}
	token := model.Token("root@pam!full")
	client, err := proxmox.New(proxmox.Options{
		Endpoints: []string{sim.URL()},
		Token:     proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
		Transport: sim.Transport(),
	})
	if err != nil {
		panic(err)
	}
	return client
}

// Any endpoint can be called; a refusal has the server's own words.
func ExampleClient_Do() {
	client, ctx := simulated(), context.Background()
	answer, err := client.Do(ctx, http.MethodGet, proxmox.Join("version"), nil)
	if err != nil {
		panic(err)
	}
	var version struct {
		Release string `json:"release"`
	}
	if err := answer.Decode(&version); err != nil {
		panic(err)
	}
	fmt.Println("PVE", version.Release)

	_, err = client.Do(ctx, http.MethodPost, proxmox.Join("nodes", "pve1", "lxc", "200", "status", "start"), nil)
	var refused *proxmox.Error
	fmt.Println(errors.As(err, &refused), refused.Message)
	// Output:
	// PVE 9.0
	// true CT 200 already running
}

// A file is uploaded as it is read. The task that stores it says whether it was.
func ExampleClient_Upload() {
	client, ctx := simulated(), context.Background()
	content := strings.Repeat("0", 1<<20)
	answer, err := client.Upload(ctx, proxmox.Join("nodes", "pve1", "storage", "local", "upload"),
		proxmox.File{Name: "tools.iso", Size: int64(len(content)), Body: strings.NewReader(content)},
		proxmox.Field{Name: "content", Value: "iso"})
	if err != nil {
		panic(err)
	}
	upid, err := answer.Task()
	if err != nil {
		panic(err)
	}
	status, err := client.Wait(ctx, upid, nil)
	fmt.Println(upid.Type, status.ExitStatus.Value, err)
	// Output: imgcopy OK <nil>
}
