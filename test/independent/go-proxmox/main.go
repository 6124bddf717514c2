// Command go-proxmox tells the life of a VM with github.com/luthermonson/go-proxmox. It ends
// with a line that says how many tasks ran. With the argument "consoles", it uses those.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	proxmox "github.com/luthermonson/go-proxmox"
)

// story runs step by step; the first error ends it.
type story struct {
	context.Context
	tasks int
}

// wait awaits a task, which has to end as expected.
func (s *story) wait(t *proxmox.Task, err error, ends string) {
	must(err)
	s.tasks++
	must(t.Wait(s, 100*time.Millisecond, time.Minute))
	if t.ExitStatus != ends {
		log.Panicf("%s ended %q, not %q", t.UPID, t.ExitStatus, ends)
	}
}

func must(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func check(ok bool, what ...any) {
	if !ok {
		log.Panic(what...)
	}
}

func main() {
	log.SetFlags(log.Lshortfile)
	s := &story{Context: context.Background()}
	if len(os.Args) > 1 {
		user, _, _ := strings.Cut(os.Getenv("PVE_TOKEN_ID"), "!")
		s.consoles(connect(proxmox.WithCredentials(&proxmox.Credentials{Username: user, Password: os.Getenv("PASSWORD")})))
		fmt.Println("2 consoles")
		return
	}
	client := connect()
	version, err := client.Version(s)
	must(err)
	check(strings.HasPrefix(version.Version, version.Release), version)
	node, err := client.Node(s, "pve1")
	must(err)
	s.live(node)
	s.copies(node)
	s.end(node)
	fmt.Printf("%d tasks\n", s.tasks)
}

// connect makes a client, which has a token unless the options say otherwise.
func connect(options ...proxmox.Option) *proxmox.Client {
	if len(options) == 0 {
		options = append(options, proxmox.WithAPIToken(os.Getenv("PVE_TOKEN_ID"), os.Getenv("PVE_TOKEN_SECRET")))
	}
	options = append(options, proxmox.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}))
	return proxmox.NewClient(os.Getenv("PVE_HOST")+"/api2/json", options...)
}

func (s *story) vm(node *proxmox.Node, id int) *proxmox.VirtualMachine {
	vm, err := node.VirtualMachine(s, id)
	must(err)
	return vm
}

// live creates a VM, starts it, and goes back to a snapshot of it.
func (s *story) live(node *proxmox.Node) {
	task, err := node.NewVirtualMachine(s, 500,
		proxmox.VirtualMachineOption{Name: "name", Value: "go"},
		proxmox.VirtualMachineOption{Name: "memory", Value: 1024},
		proxmox.VirtualMachineOption{Name: "scsi0", Value: "local-zfs:8"},
		proxmox.VirtualMachineOption{Name: "net0", Value: "virtio,bridge=vmbr0"},
	)
	s.wait(task, err, "OK")
	vm := s.vm(node, 500)
	check(vm.IsStopped() && vm.Name == "go", vm.Name, vm.Status)
	task, err = vm.Start(s)
	s.wait(task, err, "OK")
	check(s.vm(node, 500).IsRunning(), "it does not run")
	task, err = vm.NewSnapshot(s, "before")
	s.wait(task, err, "OK")
	task, err = vm.Config(s, proxmox.VirtualMachineOption{Name: "name", Value: "changed"})
	s.wait(task, err, "OK")
	task, err = vm.Snapshot("before").Rollback(s)
	s.wait(task, err, "OK")
	check(s.vm(node, 500).VirtualMachineConfig.Name == "go", "it was not rolled back")
	task, err = vm.NewSnapshot(s, "before")
	s.wait(task, err, "snapshot name 'before' already used")
	snapshots, err := vm.Snapshots(s)
	must(err)
	check(len(snapshots) == 2, snapshots)
}

// copies clones the VM, backs it up, and restores it.
func (s *story) copies(node *proxmox.Node) {
	id, task, err := s.vm(node, 500).Clone(s, &proxmox.VirtualMachineCloneOptions{NewID: 501, Name: "copy", Full: true})
	s.wait(task, err, "OK")
	check(s.vm(node, id).Name == "copy", id)
	task, err = node.Vzdump(s, &proxmox.VirtualMachineBackupOptions{VMID: 500, Storage: "nfs"})
	s.wait(task, err, "OK")
	storage, err := node.Storage(s, "nfs")
	must(err)
	content, err := storage.GetContent(s)
	must(err)
	backup := ""
	for _, v := range content {
		if strings.Contains(v.Volid, "vzdump-qemu-500-") {
			backup = v.Volid
		}
	}
	task, err = node.NewVirtualMachine(s, 502, proxmox.VirtualMachineOption{Name: "archive", Value: backup})
	s.wait(task, err, "OK")
	check(s.vm(node, 502).Name == "go", backup)
}

// end deletes all, and sees that it is gone.
func (s *story) end(node *proxmox.Node) {
	task, err := s.vm(node, 500).Snapshot("before").Delete(s)
	s.wait(task, err, "OK")
	for id := 500; id <= 502; id++ {
		task, err := s.vm(node, id).Delete(s, &proxmox.VirtualMachineDeleteOptions{Purge: true})
		s.wait(task, err, "OK")
		_, err = node.VirtualMachine(s, id)
		check(err != nil && strings.Contains(err.Error(), "does not exist"), err)
	}
}
