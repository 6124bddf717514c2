package change

import (
	"context"
	"fmt"
	"time"
)

// beat is how often a process shows that it works on an untraced fleet.
const beat = 30 * time.Second

// beatsMissed is how many beats those who share what they claim wait for the next one. It is
// also how far their clocks may be apart.
const beatsMissed = 2

// beatID names a beat of a fleet, the same for all who share what they claim, and says how long
// it is of use.
func beatID(change string, at int64) (id string, until time.Time) {
	return fmt.Sprintf("%s-works-%d", change, at), time.Unix(0, 0).Add(time.Duration(at+2*beatsMissed) * beat)
}

// beatAt is the number of the beat of a time.
func beatAt(now time.Time) int64 { return now.Unix() / int64(beat/time.Second) }

// showWork shows to all who share what this process claims that it works on an untraced fleet,
// until stop is called: PVE does not show it.
func (v *voyage) showWork(ctx context.Context) (stop func()) {
	if !v.untraced {
		return func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	show := func() {
		now := v.host.Now()
		id, until := beatID(v.id, beatAt(now))
		if _, err := v.host.Used.Claim(ctx, id, now, until); err != nil && ctx.Err() == nil {
			v.host.Logger.WarnContext(ctx, "other processes do not see that a change goes on", "tool", v.tool.Name, "error", err)
		}
	}
	show()
	go func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				show()
			}
		}
	}()
	return stop
}

// isWorkedOn reports whether a process that shares what it claims works on an untraced fleet. A
// store that does not answer cannot say that none does.
func (r *run) isWorkedOn(ctx context.Context) bool {
	if !r.plan.Fleet.untraced() || !r.isShared() {
		return false
	}
	now := beatAt(r.host.Now())
	for at := now + beatsMissed; at >= now-beatsMissed; at-- {
		id, until := beatID(r.id, at)
		if shown, err := r.host.Used.Claimed(ctx, id, until); shown || err != nil {
			return true
		}
	}
	return false
}
