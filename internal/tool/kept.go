package tool

import (
	"slices"
	"sync"
)

// Kept is what calls of one cluster keep for the calls that follow, as long as the process
// lives: what any token may know. The zero value is ready for use.
type Kept struct {
	mu   sync.Mutex
	all  map[string]any           // guarded by mu
	held map[string]chan struct{} // closed when it is free again; guarded by mu

	latest []remembered // the newest last; guarded by mu
}

type remembered struct {
	key   string
	value any
	final bool
}

// mostRemembered is how many final values a process remembers.
const mostRemembered = 16

// Remember keeps the value of a key: until the next one, or, if it is final, until so many others
// are. It is for what no other process knows. Anyone who has the key may read the value.
func Remember(c *Call, key string, value any, final bool) {
	k := c.host.Kept
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.latest = slices.DeleteFunc(k.latest, func(r remembered) bool { return r.key == key })
	k.latest = append(k.latest, remembered{key, value, final})
	over := -mostRemembered
	for _, r := range k.latest {
		if r.final {
			over++
		}
	}
	k.latest = slices.DeleteFunc(k.latest, func(r remembered) bool {
		if r.final {
			over--
		}
		return r.final && over >= 0
	})
}

// Remembered returns the value that this process remembers of a key.
func Remembered[T any](c *Call, key string) (value T, ok bool) {
	k := c.host.Kept
	if k == nil {
		return value, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.latest, func(r remembered) bool { return r.key == key })
	if i < 0 {
		return value, false
	}
	value, ok = k.latest[i].value.(T)
	return value, ok
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
