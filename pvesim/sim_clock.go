package pvesim

import (
	"context"
	"sync"
	"time"
)

// Clock is the time that a simulated cluster lives by.
type Clock interface {
	Now() time.Time
	// Sleep returns when d of this clock's time has passed, or with ctx's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Scaled returns a clock that starts now and runs speed times as fast as real time.
// It panics if speed is not positive.
func Scaled(speed float64) Clock {
	if !(speed > 0) {
		panic("pvesim: the speed of a clock must be positive")
	}
	return scaled{start: time.Now(), speed: speed}
}

type scaled struct {
	start time.Time
	speed float64
}

func (c scaled) Now() time.Time {
	return c.start.Add(time.Duration(float64(time.Since(c.start)) * c.speed))
}

func (c scaled) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(time.Duration(float64(d) / c.speed))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Virtual is a clock that moves only by Advance and Sleep. Sleep advances it and
// returns at once.
type Virtual struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewVirtual returns a clock that shows start.
func NewVirtual(start time.Time) *Virtual { return &Virtual{now: start} }

// Now returns the time shown.
func (v *Virtual) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Advance moves the clock forward.
func (v *Virtual) Advance(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = v.now.Add(d)
}

// Sleep advances the clock by d.
func (v *Virtual) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.Advance(d)
	return nil
}
