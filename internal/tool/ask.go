package tool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pve-mcp/pve-mcp/pve"
)

// Answered is what came back from one of several that were asked.
type Answered[K, T any] struct {
	From  K
	Value T
}

// Ask asks several at a time, and returns the answers in the order of those who were
// asked, with a note about each that gave none. It is an error only where nobody
// answered, so that one that is broken does not spoil what the others know.
func Ask[K, T any](c *Call, keys []K, name func(K) string, ask func(K) (T, error)) (got []Answered[K, T], notes []string, err error) {
	answers := make([]T, len(keys))
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() { answers[i], errs[i] = caught(func() (T, error) { return ask(k) }) })
	}
	wg.Wait()
	for i, k := range keys {
		if errs[i] != nil {
			notes = append(notes, fmt.Sprintf("%s could not be asked: %s", name(k), c.Explain(errs[i]).What))
			continue
		}
		got = append(got, Answered[K, T]{k, answers[i]})
	}
	if got == nil {
		err = errors.Join(errs...)
	}
	return got, notes, err
}

// caught asks, and turns a bug into an error where it would end the process.
func caught[T any](ask func() (T, error)) (got T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a bug in pve-mcp: %v", p)
		}
	}()
	return ask()
}

// Meanwhile begins to ask for something that is needed later. wait waits for the answer;
// cancel, which is called in any case, ends what nobody waits for any more.
func Meanwhile[T any](ctx context.Context, ask func(context.Context) (T, error)) (wait func() (T, error), cancel func()) {
	var got T
	var err error
	ctx, cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = caught(func() (T, error) { return ask(ctx) })
	}()
	return func() (T, error) {
		<-done
		return got, err
	}, cancel
}

// AskNodes is Ask for every node that is online; the others are noted.
func AskNodes[T any](c *Call, nodes []pve.Resource, ask func(node string) (T, error)) (got []Answered[string, T], notes []string, err error) {
	var online, absent []string
	for _, n := range nodes {
		if n.Status.Value == "online" {
			online = append(online, n.Node.Value)
			continue
		}
		absent = append(absent, fmt.Sprintf("node %s is %s: what it has is left out", n.Node.Value, n.Status.Or("unknown")))
	}
	got, notes, err = Ask(c, online, func(node string) string { return "node " + node }, ask)
	return got, append(absent, notes...), err
}
