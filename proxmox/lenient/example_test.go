package lenient_test

import (
	"encoding/json"
	"fmt"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Guest is part of an answer.
type Guest struct {
	VMID   lenient.Opt[int64] `json:"vmid"`
	Agent  lenient.Opt[bool]  `json:"agent,omitzero"`
	Uptime lenient.Opt[int64] `json:"uptime,omitzero"`
	Extra  lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (g *Guest) UnmarshalJSON(data []byte) error { return lenient.Decode(data, g, &g.Extra) }

// A number may be a string, a flag a number, and a field new or absent.
func ExampleDecode() {
	var g Guest
	if err := json.Unmarshal([]byte(`{"vmid":"100","agent":1,"tags":"web"}`), &g); err != nil {
		panic(err)
	}
	fmt.Println(g.VMID.Value, g.Agent.Value, g.Uptime.Or(-1), string(g.Extra["tags"]))
	// Output: 100 true -1 "web"
}
