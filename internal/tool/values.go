package tool

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"pve-mcp/pve"
)

// Values are settings by key, as PVE takes them: text, where an argument may have
// numbers and booleans too.
type Values map[string]string

// UnmarshalJSON reads text, numbers and booleans.
func (v *Values) UnmarshalJSON(data []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*v = Values{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		var value pve.Opt[string]
		if err := json.Unmarshal(all[key], &value); err != nil || !value.Set {
			return fmt.Errorf("the value of %q is neither text nor a number nor true or false", key)
		}
		switch string(all[key]) {
		case "true":
			value.Value = "1"
		case "false":
			value.Value = "0"
		}
		(*v)[key] = value.Value
	}
	return nil
}
