package lazyregexp_test

import (
	"fmt"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// version is compiled when it is first used.
var version = lazyregexp.New(`^(\d+)\.(\d+)`)

func ExampleNew() {
	fmt.Println(version.FindStringSubmatch("9.1.2")[1:])
	// Output: [9 1]
}
