package pvesim

import "time"

// Model describes a cluster before it lives. It is data: take a preset, such as
// [Lab] or [Cluster], change what the test is about, and give it to [New].
type Model struct {
	// Seed decides everything that is made up: MAC addresses, loads, process ids.
	Seed uint64
	// PVE is the version of the nodes, such as 9.0.11.
	PVE string
	// Cluster is the cluster's name; "" means a single node without one.
	Cluster string
	// Lag is how far /cluster/resources is behind at most; 0 means PVE's 10 s.
	Lag time.Duration
	// NoQuorum says that the nodes that are online have no quorum, whatever their number.
	NoQuorum bool
	Nodes    []Node
	Storages []Storage
	Guests   []Guest
	// Volumes are those that are no disks of guests, and disks that need more detail
	// than the guest's configuration gives. Other disks are derived from it, unless
	// NoMoreVolumes says that there are none.
	Volumes       []Volume
	NoMoreVolumes bool
	// Missing are the ids of volumes that configurations name and that do not exist.
	Missing []string
	Pools   []Pool
	Jobs    []BackupJob
	// JobsRun says that the backup jobs run by themselves when their time has come. Without it a
	// test that takes long, or runs at night, meets no backups that it did not ask for.
	JobsRun      bool
	Replications []Replication
	// HAGroups are for nodes up to PVE 8, and HARules, which replaced them, for later ones.
	HAGroups, HARules []HASection
	// Files are the configuration files below /etc/pve of which nothing else here tells, as
	// sections: firewall/cluster.fw, datacenter.cfg, status.cfg, notifications.cfg, …
	Files map[string][]Section
	// HAUsed says that the HA manager once had something to do. It has if a guest is
	// managed.
	HAUsed bool
	// HADisarmed is the mode in which HA is disarmed, freeze or ignore; "" if it is not.
	HADisarmed string
	Users      []User
	// Groups are groups of users that have a comment or no members: others follow from Users.
	Groups []Group
	Tokens []Token
	// Directories are those of realms. One that is not there cannot be reached.
	Directories []Directory
	// Roles are those beside PVE's own, with their privileges.
	Roles map[string][]string
	ACL   []ACL
	Tasks []PastTask
	// NoDHCP says that no DHCP server answers guests.
	NoDHCP bool
	// Web is what URLs serve, Appliances the container templates that PVE offers, and
	// Registry the repositories of OCI images, to nodes that download them.
	Web        []WebFile
	Appliances []Appliance
	Registry   []OCIRepository
	// History is how far back RRD data go; 0 means as far as PVE keeps them.
	History time.Duration
	// Trends are histories that are not what the model's loads make of them.
	Trends []Trend
	// Leases are the addresses that PVE's own address management has given.
	Leases []Lease
	// Faults are rules by which requests go wrong.
	Faults []Fault
	// NoViewer says that the nodes do not serve the data of their API viewer.
	NoViewer bool
}

// Node is a node of the cluster. The first of a model receives the requests that
// name none.
type Node struct {
	Name    string
	IP      string
	PVE     string // "" means the model's
	CPUs    int
	Memory  int64         // bytes
	Disk    int64         // bytes of the root file system
	Up      time.Duration // how long it has been up
	BIOS    bool          // it booted from a BIOS, not from EFI
	Offline bool          // it has just gone down, or Silent ago
	Silent  time.Duration // how long the others have heard nothing of its guests
	// Contained nodes run in a container themselves: without disks or a bridge.
	Contained bool
	// Maintenance is HA's: its manager moves guests away, and starts none there.
	Maintenance bool
	// Updates are the versions of packages that wait to be installed.
	Updates map[string]string
	// Stopped are the services that somebody has stopped.
	Stopped []string
	// Disks are the node's; nil means one that is well.
	Disks []Disk
	// Bridges are those beside vmbr0, which Contained nodes only have if they have others.
	Bridges []string
	// Devices are those that can be passed through to a guest.
	Devices []Device
	// Repository is the one of Proxmox that it has: enterprise, test, none, or
	// no-subscription, which "" means.
	Repository   string
	Subscription Subscription
	// Journal are lines of its journal, beside those about tasks.
	Journal []JournalLine
	NodeHealth
}

