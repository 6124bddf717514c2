package pve

import (
	"errors"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

var (
	idInUseRE  = lazyregexp.New(`(?:VM|CT) \d+ already exists|config file already exists|/\d+\.conf' failed: File exists`)
	noConfigRE = lazyregexp.New(`^Configuration file 'nodes/.*' does not exist$|^unable to find configuration file for (?:VM|CT) \d+ on node '.*'$`)
	lockedRE   = lazyregexp.New(`^(?:VM|CT) is locked \((.*)\)$`)
)

// NoSuchGuest reports whether PVE refused a request because it has no such guest on the
// node that was asked; it may be on another one.
func NoSuchGuest(err error) bool {
	var said *proxmox.Error
	return errors.As(err, &said) && noConfigRE.MatchString(said.Message)
}

// errElsewhere says that a node has none of the guests that it was to back up.
var errElsewhere = errors.New("none of the guests is on that node")

// Elsewhere reports whether a request was refused because the node that was asked does
// not have the guest. Nothing was done then; it may be on another one.
func Elsewhere(err error) bool { return errors.Is(err, errElsewhere) || NoSuchGuest(err) }

// IDInUse reports whether PVE refused to make a guest because one has its id.
func IDInUse(err error) bool {
	var said *proxmox.Error
	return errors.As(err, &said) && idInUseRE.MatchString(said.Message)
}

// LockedBy returns the lock that made PVE refuse a request, such as backup.
func LockedBy(err error) (lock string, ok bool) {
	var said *proxmox.Error
	if !errors.As(err, &said) {
		return "", false
	}
	return LockIn(said.Message)
}

// LockIn returns the lock that a message of PVE names as the reason of a refusal.
func LockIn(message string) (lock string, ok bool) {
	m := lockedRE.FindStringSubmatch(message)
	if m == nil {
		return "", false
	}
	return m[1], true
}
