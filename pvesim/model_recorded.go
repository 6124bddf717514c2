package pvesim

import (
	_ "embed" // the model
	"encoding/json"
)

// recordedJSON is the model that the package's tests make of the recordings.
//
//go:embed recorded.json
var recordedJSON []byte

// Recorded is a real cluster as it was before its answers were recorded: pve1 with
// PVE 8.4 and pve2 with 9.2, with guests, snapshots, backups and images on
// storages of type dir.
//
// Its tokens are root@pam!full, mcp@pve!ops (runs guests), mcp@pve!admin (has no
// right to storages), mcp@pve!audit (reads) and mcp@pve!none (may do nothing).
func Recorded() Model {
	var m Model
	if err := json.Unmarshal(recordedJSON, &m); err != nil {
		panic("pvesim: recorded.json: " + err.Error()) // a mistake in the package
	}
	return m
}
