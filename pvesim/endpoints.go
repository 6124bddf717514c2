package pvesim

import (
	"maps"
	"slices"
)

// Endpoints lists what is simulated, sorted: method and path template, such as
// "GET /nodes/{node}/qemu".
func Endpoints() []string { return slices.Sorted(maps.Keys(rows())) }
