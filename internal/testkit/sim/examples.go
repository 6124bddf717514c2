package sim

import (
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// everyPrivilege is a token of the preset cluster that may do anything.
const everyPrivilege = "root@pam!full"

// Arguments returns the arguments of an example with what this world has in the place of
// its words. The calls that find it are made by others, and are none of those that Sent
// and Checked tell of.
func (w *World) Arguments(e tool.Example) string {
	w.Helper()
	args := e.Arguments
	for _, g := range e.Given {
		by := everyPrivilege
		if g.ByAnother && w.token == by {
			by = demo.TokenID
		}
		a := w.As(by).Call(g.Tool, g.Arguments)
		found, ok := field(a.Fields, g.Field).(string)
		if !ok {
			w.Fatalf("%s %s has no %s: %s", g.Tool, g.Arguments, g.Field, a.Text)
		}
		args = strings.ReplaceAll(args, g.Word, found)
	}
	w.Sent()
	return args
}

// field is a value in decoded JSON, such as backups.0.volid.
func field(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}
