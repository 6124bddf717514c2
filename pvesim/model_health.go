package pvesim

import (
	"slices"
	"time"
)

// NodeHealth is how a node fares beyond what its guests make it do. Its zero value is a
// node that is well.
type NodeHealth struct {
	// ClockAhead is how far its clock is ahead of the cluster's; negative if it is behind.
	ClockAhead time.Duration
	// RunningKernel is the kernel that it has booted, such as 6.8.12-4-pve; "" means the
	// newest that is installed.
	RunningKernel string
	// FailedServices are those that systemd calls failed.
	FailedServices []string
	// StatusHangs says that its status daemon hangs, on a storage for example: the cluster
	// knows that the node is online, and nothing of its guests and storages.
	StatusHangs bool
	// Fenced says that the HA manager has fenced it, or is about to. It is offline then.
	Fenced bool
	// CPU is the share of its CPUs that is in use at least, and IOWait that which waits for
	// disks, 0 to 1.
	CPU, IOWait float64
	// Pressure is the share of the time in which something waits, in percent: cpusome,
	// iosome, iofull, memorysome or memoryfull. Nodes tell it since PVE 9.
	Pressure map[string]float64
	// MemoryUsed is what is in use at least, and SwapUsed what of Swap, in bytes.
	MemoryUsed, Swap, SwapUsed int64
	// Pools are ZFS pools that are not as usual. Other pools follow from the storages.
	Pools []ZPool
	// Sets are volume groups and directories that were made of disks.
	Sets []DiskSet
	// CertificateLeft is how long its certificate is still good: negative if it has expired,
	// and 0 means for the usual two years.
	CertificateLeft time.Duration
	// BootTakes is how long it takes until it is back when it boots; 0 means 2 minutes.
	BootTakes time.Duration
	// IgnoresPower says that it agrees to reboot or shut down, and goes on.
	IgnoresPower bool
	// StaysDown says that it does not come back from a reboot.
	StaysDown bool
	// NewCertificateAfter is how long it keeps its certificate: then it presents another, of
	// another CA. 0 means for ever.
	NewCertificateAfter time.Duration
	// RootUsed is what the root file system holds, in bytes; 0 means a fifth of it.
	RootUsed int64
}

// Subscription is a node's. Its zero value is none.
type Subscription struct {
	Status  string // active, expired, suspended, invalid or new; "" means that there is none
	Level   string // c, b, s or p
	Key     string
	NextDue string // 2027-03-01
	Message string // of Proxmox's server
}

// JournalLine is a line of a node's journal.
type JournalLine struct {
	Ago  time.Duration
	From string // the program, such as kernel or pvestatd
	Text string
}

// GuestHealth is how a guest fares. Its zero value is one that is well.
type GuestHealth struct {
	// AgentHangs says that its agent answers a ping, and then nothing else.
	AgentHangs bool
	// AgentBlocks are commands that its agent is configured to refuse, such as exec.
	AgentBlocks []string
	// Pressure is the share of the time in which something in it waits, as for a node.
	Pressure map[string]float64
	// Screen is what a VM's screen shows once its firmware is done: panic, fsck, emergency,
	// grub, blank (until a key is pressed), graphic, framebuffer (a login prompt on 1024x768),
	// shell (of root), or the text itself if it has several lines. "" means what its state is: a
	// login prompt when it is up, a desktop of Windows, and otherwise how far it is.
	Screen string
	// ScreenFault is how the server of the screen misbehaves: huge, outside, encoding, zlib,
	// bomb, message, cut, endless or silent. "" means that it does not.
	ScreenFault string
	// FileSystems are those that its agent reports; nil means one on each of its disks.
	FileSystems []FileSystem
}

// FileSystem is one that a guest's agent reports.
type FileSystem struct {
	Mount, Type string
	Total, Used int64 // bytes
}

// Lease is an address that PVE's address management has given to a guest.
type Lease struct {
	Zone, VNet, Subnet string
	IP, MAC, Hostname  string
	VMID               int
	Gateway            bool // it is the subnet's gateway, and no guest's
}

// Disk is a disk of a node.
type Disk struct {
	Path          string // /dev/sda or /dev/nvme0n1
	Type          string // hdd, ssd or nvme; "" follows from the path
	Model, Serial string
	Size          int64  // bytes
	Used          string // what is on it, in PVE's words: LVM, ZFS, BIOS boot; "" if nothing is
	// Health is the verdict of SMART, such as FAILED!; "" means PASSED.
	Health  string
	NoSMART bool // it tells nothing of itself, as behind a RAID controller
	// Wear is the share of its endurance that is used, in percent; of no meaning for a
	// disk that turns.
	Wear int
	// These are numbers of sectors and of errors.
	Reallocated, Pending, MediaErrors int
}

// DiskSet is what a disk of a node was made into, beside what the storages tell.
type DiskSet struct {
	Kind       string // lvm (a volume group), lvmthin (and a thin pool in it) or directory
	Name       string
	Device     string // the path of the disk
	FileSystem string // of a directory
}

// ZPool is a ZFS pool of a node.
type ZPool struct {
	Name string
	// State is zpool's word, such as DEGRADED; "" means ONLINE.
	State string
	// Status and Action are zpool's sentences about what is wrong; "" means the usual ones.
	Status, Action string
	// Errors are those of data, in zpool's words; "" means none.
	Errors string
	// Scrubbed is how long ago it was scrubbed; 0 means last Sunday. ScrubErrors are those
	// that were found and not repaired.
	Scrubbed      time.Duration
	NeverScrubbed bool
	ScrubErrors   int
	Frag          int // percent
	// Devices are the pool's disks; nil means a mirror of two that are well.
	Devices []ZDevice
	// Raid is how they are combined: single, mirror, raid10, raidz, raidz2, raidz3, draid, …;
	// "" means as a mirror. Size is what they hold together; 0 means what a storage on it says.
	Raid string
	Size int64 // bytes
}

// ZDevice is a disk in a ZFS pool.
type ZDevice struct {
	Name                  string
	State                 string // "" means ONLINE
	Read, Write, Checksum int    // errors
	Message               string // what zpool says beside it
}

// runningKernel is the kernel that the node has booted.
func (n *node) runningKernel() string {
	if n.RunningKernel != "" {
		return n.RunningKernel
	}
	return n.version.kernel()
}

// rootUsed is what the root file system holds.
func (n *node) rootUsed() int64 {
	if n.RootUsed > 0 {
		return n.RootUsed
	}
	return n.Disk / 5
}

// time is what the node's clock shows.
func (n *node) time(now time.Time) time.Time { return now.Add(n.ClockAhead) }

// older is the same node when a time has passed since.
func (n Node) older(by time.Duration) Node {
	n.Pools, n.Journal, n.Sets = slices.Clone(n.Pools), slices.Clone(n.Journal), slices.Clone(n.Sets)
	for i := range n.Pools {
		if p := &n.Pools[i]; p.Scrubbed > 0 {
			p.Scrubbed += by
		}
	}
	for i := range n.Journal {
		n.Journal[i].Ago += by
	}
	if n.CertificateLeft != 0 {
		n.CertificateLeft -= by
	}
	return n
}

// olderReplications are the jobs as of a time.
func (s *state) olderReplications(now time.Time) []Replication {
	out := slices.Clone(s.replications)
	for i := range out {
		for _, ago := range []*time.Duration{&out[i].Synced, &out[i].Tried} {
			if *ago != 0 {
				*ago = max(*ago+now.Sub(s.built), 1)
			}
		}
	}
	return out
}
