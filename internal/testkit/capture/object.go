package capture

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// object is an answer whose values are text: what is a list or an object in it is
// written as in PVE's files, k=v,k=v.
type object map[string]string

// UnmarshalJSON takes values of all types.
func (o *object) UnmarshalJSON(data []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*o = object{}
	for key, raw := range all {
		var value lenient.Opt[string]
		var inner object
		var list []lenient.Opt[string]
		switch {
		case json.Unmarshal(raw, &value) == nil:
			(*o)[key] = value.Value
		case json.Unmarshal(raw, &inner) == nil:
			var parts []string
			for _, k := range slices.Sorted(maps.Keys(inner)) {
				parts = append(parts, k+"="+inner[k])
			}
			(*o)[key] = strings.Join(parts, ",")
		case json.Unmarshal(raw, &list) == nil:
			var parts []string
			for _, v := range list {
				parts = append(parts, v.Value)
			}
			(*o)[key] = strings.Join(parts, ",")
		}
	}
	return nil
}

// options are some of the fields, if they are set.
func (o object) options(keys ...string) map[string]string {
	out := map[string]string{}
	for _, key := range keys {
		if o[key] != "" {
			out[key] = o[key]
		}
	}
	return out
}
