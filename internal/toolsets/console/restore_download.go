package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// download is a file that comes out of a backup. PVE does not say whether all of it has come:
// its end is an error unless it is as long as the backup says, or is that of a zip.
type download struct {
	from  io.Reader
	call  *tool.Call
	state restoreFileState
	wants int64 // bytes; -1 for a zip
	got   int64
	tail  []byte
	told  time.Time
}

// tellEvery is how often a download tells how far it is.
const tellEvery = 2 * time.Second

func (d *download) Read(b []byte) (int, error) {
	n, err := d.from.Read(b)
	d.got += int64(n)
	d.tail = append(d.tail, b[max(0, n-endOfZIP):n]...)
	d.tail = d.tail[max(0, len(d.tail)-endOfZIP):]
	if now := time.Now(); now.Sub(d.told) > tellEvery {
		d.told = now
		p := cluster.Progress{Message: render.Bytes(d.got) + " have come"}
		if d.wants > 0 {
			p.Done, p.Total = 100*float64(d.got)/float64(d.wants), 100
		}
		d.call.Report(p)
	}
	if err == io.EOF && !d.whole() {
		return n, d.state.incomplete(d.got, d.wants)
	}
	return n, err
}

// endOfZIP is the length of the record at the end of a zip without a comment.
const endOfZIP = 22

func (d *download) whole() bool {
	if d.wants >= 0 {
		return d.got == d.wants
	}
	return len(d.tail) == endOfZIP && bytes.HasPrefix(d.tail, []byte("PK\x05\x06"))
}

func (s restoreFileState) incomplete(got, wants int64) error {
	whole := "no zip that is whole"
	if wants >= 0 {
		whole = fmt.Sprintf("not the %d that the backup has", wants)
	}
	return explain.Refusal(fmt.Sprintf("The task pbs-download on %s says why (pve_list_tasks). Then call again.", s.Node),
		"Of %s came %d bytes, %s. Nothing was saved.", s.label(), got, whole)
}

// explain says why PVE did not open the backup or the path.
func (s restoreFileState) explain(err error) error {
	var said *proxmox.Error
	switch {
	case !errors.As(err, &said):
		return err
	case strings.Contains(said.Message, "not found in archive") || strings.Contains(said.Message, "no such file"):
		return explain.Refusal("List its folder without local_path: a path begins with what the root has, such as /drive-scsi0.img.fidx/part/1/etc of a VM and /root.pxar.didx/etc of a container.",
			"There is no %s.", s.label())
	case said.Status == 503:
		return explain.Refusal("Call again in half a minute: the node starts a small VM to read the backup of a VM.", "%s is not open yet.", s.label())
	}
	return err
}
