package tool

import (
	"sync"
)

// Kept is what calls of one cluster keep for the calls that follow, as long as the process
// lives: what any token may know. The zero value is ready for use.
type Kept struct {
	mu   sync.Mutex
	all  map[string]any           // guarded by mu
	held map[string]chan struct{} // closed when it is free again; guarded by mu
}

// Keep returns what is kept under a key, or keeps what make returns. An error keeps nothing.
// Those who want something at the same time may make it twice: nobody waits for others.
func Keep[T any](c *Call, key string, make func() (T, error)) (T, error) {
	k := c.host.Kept
	if k == nil {
		return make()
	}
	k.mu.Lock()
	kept, ok := k.all[key].(T)
	k.mu.Unlock()
	if ok {
		return kept, nil
	}
	made, err := make()
	if err != nil {
		return made, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = map[string]any{}
	}
	k.all[key] = made
	return made, nil
}