// Device is a PCI or USB device of a node.
type Device struct {
	ID           string // 0000:01:00.0, or 1-2 of USB
	Vendor, Name string
	VendorID     string // 0x10de
	DeviceID     string // 0x1eb8
	Class        string // 0x030200; "" for one of USB
}

// Storage is a storage of the cluster.
type Storage struct {
	ID       string
	Type     string // dir, nfs, zfspool, …
	Content  string // what it may hold, such as images,iso
	Shared   bool
	Disabled bool
	Nodes    []string // empty means all
	Path     string   // of a storage of files; "" means PVE's usual one
	// Options are other keys of its configuration, such as prune-backups or server.
	Options map[string]string
	// Broken is why no node can use it, in PVE's words; "" if they can.
	Broken string
	// BrokenOn is why single nodes cannot use it, by node.
	BrokenOn map[string]string
	Size     int64 // bytes, per node if it is not shared
	// SizeOn is Size on the nodes on which it differs, by node.
	SizeOn map[string]int64
	Used   int64 // bytes, those of the model's volumes included
	// UsedOn is Used on the nodes on which it differs, by node.
	UsedOn map[string]int64
	// MetadataOn is the share of a thin pool's metadata that is in use, 0 to 1, on the nodes
	// on which it is not the usual one.
	MetadataOn map[string]float64
}

// Volume is a disk, a backup, an image or a template on a storage.
type Volume struct {
	// ID is as PVE writes it: local:100/vm-100-disk-0.qcow2. A * in that of a backup
	// becomes the time when it was made, Age ago.
	ID      string
	Node    string // that has it; of no meaning on a shared storage
	Content string // images, rootdir, backup, iso, vztmpl, snippets, import
	Format  string // qcow2, raw, subvol, vma.zst, …
	Size    int64  // bytes, as the guest sees it
	Used    int64  // bytes
	VMID    int    // of the owner, or 0
	Age     time.Duration
	Parent  string // the id of the base that this is a linked clone of, as far as its own id says
	Blank   bool   // no system is on it, so that nothing boots from it
	// Inactive is a qcow2 image on LVM whose size PVE knows about, since 9.1.
	Inactive bool
	// Source is the URL that it was downloaded from, and Data its bytes if it was uploaded.
	Source string
	Data   []byte
	// Image is what is on it, if it is a disk image that no guest has booted from.
	Image Image
	// OCI is the repository of the image that it is.
	OCI *OCIRepository
	// These are for backups.
	Notes        string
	Protected    bool
	Verification string // ok or failed; "" if it was not verified
	Encrypted    string // the fingerprint of the key; "" if it is not encrypted
	// Files are those that can be restored one by one from a backup on a backup server, by
	// path; nil means the present ones of that guest.
	Files map[string]string
	// Config is the configuration of the guest that was backed up; nil means
	// the present one of that guest.
	Config map[string]string
	// Disks are the volumes in it, by their keys in Config; nil means what Config
	// says of them.
	Disks map[string]Volume
}

// Snapshot is a snapshot of a guest.
type Snapshot struct {
	Name        string
	Description string
	Parent      string // the snapshot before it
	Age         time.Duration
	// VMState is the volume with the RAM, "" if that was not saved.
	VMState string
	// Config is the guest's configuration then; nil means the present one.
	Config map[string]string
	// Phase is prepare or delete if a task broke off while it did that.
	Phase string
}

// Guest is a VM or a container.
type Guest struct {
	VMID int
	Kind string // qemu or lxc
	Node string
	// Config has the keys and values of PVE's configuration file, and Pending those of
	// its section of changes that wait for the next start: the key delete lists what
	// will be removed, after ! with its volumes.
	Config, Pending map[string]string
	// Snapshots are the guest's, parents first. The present state comes after the
	// one that Config names as parent.
	Snapshots []Snapshot
	Running   bool
	// QMPStatus is QEMU's word for the state of a running VM, such as paused,
	// suspended (asleep, ACPI S3) or io-error; "" means running.
	QMPStatus string
	Up        time.Duration // how long it has been running
	Ran       []Run         // before that
	Age       time.Duration // how long the cluster has known of it; 0 means always
	// Load is the usual share of its CPUs that is in use, 0 to 1.
	Load float64
	// HA is the state that the HA manager keeps, such as started; "" if the
	// guest is not managed.
	HA string
	// HAOptions are other keys of its HA resource, such as max_restart.
	HAOptions map[string]string
	// IPs are the addresses that the guest reports, each with its prefix. A VM
	// reports them while it runs and its agent answers (see AgentDead).
	IPs       []string
	AgentDead bool
	GuestHealth
	// Programs are what the guest's agent can run beside the usual tools, by
	// command line with a blank between words.
	Programs map[string]Program
	// Files are those of the guest, by path, beside those that every system has.
	Files map[string]string
	// Password is root's at a login prompt; "" means that no password lets anybody in.
	Password string
	// ShutdownTakes is how long the guest needs to shut down.
	ShutdownTakes time.Duration
	// IgnoresShutdown makes every shutdown time out. Such a VM lets go of no network
	// device while it runs, either.
	IgnoresShutdown bool
	// StartFails makes every start fail: log lines, the last of which is the
	// reason.
	StartFails []string
	// StartWarns are warnings that every start gives.
	StartWarns []string
}

