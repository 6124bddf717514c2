package pvesim

import (
	"fmt"
	"strings"
	"time"
)

func (j *journal) found(g *guest, local []localDisk) {
	for _, d := range local {
		switch {
		case g.Kind == "lxc":
			j.say("found local volume '%s' (in current VM config)", d.ID)
		case d.generated():
			j.say("found generated disk '%s' (in current VM config)", d.ID)
		case d.attached:
			j.say("found local disk '%s' (attached)", d.ID)
		default:
			j.say("found local disk '%s' (unused)", d.ID)
		}
	}
}

// clockText writes a duration as hours, minutes and seconds.
func clockText(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// netSpeed is what volumes are sent to another node with, in bytes a second.
const netSpeed = 110 << 20

// copyLocal sends the volumes of a stopped guest.
func (j *journal) copyLocal(c *call, g *guest, stores map[string]string) {
	var local []localDisk
	for _, d := range c.localDisks(g) {
		if !d.cdrom {
			local = append(local, d)
		}
	}
	if len(local) > 0 && g.Kind == "qemu" {
		j.say("copying local disk images")
	}
	for _, d := range local {
		storage := mapped(stores, d.storage())
		j.pass(2 * time.Second)
		j.formatting(c.storageNamed(storage), d.Volume)
		for sent := int64(3 * netSpeed); sent < d.Size; sent += 3 * netSpeed {
			j.pass(3 * time.Second)
			j.say("%d bytes (%s) copied, %d s, %d MB/s", sent, renderBytes(sent), sent/netSpeed, netSpeed/1000000)
		}
		j.pass(2 * time.Second)
		_, name, _ := strings.Cut(d.ID, ":")
		j.say("successfully imported '%s:%s'", storage, name)
		j.say("volume '%s' is '%s:%s' on the target", d.ID, storage, name)
	}
}

// mirror copies the disks of a running VM.
func (j *journal) mirror(c *call, g *guest, local []localDisk) {
	job := "drive"
	if c.node.version.major >= 9 {
		job = "mirror"
	}
	j.say("starting storage migration")
	for _, d := range local {
		name := job + "-" + d.key
		j.say("%s: start migration to nbd:unix:/run/qemu-server/%d_nbd.migrate:exportname=drive-%s", d.key, g.VMID, d.key)
		j.sayUnstamped("drive mirror is starting for %s", name)
		for sent, s := int64(0), 0; ; sent, s = min(sent+netSpeed, d.Size), s+1 {
			ready := ""
			if sent == d.Size {
				ready = ", ready"
			}
			j.sayUnstamped("%s: transferred %s of %s (%.2f%%) in %ds%s", name, renderBytes(sent), renderBytes(d.Size), 100*float64(sent)/float64(max(d.Size, 1)), s, ready)
			if sent == d.Size {
				break
			}
			j.pass(time.Second)
		}
	}
	j.sayUnstamped("all 'mirror' jobs are ready")
}

// ram copies the memory of a running VM.
func (j *journal) ram(g *guest) {
	total := g.maxMem()
	j.say("start migrate command to unix:/run/qemu-server/%d.migrate", g.VMID)
	for sent := int64(netSpeed); sent < total*2/5; sent += netSpeed {
		j.pass(time.Second)
		j.say("migration active, transferred %s of %s VM-state, %s/s", renderBytes(sent), renderBytes(total), renderBytes(netSpeed))
	}
	j.pass(time.Second)
	j.say("average migration speed: %s/s - downtime 9 ms", renderBytes(netSpeed))
	j.say("migration completed, transferred %s VM-state", renderBytes(total*2/5))
	j.say("migration status: completed")
}
