package proxmox

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is how far PVE's clock is ahead of this machine's, by the last answer that said.
type clock struct{ ahead atomic.Int64 }

// exact is how far two clocks have to be apart to count: the time in an answer has whole
// seconds, and was some time on its way.
const exact = 2 * time.Second

// hear sets the clock by the header of an answer.
func (c *clock) hear(head http.Header) {
	said, err := http.ParseTime(head.Get("Date"))
	if err != nil {
		return
	}
	ahead := time.Until(said)
	if ahead.Abs() <= exact {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
}

// Ago returns how long ago at, a time that PVE has named, was at now, this machine's time. It
// goes by the clock of the node that answered last, and is never negative. If that node has
// passed the request on to another, the other's clock is not in the answer: it would take one
// more request for each node.
func (c *Client) Ago(now, at time.Time) time.Duration {
	return max(0, now.Add(time.Duration(c.clock.ahead.Load())).Sub(at))
}
