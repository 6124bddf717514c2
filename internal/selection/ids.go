package selection

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
)

// AppendID adds an id to a list of ids, in which those that follow one another are a range:
// 100-104,107.
func AppendID(list string, id pve.VMID) string {
	cut := strings.LastIndexAny(list, ",-") + 1
	last, _ := strconv.Atoi(list[cut:])
	switch {
	case list == "":
		return id.String()
	case last+1 != int(id):
		return fmt.Sprintf("%s,%v", list, id)
	case cut > 0 && list[cut-1] == '-':
		return fmt.Sprintf("%s%v", list[:cut], id)
	}
	return fmt.Sprintf("%s-%v", list, id)
}

// IDs reads what [AppendID] has written.
func IDs(list string) []pve.VMID {
	if list == "" {
		return nil
	}
	var out []pve.VMID
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, _ := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		for id := first; id <= last; id++ {
			out = append(out, pve.VMID(id))
		}
	}
	return out
}
