package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pve-mcp/pve-mcp/pve"
)

// Response is the answer of one of several that were asked.
type Response[K, T any] struct {
	From  K
	Value T
}

// Ask asks several at a time, and returns their answers in the order of keys, with a note
// about each that gave none. It returns an error only if none answered, so that one that is
// broken does not hide what the others know.
func Ask[K, T any](v *View, keys []K, name func(K) string, ask func(K) (T, error)) (got []Response[K, T], notes []string, err error) {
	answers := make([]T, len(keys))
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() { answers[i], errs[i] = Recovered(func() (T, error) { return ask(k) }) })
	}
	wg.Wait()
	for i, k := range keys {
		if errs[i] != nil {
			notes = append(notes, fmt.Sprintf("%s could not be asked: %s", name(k), v.Explain(errs[i]).What))
			continue
		}
		got = append(got, Response[K, T]{k, answers[i]})
	}
	if got == nil {
		err = errors.Join(errs...)
	}
	return got, notes, err
}

// Recovered asks, and returns a bug as an error: in a goroutine it would end the process.
func Recovered[T any](ask func() (T, error)) (got T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a bug in pve-mcp: %v", p)
		}
	}()
	return ask()
}

// StartAsking begins to ask for something that is needed later. wait waits for the answer.
// The caller calls cancel in any case, which ends a request that is no longer needed.
func StartAsking[T any](ctx context.Context, ask func(context.Context) (T, error)) (wait func() (T, error), cancel func()) {
	var got T
	var err error
	ctx, cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = Recovered(func() (T, error) { return ask(ctx) })
	}()
	return func() (T, error) {
		<-done
		return got, err
	}, cancel
}

// AskNodes is [Ask] for every node that is online, with a note about each of the others.
func AskNodes[T any](v *View, nodes []pve.Resource, ask func(node string) (T, error)) (got []Response[string, T], notes []string, err error) {
	var online, absent []string
	for _, n := range nodes {
		if n.Status.Value == "online" {
			online = append(online, n.Node.Value)
			continue
		}
		absent = append(absent, fmt.Sprintf("node %s is %s: what it has is left out", n.Node.Value, n.Status.Or("unknown")))
	}
	got, notes, err = Ask(v, online, func(node string) string { return "node " + node }, ask)
	return got, append(absent, notes...), err
}
