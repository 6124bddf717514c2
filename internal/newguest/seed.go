package newguest

import (
	"fmt"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// SeedVolume is the name of the CD from which cloud-init of a guest reads its user data. unique
// is in the name, so that it is nobody else's file.
func SeedVolume(storage string, guest pve.VMID, unique string) pve.VolID {
	return pve.VolID{Storage: storage, Name: fmt.Sprintf("iso/seed-%v-%.8s.iso", guest, unique)}
}

var seedRE = lazyregexp.New(`^iso/seed-(\d+)-[a-z0-9]{8}\.iso$`)

// GuestOfSeed returns the guest whose CD for cloud-init a volume is, if it is one.
func GuestOfSeed(id pve.VolID) (guest pve.VMID, ok bool) {
	m := seedRE.FindStringSubmatch(id.Name)
	if m == nil {
		return 0, false
	}
	guest, err := pve.ParseVMID(m[1])
	return guest, err == nil
}
