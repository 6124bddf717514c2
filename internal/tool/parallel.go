package tool

import "fmt"

// MostParallel is how many guests a change of many works on at a time at most, where nothing
// else is said.
const MostParallel = 3

// Parallel is how many guests a change of many works on at a time: as many as were given, or the
// usual number if that is 0. The error refuses more than the host allows.
func (c *Call) Parallel(given, usual int) (int, error) {
	most := c.Host().WithDefaults().Parallel
	if given > most {
		return 0, BadArgument("parallel", fmt.Sprintf("is %d, and PVE_MCP_PARALLEL allows %d guests at a time", given, most))
	}
	if given == 0 {
		given = min(usual, most)
	}
	return given, nil
}