// Run is a time that a guest ran, which its RRD data show.
type Run struct{ Ago, Took time.Duration } // since its start, until its end

// Program is what a program in a guest does.
type Program struct {
	Out, Err string
	Exit     int
	Signal   int // that ends it; 0 if it ends by itself
	Takes    time.Duration
}

// Pool is a resource pool.
type Pool struct {
	ID       string
	Comment  string
	VMIDs    []int
	Storages []string
}

// BackupJob is a job that makes backups by itself, when its time has come, if [Model.JobsRun]
// is set. Its times are UTC.
type BackupJob struct {
	ID       string
	Schedule string // a calendar event, such as sat 02:30
	Disabled bool
	// Options are its other keys: storage, mode, all, vmid, pool, exclude, …
	Options map[string]string
}

// Replication is a job that copies a guest to another node. The simulated cluster does not
// run it.
type Replication struct {
	ID     string // of the guest, and a number: 100-0
	Target string // a node
	// Options are its other keys: schedule, rate, comment, disable.
	Options map[string]string
	// Asked says that somebody wants it to run as soon as possible.
	Asked bool
	// Synced is how long ago it last began and succeeded, and Tried how long ago it last
	// began; 0 means never.
	Synced, Tried time.Duration
	Fails         int           // how often it has failed since
	Error         string        // why
	Took          time.Duration // the last time
}

// HASection is an HA group or rule.
type HASection struct {
	ID   string
	Type string // group, node-affinity or resource-affinity
	// Options are its other keys: nodes, resources, strict, affinity, …
	Options map[string]string
}

// Section is a part of a configuration file: a rule of a firewall, a metrics server, …
type Section struct {
	ID   string
	Type string
	// Options are its other keys. The items of a list are on lines of their own.
	Options map[string]string
}

// User is a user.
type User struct {
	ID       string // user@realm
	Groups   []string
	Disabled bool
	Expire   int64 // seconds since 1970; 0 means never
	Comment  string
	Email    string
	// These are rarely known.
	FirstName, LastName, Keys string
	// Password is what the user logs in with; "" means that no password lets it in.
	Password string
}

// Group is a group of users. Its members name it in [User].
type Group struct{ ID, Comment string }

// Token is an API token.
type Token struct {
	ID      string // user@realm!name
	Secret  string
	PrivSep bool
	Expire  int64 // seconds since 1970; 0 means never
	Comment string
}

// Token returns the model's token with an id, or one that no model accepts.
func (m Model) Token(id string) Token {
	for _, t := range m.Tokens {
		if t.ID == id {
			return t
		}
	}
	return Token{ID: id}
}

// Header is the value of an Authorization header.
func (t Token) Header() string { return "PVEAPIToken=" + t.ID + "=" + t.Secret }

// ACL gives a role on a path to a user, a group or a token.
type ACL struct {
	Path        string
	Who         string // a user id, a token id, or @group
	Role        string
	NoPropagate bool
}

// PastTask is a task that was started before the model came to life. If it took longer than
// it is ago, it still runs, and does nothing when it ends.
type PastTask struct {
	Node string
	Type string
	ID   string
	User string
	Ago  time.Duration // since its start
	Took time.Duration
	Exit string
	Log  []string // without the final line TASK …
	// UPID is its id; "" makes one up. Else it says what Node, Type, ID and User do.
	UPID string
}
