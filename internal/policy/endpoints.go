package policy

import (
	"slices"
	"strconv"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// endpoint is one of PVE's API, of version 8 or 9.
type endpoint struct {
	method string
	path   string // below /api2/json, as PVE describes it; qemu|lxc stands for both
	class  class
	// subject is what is changed: a kind, and names of parameters in braces.
	subject string
	// why says what a request does to it, or why it is never sent.
	why string
}

// class is what requests to an endpoint do.
type class int

const (
	reads         class = iota
	showsSecrets        // reads, and the answer may have secrets in it
	actsOutside         // reads, and has the node ask other machines, or wake its disks
	writes              // what can be changed back
	destroys            // data or state, for good
	entersGuest         // runs, types, reads or writes inside of a guest
	changesAccess       // users, tokens, roles, permissions
	never               // is not sent
)

// risk is that of the class.
func (c class) risk() Risk {
	switch c {
	case reads, showsSecrets:
		return Read
	case actsOutside, writes:
		return Write
	case entersGuest:
		return Exec
	}
	return Destructive
}

// detail is what the parameters of requests to an endpoint say.
type detail struct {
	// worse says whether the request is destructive after all.
	worse func(r request) bool
	// harmless says whether it only reads after all.
	harmless func(r request) bool
	// spares reports whether the guest that the path or vmid names is left as it is.
	spares func(r request) bool
	// makes names the parameter with the id of a guest that is made.
	makes string
	// repeats names the parameter that is a list to PVE.
	repeats string
	// from names the snapshot whose disks count, as in [Where].
	from func(r request) string
	// every says that the request is about guests that it does not name.
	every func(r request) bool
	// takes says that HA may take other guests along.
	takes bool
	// spreads says that the disks of the guest are changed, wherever they are attached, though
	// the request is not destructive.
	spreads bool
	// rewrites says that what is on the disks of the guest is replaced: a volume of another
	// guest among them counts as one that the request names.
	rewrites bool
}

// details are those of the endpoints whose parameters matter, by method and path.
func details() map[string]detail {
	return map[string]detail{
		"PUT /nodes/{node}/qemu|lxc/{vmid}/config":                        {worse: destroysConfig},
		"POST /nodes/{node}/qemu/{vmid}/config":                           {worse: destroysConfig},
		"PUT /nodes/{node}/qemu|lxc/{vmid}/resize":                        {spreads: true},
		"POST /nodes/{node}/qemu|lxc/{vmid}/clone":                        {spares: always, makes: "newid", from: snapname},
		"POST /nodes/{node}/qemu|lxc/{vmid}/migrate":                      {from: allSnapshots, takes: true},
		"DELETE /nodes/{node}/qemu|lxc/{vmid}/snapshot/{snapname}":        {from: thatSnapshot},
		"POST /nodes/{node}/qemu|lxc/{vmid}/snapshot/{snapname}/rollback": {from: thatSnapshot, rewrites: true},
		"DELETE /nodes/{node}/qemu|lxc/{vmid}":                            {from: allSnapshots},
		"POST /nodes/{node}/qemu|lxc":                                     {worse: forced, makes: "vmid", from: allSnapshots},
		"POST /nodes/{node}/qemu/{vmid}/move_disk":                        {worse: movesAway, from: allSnapshots},
		"POST /nodes/{node}/lxc/{vmid}/move_volume":                       {worse: movesAway, from: allSnapshots},
		"POST /nodes/{node}/vzdump":                                       {worse: prunes, spares: snapshotMode, every: notByID},
		"DELETE /nodes/{node}/tasks/{upid}":                               {worse: stopsLoss},
		"PUT /nodes/{node}/storage/{storage}/content/{volume}":            {worse: unprotects},
		"POST /nodes/{node}/qemu/{vmid}/agent/exec":                       {repeats: "command"},
		"GET /nodes/{node}/disks/list":                                    {harmless: skipsSMART},
		"PUT /cluster/replication/{id}":                                   {worse: func(r request) bool { return r.params.Has("remove_job") }},
	}
}

// movesAway reports whether the volume is no longer where, or whose, it was.
func movesAway(r request) bool { return r.on("delete") || r.params.Has("target-vmid") }

// unprotects reports whether a backup may be pruned and deleted afterwards.
func unprotects(r request) bool { return r.params.Has("protected") && r.params.Get("protected") != "1" }

func skipsSMART(r request) bool { return r.params.Get("skipsmart") == "1" }

func always(request) bool { return true }

func forced(r request) bool { return r.on("force") }

// AllSnapshots stands for every snapshot of a guest.
const AllSnapshots = "*"

func allSnapshots(request) string { return AllSnapshots }

func thatSnapshot(r request) string { return r.at(5) }

func snapname(r request) string { return r.params.Get("snapname") }

var unusedRE = lazyregexp.New(`^unused\d+$`)

// destroysConfig reports whether a change of a configuration removes data or lays it
// open, or makes a template, which there is no way back from.
func destroysConfig(r request) bool {
	return forced(r) || r.on("template") || r.params.Has("protection") && r.params.Get("protection") != "1" ||
		slices.ContainsFunc(apischema.SplitList(r.params.Get("delete")), func(key string) bool {
			return unusedRE.MatchString(key) || key == "vmstate" || key == "protection"
		})
}

// prunes reports whether a backup may delete older ones: PVE does by itself unless it is
// told not to.
func prunes(r request) bool {
	return r.params.Get("remove") != "0" || r.params.Has("prune-backups")
}

// snapshotMode reports whether a backup leaves its guests running and older backups
// alone.
func snapshotMode(r request) bool {
	mode := r.params.Get("mode")
	return (mode == "" || mode == "snapshot") && !prunes(r)
}

// notByID reports whether a backup is not of the guests alone that vmid names.
func notByID(r request) bool { return r.on("all") || r.params.Has("pool") }

// StoppedIsLost reports whether a task of PVE leaves a guest without what it had, or with
// half of it, when it is stopped.
func StoppedIsLost(taskType string) bool {
	switch taskType {
	case "qmrestore", "vzrestore", "qmrollback", "vzrollback", "qmdelsnapshot", "vzdelsnapshot", "qmdestroy", "vzdestroy",
		"qmmove", "move_volume", "qmigrate", "vzmigrate", "qmtemplate", "vztemplate", "imgdel":
		return true
	}
	return false
}

// stopsLoss reports whether a task must not be stopped without consent: nor must what is
// no task by its name.
func stopsLoss(r request) bool {
	upid, err := proxmox.ParseUPID(r.at(3))
	return err != nil || StoppedIsLost(upid.Type)
}

// touch is what a request does to guests.
type touch struct {
	changed []int    // the guests that it changes
	made    []int    // those that it makes
	uses    []Where  // those whose volumes it changes or copies, wherever they belong to
	named   []Volume // the volumes of others that its parameters name
	spreads bool     // what becomes of their own volumes concerns every guest that has one
	pool    string   // that guests are made in
	takes   string   // the node that HA may take others to, too
	known   bool     // that these are all: a request that names none may be about any
}

// touched is what a request does to guests.
func (e row) touched(r request) touch {
	none := touch{}
	where, inPath := r.guest()
	var ids []string
	if r.at(0) == "nodes" && (r.at(2) == "qemu" || r.at(2) == "lxc") && len(r.elems) > 3 {
		ids = append(ids, r.at(3))
	}
	ids = append(ids, apischema.SplitList(r.params.Get("vmid"))...)
	ids = append(ids, apischema.SplitList(r.params.Get("target-vmid"))...)
	if owner, ok := apischema.VolumeOwner(r.at(5)); ok && owner > 0 && r.at(2) == "storage" {
		ids = append(ids, strconv.Itoa(owner))
	}
	if upid, err := proxmox.ParseUPID(r.at(3)); err == nil && r.at(2) == "tasks" {
		if id, ok := pve.GuestOf(upid); ok {
			ids = append(ids, id.String())
		}
	}
	t := touch{pool: r.params.Get("pool"), known: len(ids) > 0 && !(e.every != nil && e.every(r))}
	if len(ids) > 0 {
		own, _ := vmid(ids[0])
		t.named = Foreign(own, r.params)
	}
	disks := r.at(2) != "tasks" && r.at(2) != "storage"
	creates, spared := e.makes == "vmid" && !forced(r), e.spares != nil && e.spares(r)
	for _, text := range ids {
		id, err := vmid(text)
		if err != nil {
			return none
		}
		use := Where{VMID: id}
		if inPath && where.VMID == id {
			use = where
		}
		if e.from != nil {
			use.Snapshot = e.from(r)
		}
		switch {
		case creates:
			t.made = append(t.made, id)
		case !spared:
			t.changed = append(t.changed, id)
		}
		// A copy may have what its original only refers to.
		if disks && !creates && (!spared || e.makes != "") {
			t.uses = append(t.uses, use)
		}
	}
	if e.makes == "newid" {
		id, err := vmid(r.params.Get("newid"))
		if err != nil {
			return none
		}
		t.made = append(t.made, id)
	}
	if e.takes {
		t.takes = r.params.Get("target")
	}
	return t
}

// riskOf is what a request can do. One that names a volume of another guest, or of nobody
// knows whom, can do to that guest what it says of its own.
func (e row) riskOf(r request, t touch) Risk {
	if e.worse != nil && e.worse(r) || Lend(t.named) {
		return max(e.class.risk(), Destructive)
	}
	return e.class.risk()
}
