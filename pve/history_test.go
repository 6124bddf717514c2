package pve

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Rows may lack fields, have numbers in strings, or be of no use at all.
func TestHistory(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, tt := range []struct {
		data  string
		times []int64
		cpu   []float64
	}{
		{`[{"time":60},{"time":120,"cpu":0.5,"mem":1},{"time":"180","cpu":"0.25"},{"time":240,"cpu":null}]`, []int64{60, 120, 180, 240}, []float64{nan, 0.5, 0.25, nan}},
		{`[{"cpu":1},null,3,[],{"time":60,"cpu":{"a":1}},{"time":60,"cpu":2},{"time":30,"cpu":2},{"time":90,"cpu":"U"},{"time":1e300}]`, []int64{60, 90}, nil},
		{`[]`, nil, nil},
	} {
		h, err := historyIn([]byte(tt.data))
		if err != nil {
			t.Fatal(err)
		}
		var times []int64
		for _, at := range h.Times {
			times = append(times, at.Unix())
		}
		if diff := cmp.Diff(tt.times, times); diff != "" {
			t.Errorf("%s: %s", tt.data, diff)
		}
		if diff := cmp.Diff(tt.cpu, h.Values("cpu"), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: %s", tt.data, diff)
		}
		if h.Values("disk") != nil {
			t.Errorf("%s: has a field that nobody sent", tt.data)
		}
	}
	if _, err := historyIn([]byte(`{"a":1}`)); err == nil || !strings.Contains(err.Error(), "list") {
		t.Errorf("an object is no history: %v", err)
	}
	h, _ := historyIn([]byte(`[{"time":60,"cpu":0.5},{"time":120}]`))
	if v, ok := h.Latest("cpu"); !ok || v != 0.5 || !h.Times[1].Equal(time.Unix(120, 0)) {
		t.Errorf("the latest is %v, %v", v, ok)
	}
}

// A month of a node is 1,440 rows of twenty fields; what reading it allocates grows with the
// fields, and not with the values.
func TestHistoryOfManyRows(t *testing.T) {
	var data strings.Builder
	data.WriteString("[")
	for i := range 1440 {
		fmt.Fprintf(&data, `{"time":%d,"cpu":0.5,"iowait":0.1,"memused":%d,"memtotal":1000000000,"netin":%d.5,"netout":7}`, 60*(i+1), i, i)
		if i < 1439 {
			data.WriteString(",")
		}
	}
	rows := []byte(data.String() + "]")
	if n := testing.AllocsPerRun(3, func() { _, _ = historyIn(rows) }); n > 1440 {
		t.Errorf("%.0f allocations for 1440 rows", n)
	}
	h, err := historyIn(rows)
	if values := h.Values("memused"); err != nil || len(values) != 1440 || values[1439] != 1439 {
		t.Errorf("%d values, %v", len(values), err)
	}
}
