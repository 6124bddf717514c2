package pvesim

import (
	_ "embed" // the model
	"encoding/json"
)

// recordedJSON is the model that the package's tests make of the recordings.
//
//go:embed recorded.json
var recordedJSON []byte

// recorded2JSON is that of another day.
//
//go:embed recorded-2.json
var recorded2JSON []byte

// Recorded is a real cluster as it was before its answers were recorded: pve1 with
// PVE 8.4 and pve2 with 9.2, with guests, snapshots, backups and images on
// storages of type dir.
//
// Its tokens are root@pam!full, mcp@pve!ops (runs guests), mcp@pve!admin (has no
// right to storages), mcp@pve!audit (reads) and mcp@pve!none (may do nothing).
func Recorded() Model { return parsedModel("recorded.json", recordedJSON) }

// Recorded2 is the cluster of [Recorded] on another day, before what was recorded then:
// fewer guests, a template, images to import, and a storage of type btrfs. Its tokens are
// the same.
func Recorded2() Model { return parsedModel("recorded-2.json", recorded2JSON) }

func parsedModel(name string, data []byte) Model {
	var m Model
	if err := json.Unmarshal(data, &m); err != nil {
		panic("pvesim: " + name + ": " + err.Error()) // a mistake in the package
	}
	return m
}
