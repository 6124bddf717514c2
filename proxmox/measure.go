package proxmox

import (
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Progress is how far a running task is, as far as its log says.
type Progress struct {
	// Percent is the share of the whole: of all disks and the memory, or of all guests
	// of a backup job. It never falls, and is 100 only after the task has ended well.
	// Absent if the log does not tell how much the whole is.
	Percent lenient.Opt[float64]
	// Done is how many bytes were copied, 0 if the log tells none. It never falls.
	Done int64
	// Total is how many bytes have to be copied according to the log so far, 0 if that
	// is unknown.
	Total int64
	Rate  int64         // bytes a second, 0 if it is unknown
	Left  time.Duration // an estimate, 0 if there is none
}
