package mcphttp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// scrape reads the metrics as Prometheus does.
func (s *site) scrape() map[string]*dto.MetricFamily {
	s.Helper()
	resp, body := s.get("/metrics", "Authorization", "Bearer any")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusOK || expfmt.ResponseFormat(resp.Header) == expfmt.NewFormat(expfmt.TypeUnknown) {
		s.Fatalf("%d %v: %v in\n%s", resp.StatusCode, resp.Header, err, body)
	}
	return families
}

// value is that of the one series of a family whose labels are these, in order.
func value(f *dto.MetricFamily, labels ...string) float64 {
	for _, m := range f.GetMetric() {
		var own []string
		for _, l := range m.GetLabel() {
			own = append(own, l.GetValue())
		}
		if fmt.Sprint(own) == fmt.Sprint(labels) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return -1
}

// What is shown is Prometheus's text, and counts what happened.
func TestMetricsArePrometheusText(t *testing.T) {
	o := mcphttp.Options{Metrics: &mcphttp.Metrics{}, Authenticate: anybody}
	visit(t, sim.Options{Wire: o.Metrics.Transport, Waiting: o.Metrics.Waiting}, o, func(s *site) {
		bearer := []string{"Authorization", "Bearer any"}
		done := make(chan string)
		for range 3 {
			go func() {
				_, body := s.do(s.toolCall("pve_guest_power", map[string]any{"vmid": 102, "action": "shutdown", "wait": 45}, bearer...))
				done <- body
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		under := s.scrape()
		calls, tasks := value(under["pve_mcp_calls_in_flight"]), value(under["pve_mcp_pve_tasks_in_flight"])
		if calls != 3 || tasks != 3 {
			s.Errorf("%g calls and %g tasks are under way", calls, tasks)
		}
		for range 3 {
			<-done
		}
		s.do(s.toolCall("pve_guest_status", map[string]any{"vmid": 110}, bearer...))
		s.do(s.request("tools/call", map[string]any{
			"_meta": declared, "name": "pve_create_snapshot", "arguments": map[string]any{"vmid": 102, "snapname": "now"},
		}, bearer...))
		s.do(s.toolCall("pve_list_backups", map[string]any{"storage": "no such\nstorage\"\\"}, bearer...))
		after := s.scrape()
		for _, tt := range []struct {
			family string
			kind   dto.MetricType
			labels []string
			want   float64
		}{
			{"pve_mcp_calls_in_flight", dto.MetricType_GAUGE, nil, 0},
			{"pve_mcp_pve_tasks_in_flight", dto.MetricType_GAUGE, nil, 0},
			{"pve_mcp_calls_total", dto.MetricType_COUNTER, []string{"pve_guest_status", "failed"}, 1},
			{"pve_mcp_calls_total", dto.MetricType_COUNTER, []string{"pve_create_snapshot", "running"}, 1},
			{"pve_mcp_call_seconds", dto.MetricType_HISTOGRAM, []string{"pve_guest_power"}, 3},
			{"pve_mcp_pve_requests_total", dto.MetricType_COUNTER, []string{"GET", "/cluster/resources", "200"}, 2},
		} {
			f := after[tt.family]
			if got := value(f, tt.labels...); f.GetType() != tt.kind || f.GetHelp() == "" || got < tt.want || tt.want < 2 && got != tt.want {
				s.Errorf("%s %v: %v %g, want %v %g", tt.family, tt.labels, f.GetType(), got, tt.kind, tt.want)
			}
		}
		checkHistograms(s, after["pve_mcp_call_seconds"])
	})
}

// checkHistograms checks what a histogram promises: each bucket has the ones before it.
func checkHistograms(s *site, f *dto.MetricFamily) {
	for _, m := range f.GetMetric() {
		before := uint64(0)
		for _, b := range m.GetHistogram().GetBucket() {
			if b.GetCumulativeCount() < before {
				s.Errorf("%v", m)
			}
			before = b.GetCumulativeCount()
		}
		if before != m.GetHistogram().GetSampleCount() || m.GetHistogram().GetSampleSum() < 0 {
			s.Errorf("%v", m)
		}
	}
}
