package survey_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// begin starts a survey with a token of the preset cluster.
func begin(t *testing.T, token string, within time.Duration) *survey.Survey {
	t.Helper()
	w := sim.New(t, sim.Options{})
	if token != "" {
		w = w.As(token)
	}
	c, err := tool.NewCall(t.Context(), w.Host, tool.Request{Progress: func(cluster.Progress) {}})
	if err != nil {
		t.Fatal(err)
	}
	s, end, err := survey.Begin(t.Context(), c.View, within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return s
}

func name(s string) string { return s }

// Each reason why a check was not made is a row, with the privilege and path if PVE names them.
func TestBlind(t *testing.T) {
	t.Parallel()
	s := begin(t, "", time.Minute)
	nodes := []string{"pve1", "pve2", "pve3"}
	got := survey.Ask(s, "versions", nodes, name, func(_ context.Context, n string) (string, error) {
		if n == "pve2" {
			panic("odd")
		}
		return n + "!", nil
	})
	if len(got) != 2 || got[0].Value != "pve1!" || got[1].From != "pve3" {
		t.Errorf("answers: %v", got)
	}
	for i := range 7 {
		s.NotSeen("agents", fmt.Sprintf("%d", 107-i), "no agent")
	}
	for _, n := range nodes {
		if s.May("updates", n, "Sys.Nothing", "/nodes/"+n) {
			t.Error("may do anything")
		}
	}
	s.May("access", "", "Sys.Nothing", "/access")
	want := []survey.Blind{
		{Check: "access", Missing: "Sys.Nothing on /access"},
		{Check: "agents", On: []string{"101", "102", "103", "104", "105"}, Count: 7, Missing: "no agent"},
		{Check: "updates", On: nodes, Missing: "Sys.Nothing on /nodes"},
		{Check: "versions", On: []string{"pve2"}, Missing: "A bug in pve-mcp: odd."},
	}
	if blind := s.Blind(); !reflect.DeepEqual(blind, want) {
		t.Errorf("%+v\nwant %+v", blind, want)
	}
}

// Eight questions are asked at a time, and none after the time of the survey. What has no
// answer by then is named.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, "", 20*time.Second)
		subjects := make([]string, 30)
		for i := range subjects {
			subjects[i] = fmt.Sprintf("g%d", i)
		}
		var now, most atomic.Int64
		got := survey.Ask(s, "agents", subjects, name, func(ctx context.Context, g string) (bool, error) {
			for n := now.Add(1); n > most.Load(); {
				most.Store(n)
			}
			defer now.Add(-1)
			if g == "g3" {
				return true, nil
			}
			<-ctx.Done()
			return false, ctx.Err()
		})
		if len(got) != 1 || got[0].From != "g3" || most.Load() != 8 || !s.Expired() || s.Err() != nil {
			t.Errorf("%v, %d at a time, expired %v, error %v", got, most.Load(), s.Expired(), s.Err())
		}
		var reasons []string
		for _, b := range s.Blind() {
			reasons = append(reasons, fmt.Sprintf("%d %s", b.Count, b.Missing))
		}
		if want := []string{"8 no answer within 15s", "21 the time of 20s was over"}; !slices.Equal(reasons, want) {
			t.Errorf("%q, want %q", reasons, want)
		}
	})
}

// A call that its caller cancels ends.
func TestCancelled(t *testing.T) {
	t.Parallel()
	w := sim.New(t, sim.Options{})
	c, err := tool.NewCall(t.Context(), w.Host, tool.Request{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, end, err := survey.Begin(ctx, c.View, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	cancel()
	if _, ok := survey.One(s, "nothing", func(context.Context) (int, error) { return 1, nil }); ok || !errors.Is(s.Err(), context.Canceled) {
		t.Errorf("answered %v, error %v", ok, s.Err())
	}
}
