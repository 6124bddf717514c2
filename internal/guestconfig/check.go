package guestconfig

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// notKeys are parameters of PVE beside the keys of a configuration.
var notKeys = []string{"digest", "delete", "revert", "force", "skiplock", "node", "vmid", "background_delay", "import-working-storage"}

// shortenedRE matches what ends with the mark of [render.Text].
var shortenedRE = lazyregexp.New(`…\(\+\d+\)$`)

// Check refuses settings that have no meaning, or were probably not meant. The error is about
// the argument set.
func Check(set tool.Values) error {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		problem := ""
		switch value := set[key]; {
		case value == "":
			problem = "has an empty %q; name it in \"delete\" instead"
		case strings.Contains(value, render.Mask) || shortenedRE.MatchString(value):
			problem = "has a %q with the mark of a masked or shortened value, which would be stored; give the whole value"
		case key == "cdrom":
			problem = "has %q, an old name: set ide2: …,media=cdrom"
		case slices.Contains(notKeys, key):
			problem = "has %q, which is not a key of a configuration"
		}
		if problem != "" {
			return tool.BadArgument("set", fmt.Sprintf(problem, render.Text(key, 60)))
		}
	}
	return nil
}

// RootOnly reports whether PVE lets no token set a key of a guest.
func RootOnly(key string) bool {
	return slices.Contains([]string{"args", "hookscript", "lock", "affinity", "vmstatestorage", "parent", "snaptime"}, key)
}

// Params are settings as PVE's API takes them.
func Params(set tool.Values) map[string]string {
	out := maps.Clone(set)
	if keys := out["sshkeys"]; strings.ContainsAny(keys, " \n") {
		out["sshkeys"] = EncodeKeys(keys)
	}
	return out
}

// EncodeKeys writes SSH keys as PVE takes them, which decodes them again.
func EncodeKeys(keys string) string { return strings.ReplaceAll(url.QueryEscape(keys), "+", "%20") }
