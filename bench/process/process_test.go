package process

import "testing"

// The interval has the median, and of 200 values the 86th to the 115th.
func TestMedian(t *testing.T) {
	var values []float64
	for i := range 200 {
		values = append(values, float64(200-i))
	}
	if low, middle, high := Median(values); low != 86 || middle != 100.5 || high != 115 {
		t.Errorf("%v, %v to %v", middle, low, high)
	}
}
