package tool

import "context"

// Hold waits until no other call of the process holds a key, and holds it until release is
// called. It is for what one call at a time may use.
func Hold(ctx context.Context, c *Call, key string) (release func(), err error) {
	k := c.host.Kept
	if k == nil {
		return func() {}, nil
	}
	for {
		k.mu.Lock()
		held, taken := k.held[key]
		if !taken {
			if k.held == nil {
				k.held = map[string]chan struct{}{}
			}
			free := make(chan struct{})
			k.held[key] = free
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				delete(k.held, key)
				close(free)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
