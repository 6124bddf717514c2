package mcphttp

import (
	"fmt"
	"testing"
	"time"
)

// However many there are, a bounded number of them is remembered, including those that go
// on.
func TestRatesAreBounded(t *testing.T) {
	l := &rates{perSecond: 0.001, burst: 2}
	now := time.Unix(0, 0)
	passed := 0
	for i := range 5 * maxRates {
		l.wait(fmt.Sprint(i), now)
		if i%1000 == 0 && l.wait("the one", now) == 0 {
			passed++
		}
		if n := len(l.lately) + len(l.before); n > 2*maxRates {
			t.Fatalf("%d are remembered", n)
		}
	}
	if passed != 2 {
		t.Errorf("who goes on passed %d times", passed)
	}
}
