package pve

import (
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// BackupLog is what the log of a backup task says of its guests.
type BackupLog struct {
	// Job is the id of the job whose run the task is, "" if the log does not say.
	Job string
	// IDs and Options are those of the command that the task begins with: the guests that it
	// names, and values such as nfs for storage, without the quotes of a shell.
	IDs     []string
	Options map[string]string
	Guests  []GuestBackup // as they began
	// Waiting are the guests that the task names and has not begun with. A task of all
	// guests, or of a pool, names none.
	Waiting []VMID
}

// GuestBackup is a guest's part of a backup task.
type GuestBackup struct {
	VMID   VMID
	State  BackupState
	Reason string        // why it failed
	Took   time.Duration // of one that is done
	Size   string        // of the archive, as PVE writes it: 1.20GB; "" on a backup server
}

// BackupState says how far a guest's part of a backup task is.
type BackupState string

// The states of a guest's part.
const (
	BackupBegun  BackupState = "begun" // and not ended, as far as the log says
	BackupDone   BackupState = "done"
	BackupFailed BackupState = "failed"
)

// The lines of a backup's log that frame the parts of its guests.
var (
	jobBeginRE   = lazyregexp.New(`^INFO: starting new backup job: vzdump((?: \d+)*)( -.*|$)`)
	jobOptionRE  = lazyregexp.New(` --([a-z][a-z-]*)(?: ((?:'[^']*'|[^ '-][^ ']*)+))?`)
	jobSkipsRE   = lazyregexp.New(`^INFO: skip external VMs: ([\d, ]+)$`)
	guestBeginRE = lazyregexp.New(`^INFO: Starting Backup of (?:VM|CT) (\d+) `)
	guestEndRE   = lazyregexp.New(`^(INFO: Finished|ERROR:) Backup of (?:VM|CT) (\d+) (?:failed - (.*)|\((\d+):(\d\d):(\d\d)\))?`)
	guestSizeRE  = lazyregexp.New(`^INFO: archive file size: (\S+)$`)
)

// With returns the guests whose part is in a state.
func (log BackupLog) With(state BackupState) []GuestBackup {
	return slices.DeleteFunc(slices.Clone(log.Guests), func(g GuestBackup) bool { return g.State != state })
}

// Backups reads the log of a backup task.
func Backups(lines []proxmox.LogLine) BackupLog {
	var log BackupLog
	var skipped []string
	for _, l := range lines {
		text := l.Says()
		if f := jobBeginRE.FindStringSubmatch(text); f != nil {
			log.IDs, log.Options = append(log.IDs, strings.Fields(f[1])...), map[string]string{}
			for _, option := range jobOptionRE.FindAllStringSubmatch(f[2], -1) {
				log.Options[option[1]] = strings.ReplaceAll(option[2], "'", "")
			}
			log.Job = log.Options["job-id"]
		} else if f := jobSkipsRE.FindStringSubmatch(text); f != nil {
			skipped = strings.Split(f[1], ", ")
		} else if f := guestBeginRE.FindStringSubmatch(text); f != nil {
			log.part(f[1])
		} else if f := guestSizeRE.FindStringSubmatch(text); f != nil && len(log.Guests) > 0 {
			log.Guests[len(log.Guests)-1].Size = f[1]
		} else if f := guestEndRE.FindStringSubmatch(text); f != nil {
			log.end(f)
		}
	}
	for _, id := range log.IDs {
		vmid, err := ParseVMID(id)
		begun := slices.ContainsFunc(log.Guests, func(g GuestBackup) bool { return g.VMID == vmid })
		if err == nil && !begun && !slices.Contains(skipped, id) {
			log.Waiting = append(log.Waiting, vmid)
		}
	}
	return log
}

// part returns the part of a guest, which is a new one unless it was begun; nil if the id is
// none.
func (log *BackupLog) part(id string) *GuestBackup {
	vmid, err := ParseVMID(id)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(log.Guests, func(g GuestBackup) bool { return g.VMID == vmid })
	if i < 0 {
		i = len(log.Guests)
		log.Guests = append(log.Guests, GuestBackup{VMID: vmid, State: BackupBegun})
	}
	return &log.Guests[i]
}

// end notes how a guest's part ended, by the groups of its last line.
func (log *BackupLog) end(f []string) {
	p := log.part(f[2])
	if p == nil {
		return
	}
	if f[1] == "ERROR:" {
		p.State, p.Reason, p.Size = BackupFailed, f[3], ""
		return
	}
	p.State = BackupDone
	p.Took = time.Duration(numberOf(f[4])*3600+numberOf(f[5])*60+numberOf(f[6])) * time.Second
}
