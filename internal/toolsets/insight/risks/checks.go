package risks

import "slices"

// check finds one kind of trouble.
type check struct {
	id       string
	area     string
	severity Severity
	// what says what is wrong with each that is found, and what may come of it.
	what string
	// reads are what must have been read.
	reads []string
	find  func(f *facts, found found)
}

// found takes up one thing that a finding is about.
type found func(subject, evidence string, fix Fix)

// needsInside reports whether a check needs what guests are asked for.
func (c check) needsInside() bool {
	return slices.Contains(c.reads, readInside) || slices.Contains(c.reads, readAgents) || slices.Contains(c.reads, readSnapshots)
}

// allChecks are all checks. Of those that are as severe as each other the first one is
// about the greater loss.
func allChecks() []check {
	return slices.Concat(backupChecks(), diskChecks(), nodeChecks(), storageChecks(), volumeChecks(), guestChecks(), replicationChecks(), snapshotChecks(),
		certificateChecks(), updateChecks(), taskChecks(), capacityChecks(), accessChecks())
}

// command is a fix that an administrator types.
func command(line, where string) Fix { return Fix{Command: line, Where: where} }

// call is a fix that a tool makes.
func call(tool string, arguments map[string]any) Fix { return Fix{Tool: tool, Arguments: arguments} }

// rootOn says where a command is typed.
func rootOn(node string) string { return "root on " + node }
