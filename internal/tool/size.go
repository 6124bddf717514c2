package tool

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

var sizeRE = lazyregexp.New(`(?i)^(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?$`)

// ReadSize reads a size as people write it, in bytes: 20G, 20 GB, 20GiB and 20g are the
// same, as they are at PVE, which counts in powers of 1024. A number without a unit is
// none, since what it counts depends on where it stands.
func ReadSize(text string) (int64, error) {
	m := sizeRE.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size with its unit, such as 32G", render.Text(text, 40))
	}
	return pve.ParseSize(m[1] + strings.ToUpper(m[2]))
}
