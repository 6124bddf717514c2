package screen

import (
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// State is what a machine is in, by what its screen says.
type State string

// The states that are recognised; "" is for none of them.
const (
	Panic       State = "kernel panic"
	BootStopped State = "boot stopped"
	Checking    State = "fsck"
	FsckStopped State = "boot stopped: fsck asks for a person"
	NotBootable State = "no bootable device"
	BootMenu    State = "boot menu"
	Login       State = "login prompt"
	Shell       State = "shell prompt"
	Asleep      State = "asleep"
	NoDisplay   State = "no display"
)

// sign is a text by which a state is recognised, among some of the last lines with text; 0 is
// for all lines.
type sign struct {
	state State
	last  int
	text  *lazyregexp.Regexp
}

// signs are in the order in which they count: what is over may still be on the screen.
var signs = []sign{
	{Panic, 0, lazyregexp.New(`(?i)kernel panic - not syncing|\*\*\* STOP: 0x|panic: [^\n]*\n(?:[^\n]*\n)*?(?:cpuid = |KDB: )`)},
	{Login, 1, lazyregexp.New(`(?i)\blogin: ?\S*$|^(?:password|\S+'s password): ?$`)},
	{FsckStopped, 14, lazyregexp.New(`(?i)unexpected inconsistency|run fsck manually|requires a manual fsck`)},
	{BootStopped, 6, lazyregexp.New(`(?im)you are in (?:emergency|rescue) mode|give root password for maintenance|press enter for maintenance|^\(initramfs\)|^grub rescue>|^grub>|entering emergency mode|^dracut:/#`)},
	{Checking, 4, lazyregexp.New(`(?im)\bfsck\b.*(?:checking|in progress|\d%)|\bchecking (?:file ?system|disk|drive)|chkdsk is verifying|: recovering journal$`)},
	{NotBootable, 4, lazyregexp.New(`(?i)no bootable (?:device|option)|not a bootable disk|operating system not found|missing operating system|non-system disk|no boot device`)},
	{Asleep, 0, lazyregexp.New(`(?i)guest disabled display`)},
	{NoDisplay, 0, lazyregexp.New(`(?i)guest has not initialized the display|display output is not active`)},
	{BootMenu, 6, lazyregexp.New(`(?i)use the .* keys to (?:select|change|move)|highlighted entry will be|press enter to boot|^boot:`)},
	{Shell, 1, lazyregexp.New(`(?:^|[\w~\])/:] ?)[#$] ?$`)},
}

// StateOf returns the state of a machine by the lines on its screen.
func StateOf(lines []string) State {
	var said []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			said = append(said, line)
		}
	}
	for _, s := range signs {
		among := said
		if s.last > 0 {
			among = said[max(0, len(said)-s.last):]
		}
		if s.text.MatchString(strings.Join(among, "\n")) {
			return s.state
		}
	}
	return ""
}
