package tool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pve-mcp/pve"
)

// OfNode is what one node answered.
type OfNode[T any] struct {
	Node  string
	Value T
}

// AskNodes asks every node that is online, and returns the answers in the order of the
// nodes, with a note about each node that gave none. It is an error only where no node
// answered, so that one that is down does not spoil what the others know.
func AskNodes[T any](ctx context.Context, c *Call, nodes []pve.Resource, ask func(node string) (T, error)) (got []OfNode[T], notes []string, err error) {
	answers := make([]T, len(nodes))
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		if n.Status.Value != "online" {
			notes = append(notes, fmt.Sprintf("node %s is %s: what it has is left out", n.Node.Value, n.Status.Or("unknown")))
			continue
		}
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil { // it must not end the process
					errs[i] = fmt.Errorf("a bug in pve-mcp: %v", p)
				}
			}()
			answers[i], errs[i] = ask(n.Node.Value)
		})
	}
	wg.Wait()
	for i, n := range nodes {
		switch {
		case n.Status.Value != "online":
		case errs[i] != nil:
			notes = append(notes, fmt.Sprintf("node %s could not be asked: %s", n.Node.Value, c.Explain(errs[i]).What))
		default:
			got = append(got, OfNode[T]{n.Node.Value, answers[i]})
		}
	}
	if got == nil {
		err = errors.Join(errs...)
	}
	return got, notes, err
}
