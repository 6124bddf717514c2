package pvesim_test

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
)

// excused are the rows that are answered differently, and why that is right: by their file
// and line, or those of files with an ending by the ending of the path.
var excused = map[string]string{
	"nine:11":                          "limit of the recorded cluster: its node had no SSH host key, of which PVE makes the server id",
	"admin:57":                         "the simulated web has every file",
	"admin:58":                         "the simulated web has every file",
	"admin /apt/versions":              "limit of the recorded cluster: its PVE was not installed from packages",
	"nine_admin:15":                    "the connection to the recorded node broke",
	"nine_hands:56":                    "an agent had done something before",
	"nine_hands /cpu-flags":            "not simulated",
	"nine_hands /dbus-vmstate":         "not simulated",
	"handson:34":                       "limit of the recorded guest: it has no passwd",
	"insight:7":                        "the VM had been made anew while its old data were there",
	"insight:8":                        "the VM had been made anew while its old data were there",
	"insight /apt/versions":            "limit of the recorded cluster: its PVE was not installed from packages",
	"insight /apt/changelog":           "not simulated",
	"insight /agent/get-osinfo":        "the guest's system was another one on that day",
	"nine_insight /lxc/200/interfaces": "the container ran, and had nothing that could be asked",
	"insight /journal":                 "its body is compressed, and was recorded as if it were text",
	"insight /cluster/config/join":     "not simulated",
	"insight /cluster/config/totem":    "not simulated",
}

// excuse is the key of what excuses a row; "" if nothing does.
func excuse(row recorded.Row) string {
	for key := range excused {
		file, path, byPath := strings.Cut(key, " ")
		if byPath && strings.HasSuffix(row.File, file) && strings.HasSuffix(row.Path, path) || key == fmt.Sprintf("%s:%d", row.File, row.Line) {
			return key
		}
	}
	return ""
}
