package main

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/risks"
)

const findingsHead = `# Findings

<!-- Made from the code: make generate. -->

What ` + "`pve_audit`" + ` and ` + "`pve-mcp health-check`" + ` look for, the worst first. A finding has a stable id, and lists what it concerns, evidence, and a ready
call or command that corrects it. Templates, guests that are stopped and do not start at boot, and guests that are suspended are no
trouble by being so.

What the token cannot see is a blind spot, named with the privilege that it needs; an area with one is not called well. In particular
PVE shows backups only to tokens with ` + "`Datastore.AllocateSpace`" + ` on their storage, so that PVEAuditor sees none: then nothing is said about them.

**Requests**: at most %d for the cluster, %d for each node, one for each storage that holds backups, and one for each backup job. If there is
more to ask, the least important is left out and named. Besides, up to %d guests are looked into, with up to three requests each: those
that HA manages or that a finding names, then those that run, then others; ` + "`deep: true`" + ` looks into all. Disks are asked for SMART only
with ` + "`smart: true`" + `. Eight requests at a time; after 45 s the answer has what is there. On 10,000 guests and 30 nodes an answer has at most 6 kB.
Measured: [performance](performance.md); for the demo's cluster: [requests](requests.md).

| id | severity | area | what |
|---|---|---|---|
`

// findingsPage lists the kinds of findings of an audit.
func findingsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, findingsHead, risks.MostOfCluster, risks.MostOfNode, risks.MostInside)
	for _, k := range risks.Kinds() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.ID, k.Severity, k.Area, k.What)
	}
	return b.String()
}
