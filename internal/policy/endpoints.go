package policy

import (
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// endpoint is one of PVE's API, of version 8 or 9.
type endpoint struct {
	method string
	path   string // below /api2/json, as PVE describes it; qemu|lxc is short for both
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
	opensConsole        // shows what a VM shows; typing there needs the consent of a command
	entersGuest         // runs, types, reads or writes inside of a guest
	changesAccess       // users, groups, tokens, roles, permissions, realms
	never               // is not sent
)

// risk is that of the class.
func (c class) risk() Risk {
	switch c {
	case reads, showsSecrets:
		return Read
	case actsOutside, writes, opensConsole:
		return Write
	case entersGuest:
		return Exec
	case changesAccess:
		return Access
	}
	return Destructive
}

// detail is what the parameters of requests to an endpoint say.
type detail struct {
	// isDestructive reports whether parameters make the request destructive.
	isDestructive func(r request) bool
	// onlyReads reports whether parameters make it only read.
	onlyReads func(r request) bool
	// leavesGuests reports whether the guests that it names are left as they are.
	leavesGuests func(r request) bool
	// makes names the parameter with the id of the guest that it makes.
	makes string
	// takesFile means that the request may upload a file, in a multipart form.
	takesFile bool
	// from names the snapshot whose disks count, as in [Where].
	from func(r request) string
	// selects returns the guests that the request is about without naming them.
	selects func(r request) Selection
	// prunes reports whether older backups may be deleted, on the storage of the request.
	prunes func(r request) bool
	// targetParam names the parameter with the node to which HA may move other guests.
	targetParam string
	// spreads means that the disks of the guest change, wherever they are attached, although
	// the request is not destructive.
	spreads bool
	// rewrites means that the content of the guest's disks is replaced. A volume of another
	// guest among them counts as one that the request names.
	rewrites bool
	// fetches returns the address from which the node fetches.
	fetches func(r request) string
	// isEnvironment reports whether a parameter is the environment of a container, in which PVE
	// takes NUL. It cuts any other list at NUL, whatever else is between its elements.
	isEnvironment func(r request, key string) bool
	// makesSecret names the field of the answer with a secret that PVE makes, "" for none.
	makesSecret func(r request) string
	// onlyListed reports whether the request is only about the guests that it names, and not
	// about all that depend on its subject.
	onlyListed func(r request) bool
}

// details has the endpoints whose parameters matter, by method and path.
func details() map[string]detail {
	return map[string]detail{
		"PUT /nodes/{node}/qemu|lxc/{vmid}/config":                        {isDestructive: destroysConfig, isEnvironment: environmentOfContainer},
		"POST /nodes/{node}/qemu/{vmid}/config":                           {isDestructive: destroysConfig},
		"POST /nodes/{node}/qemu/{vmid}/termproxy":                        {leavesGuests: always},
		"POST /nodes/{node}/qemu/{vmid}/vncproxy":                         {leavesGuests: always},
		"PUT /nodes/{node}/qemu|lxc/{vmid}/resize":                        {spreads: true},
		"POST /nodes/{node}/qemu|lxc/{vmid}/clone":                        {leavesGuests: always, makes: "newid", from: snapname},
		"POST /nodes/{node}/qemu|lxc/{vmid}/migrate":                      {from: allSnapshots, targetParam: "target"},
		"DELETE /nodes/{node}/qemu|lxc/{vmid}/snapshot/{snapname}":        {from: thatSnapshot},
		"POST /nodes/{node}/qemu|lxc/{vmid}/snapshot/{snapname}/rollback": {from: thatSnapshot, rewrites: true},
		"DELETE /nodes/{node}/qemu|lxc/{vmid}":                            {from: allSnapshots},
		"POST /nodes/{node}/qemu|lxc":                                     {isDestructive: forced, makes: "vmid", from: allSnapshots, isEnvironment: environmentOfContainer},
		"POST /nodes/{node}/qemu/{vmid}/move_disk":                        {isDestructive: movesAway, from: allSnapshots},
		"POST /nodes/{node}/lxc/{vmid}/move_volume":                       {isDestructive: movesAway, from: allSnapshots},
		"POST /nodes/{node}/vzdump":                                       {isDestructive: prunes, leavesGuests: onlyBacksUp, selects: backsUp, prunes: prunes},
		"POST /cluster/backup":                                            {leavesGuests: onlyBacksUp, selects: backsUp, prunes: prunes},
		"PUT /cluster/backup/{id}":                                        {selects: backsUp, prunes: changesPruning},
		"POST /nodes/{node}/migrateall":                                   {selects: allUnlessListed, from: allSnapshots, targetParam: "target"},
		"POST /nodes/{node}/startall":                                     {selects: allUnlessListed},
		"POST /nodes/{node}/stopall":                                      {selects: allUnlessListed},
		"POST /nodes/{node}/suspendall":                                   {selects: allUnlessListed},
		"POST /cluster/bulk-action/guest/migrate":                         {selects: allUnlessListed, from: allSnapshots, targetParam: "target"},
		"POST /cluster/bulk-action/guest/shutdown":                        {selects: allUnlessListed},
		"POST /cluster/bulk-action/guest/start":                           {selects: allUnlessListed},
		"POST /cluster/bulk-action/guest/suspend":                         {selects: allUnlessListed},
		"POST /cluster/ha/resources/{sid}/migrate":                        {from: allSnapshots, targetParam: "node"},
		"POST /cluster/ha/resources/{sid}/relocate":                       {from: allSnapshots, targetParam: "node"},
		"DELETE /nodes/{node}/tasks/{upid}":                               {isDestructive: stopsLoss},
		"DELETE /nodes/{node}/storage/{storage}/prunebackups":             {onlyListed: func(r request) bool { return r.params.Get("vmid") != "" }},
		"POST /nodes/{node}/storage/{storage}/upload":                     {takesFile: true},
		"POST /nodes/{node}/storage/{storage}/download-url":               {fetches: urlOf},
		"GET /nodes/{node}/query-url-metadata":                            {fetches: urlOf},
		"POST /nodes/{node}/storage/{storage}/oci-registry-pull":          {fetches: registryOf},
		"GET /nodes/{node}/query-oci-repo-tags":                           {fetches: registryOf},
		"PUT /nodes/{node}/storage/{storage}/content/{volume}":            {isDestructive: unprotects},
		"GET /nodes/{node}/disks/list":                                    {onlyReads: skipsSMART},
		"POST /access/users/{userid}/token/{tokenid}":                     {makesSecret: func(request) string { return "value" }},
		"PUT /access/users/{userid}/token/{tokenid}":                      {makesSecret: makesTokenSecret},
		"POST /storage":                 {makesSecret: makesEncryptionKey},
		"PUT /storage/{storage}":        {makesSecret: makesEncryptionKey},
		"PUT /cluster/replication/{id}": {isDestructive: func(r request) bool { return r.params.Has("remove_job") }},
	}
}

func environmentOfContainer(r request, key string) bool { return r.at(2) == "lxc" && key == "env" }

// movesAway reports whether the volume leaves its storage or its guest.
func movesAway(r request) bool { return r.on("delete") || r.params.Has("target-vmid") }

// unprotects reports whether a backup may be pruned and deleted afterwards.
func unprotects(r request) bool { return r.params.Has("protected") && r.params.Get("protected") != "1" }

func skipsSMART(r request) bool { return r.params.Get("skipsmart") == "1" }

func always(request) bool { return true }

func makesTokenSecret(r request) string {
	if r.on("regenerate") {
		return "value"
	}
	return ""
}

// makesEncryptionKey names where the answer has the key with which backups are encrypted.
func makesEncryptionKey(r request) string {
	if r.params.Get("encryption-key") == "autogen" {
		return "config.encryption-key"
	}
	return ""
}

func forced(r request) bool { return r.on("force") }

// AllSnapshots means every snapshot of a guest.
const AllSnapshots = "*"

func allSnapshots(request) string { return AllSnapshots }

func thatSnapshot(r request) string { return r.at(5) }

func snapname(r request) string { return r.params.Get("snapname") }

var unusedRE = lazyregexp.New(`^unused\d+$`)

// destroysConfig reports whether a change of a configuration removes or exposes data, or makes
// a template, which cannot be undone.
func destroysConfig(r request) bool {
	return forced(r) || r.on("template") || r.params.Has("protection") && r.params.Get("protection") != "1" ||
		slices.ContainsFunc(apischema.SplitList(r.params.Get("delete")), func(key string) bool {
			return unusedRE.MatchString(key) || key == "vmstate" || key == "protection"
		})
}

// prunes reports whether a backup may delete older ones. PVE does so by itself unless remove is
// 0.
func prunes(r request) bool {
	return r.params.Get("remove") != "0" || r.params.Has("prune-backups")
}

// changesPruning reports whether a backup job may delete other backups afterwards.
func changesPruning(r request) bool {
	return r.on("remove") || r.params.Has("prune-backups") || r.params.Has("storage") && prunes(r)
}

// onlyBacksUp reports whether a backup leaves its guests running and all other backups
// alone.
func onlyBacksUp(r request) bool {
	mode := r.params.Get("mode")
	return (mode == "" || mode == "snapshot") && !prunes(r) && !r.on("stop")
}

// backsUp returns the guests that a backup or a backup job includes without naming them. stop
// ends all backups of the node.
func backsUp(r request) Selection {
	s := Selection{Pool: r.params.Get("pool"), All: r.on("all") || r.on("stop"), Node: r.params.Get("node")}
	if r.at(0) == "nodes" {
		s.Node = r.at(1)
	}
	if !r.on("stop") {
		s.Exclude, _ = guestIDs(r.params.Get("exclude"))
	}
	if s.isEmpty() {
		return Selection{}
	}
	return s
}

// allUnlessListed returns the guests of a bulk call: without a list, all of the node or of the
// cluster.
func allUnlessListed(r request) Selection {
	if strings.Join(r.params["vms"], "") != "" {
		return Selection{}
	}
	s := Selection{All: true}
	if r.at(0) == "nodes" {
		s.Node = r.at(1)
	}
	return s
}

// LosesDataIfStopped reports whether a guest loses data, or is left incomplete, if the task is
// stopped.
func LosesDataIfStopped(taskType string) bool {
	switch taskType {
	case "qmrestore", "vzrestore", "qmrollback", "vzrollback", "qmdelsnapshot", "vzdelsnapshot", "qmdestroy", "vzdestroy",
		"qmmove", "move_volume", "qmigrate", "vzmigrate", "qmtemplate", "vztemplate", "imgdel":
		return true
	}
	return false
}

// stopsLoss reports whether stopping a task needs consent. So does a task whose id cannot be
// read.
func stopsLoss(r request) bool {
	upid, err := proxmox.ParseUPID(r.at(3))
	return err != nil || LosesDataIfStopped(upid.Type)
}
