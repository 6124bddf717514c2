package metrics_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	day = 24 * time.Hour
	gib = 1 << 30
)

// versions are those whose histories have other rows.
var versions = []string{"8.4.1", "9.2.0"}

// asked calls a tool on the preset cluster of each version, with changes.
func asked(t *testing.T, o sim.Options, name, args string, change func(*pvesim.Model), check func(*testing.T, sim.Answer, string)) {
	t.Helper()
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := o
				o.Model = sim.Cluster(sim.Version(v), change)
				check(t, sim.New(t, o).Call(name, args), v)
			})
		})
	}
}

// row is the row of a list whose key has a value.
func row(t *testing.T, a sim.Answer, list, key, value string) map[string]any {
	t.Helper()
	all, _ := a.Fields[list].([]any)
	for _, r := range all {
		if row := r.(map[string]any); row[key] == value {
			return row
		}
	}
	t.Fatalf("no row %s %q in %s: %s", key, value, list, a.Text)
	return nil
}

func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in %s", p, text)
		}
	}
}

// near reports whether a text begins with a number that is close to one.
func near(text any, want, within float64) bool {
	s, _ := text.(string)
	n, err := strconv.ParseFloat(strings.Split(s, " ")[0], 64)
	return err == nil && n > want-within && n < want+within
}

// The memory of a guest over a day: it climbs from 8 to 12 GiB in each day, so that the
// average is 10 and the p95 11.8; the peak is above all averages.
func TestHistoryOfGuest(t *testing.T) {
	asked(t, sim.Options{}, "pve_metrics", `{"of":"db-2","period":"24h","figures":["memory"]}`, func(m *pvesim.Model) {
		m.Trends = []pvesim.Trend{{Of: "qemu/103", Figure: "mem", Now: 8 * gib, Tooth: 4 * gib, Period: day, Peak: gib}}
	}, func(t *testing.T, a sim.Answer, _ string) {
		m := row(t, a, "figures", "figure", "memory")
		for key, want := range map[string]float64{"average": 10, "p95": 11.8, "max": 13, "min": 8} {
			if !near(m[key], want, 0.2) {
				t.Errorf("%s is %v, want %v GiB", key, m[key], want)
			}
		}
		says(t, a.Text, `"message":"103 db-2 over 24h: memory `, `"of":"32 GiB"`, `"max_at":"`, "values of 30m", `"what":"memory"`)
		if strings.Contains(a.Text, "cpu") || len([]rune(m["line"].(string))) != 24 {
			t.Errorf("%s", a.Text)
		}
	})
}

var daysRE = regexp.MustCompile(`in (\d+)(?: to (\d+))? days`)

// within reports whether a forecast says so many days, and no more than a third beside.
func within(full any, days int) bool {
	m := daysRE.FindStringSubmatch(fmt.Sprint(full))
	if m == nil {
		return false
	}
	first, _ := strconv.Atoi(m[1])
	last := first
	if m[2] != "" {
		last, _ = strconv.Atoi(m[2])
	}
	return first <= days+1 && days-1 <= last && first > days*2/3 && last < days*4/3
}

// filling is a cluster whose disks fill up in a known time.
func filling(m *pvesim.Model) {
	m.Storages[0].Size, m.Storages[0].Used = 94*gib, 31*gib
	m.Trends = []pvesim.Trend{
		{Of: "storage/nfs", Figure: "used", Now: 3000 * gib, PerDay: 25 * gib, Noise: 20 * gib},           // of 4000: 40 days
		{Of: "storage/pve2/local", Figure: "used", Now: 60 * gib, PerDay: gib, Noise: gib},                // of 94: 34 days
		{Of: "storage/pbs", Figure: "used", Now: 5000 * gib, Noise: 500 * gib},                            // of 8000: never
		{Of: "storage/pve1/local-zfs", Figure: "used", Now: 600 * gib, Tooth: 200 * gib, Period: 5 * day}, // falls back each time
		{Of: "node/pve3", Figure: "rootused", Now: 64 * gib, PerDay: 0.5 * gib},                           // of 94: 60 days
		{Of: "lxc/200", Figure: "disk", Now: 5 * gib, PerDay: 0.1 * gib},                                  // of 8: 30 days
		{Of: "storage/pve3/local-zfs", Figure: "used", Now: 600 * gib, PerDay: -3 * gib},
	}
	m.Nodes[2].Disk = 95 * gib // not the file system of local
}

// When each storage and root disk is full, the soonest first; what only wobbles has no trend.
func TestForecastOfCluster(t *testing.T) {
	asked(t, sim.Options{}, "pve_metrics", `{"limit":20}`, filling, func(t *testing.T, a sim.Answer, _ string) {
		for what, days := range map[string]int{"storage nfs": 40, "storage local on pve2": 34, "root disk of pve3": 62} {
			if f := row(t, a, "forecasts", "what", what); !within(f["full"], days) {
				t.Errorf("%s is full %v, want in %d days", what, f["full"], days)
			}
		}
		for what, want := range map[string]string{"storage pbs": "no trend", "storage local-zfs on pve1": "no trend", "storage local-zfs on pve2": "no trend", "storage local-zfs on pve3": "falling"} {
			if f := row(t, a, "forecasts", "what", what); f["full"] != want {
				t.Errorf("%s is full %v, want %s", what, f["full"], want)
			}
		}
		says(t, a.Text, `"message":"The cluster over 30d: cpu `, "Full first: storage local on pve2: 60", `"of":"384 GiB"`)
		if strings.Contains(a.Text, "root disk of pve1") {
			t.Errorf("the root disk is storage local, and is there twice: %s", a.Text)
		}
		if len(a.Text) > 6000 {
			t.Errorf("%d bytes", len(a.Text))
		}
	})
}

// One storage, the disk of a container, and a VM, whose file systems only its agent knows.
func TestForecastOfOne(t *testing.T) {
	asked(t, sim.Options{}, "pve_metrics", `{"of":"nfs"}`, filling, func(t *testing.T, a sim.Answer, _ string) {
		if f := row(t, a, "forecasts", "what", "storage nfs"); !within(f["full"], 40) || f["dates"] == nil || !strings.Contains(f["growth"].(string), "a day (") {
			t.Errorf("%v", f)
		}
		says(t, a.Text, `"message":"Storage nfs: 2.9`, "full in ")
	})
	asked(t, sim.Options{}, "pve_metrics", `{"of":200,"figures":["disk"]}`, filling, func(t *testing.T, a sim.Answer, _ string) {
		if f := row(t, a, "forecasts", "what", "disk of 200 proxy"); !within(f["full"], 30) {
			t.Errorf("%v", f)
		}
	})
	asked(t, sim.Options{}, "pve_metrics", `{"of":"100","figures":["disk"]}`, filling, func(t *testing.T, a sim.Answer, _ string) {
		says(t, a.Text, `"file_systems":["/: 12.8 GiB of 32 GiB (40 %)"]`, "no history of a VM's file systems")
		if a.Fields["forecasts"] != nil {
			t.Errorf("PVE does not know how full the disk of a VM is: %s", a.Text)
		}
	})
}

// Which guests use most: by their average, and by their peak, which is another's.
func TestTop(t *testing.T) {
	change := func(m *pvesim.Model) {
		m.Trends = []pvesim.Trend{
			{Of: "qemu/101", Figure: "cpu", Now: 0.9, Noise: 0.02},
			{Of: "qemu/100", Figure: "cpu", Now: 0.02, Peak: 0.97},
			{Of: "qemu/102", Figure: "cpu", Now: 0.01}, {Of: "qemu/103", Figure: "cpu", Now: 0.01}, {Of: "qemu/106", Figure: "cpu", Now: 0.01},
		}
	}
	asked(t, sim.Options{}, "pve_metrics", `{"top":"cpu","period":"7d","limit":2}`, change, func(t *testing.T, a sim.Answer, _ string) {
		says(t, a.Text, `"message":"Most cpu over 7d, of 15 guests that were looked at: 101 web-2 with 3.6 of 4 CPUs (90 %)`, `"top":[{"guest":"101 web-2","node":"pve2"`, `"more":"offset: 2`)
	})
	asked(t, sim.Options{}, "pve_metrics", `{"top":"cpu","by":"max","limit":1}`, change, func(t *testing.T, a sim.Answer, _ string) {
		says(t, a.Text, `100 web-1 with 4 of 4 CPUs (99 %) at most`)
	})
	asked(t, sim.Options{}, "pve_metrics", `{"top":"cpu","of":"pve2","limit":9}`, change, func(t *testing.T, a sim.Answer, _ string) {
		if top := a.Fields["top"].([]any); slices.ContainsFunc(top, func(r any) bool { return r.(map[string]any)["node"] != "pve2" }) || len(top) < 2 {
			t.Errorf("%s", a.Text)
		}
	})
	asked(t, sim.Options{}, "pve_metrics", `{"top":"disk","guests":"running"}`, change, func(t *testing.T, a sim.Answer, _ string) {
		says(t, a.Text, "VMs are not ranked", `"top":[{"guest":"20`)
	})
}

// Whether a guest is too big or too small, with what PVE 9 knows about waiting.
func TestSizing(t *testing.T) {
	change := func(m *pvesim.Model) {
		m.Trends = []pvesim.Trend{
			{Of: "qemu/102", Figure: "cpu", Now: 0.05, Noise: 0.01}, {Of: "qemu/102", Figure: "mem", Now: 3 * gib},
			{Of: "qemu/100", Figure: "cpu", Now: 0.95, Noise: 0.01}, {Of: "qemu/100", Figure: "mem", Now: 3.9 * gib},
		}
		for i := range m.Guests {
			if m.Guests[i].VMID == 100 {
				m.Guests[i].Pressure = map[string]float64{"memorysome": 45, "cpusome": 60}
			}
		}
	}
	asked(t, sim.Options{}, "pve_metrics", `{"of":"db-1"}`, change, func(t *testing.T, a sim.Answer, _ string) {
		for what, why := range map[string]string{"cpu": "of 8 CPUs", "memory": "3 GiB of 32 GiB"} {
			if s := row(t, a, "sizing", "what", what); s["verdict"] != "too big" || !strings.Contains(s["why"].(string), why) {
				t.Errorf("%v", s)
			}
		}
	})
	asked(t, sim.Options{}, "pve_metrics", `{"of":"web-1"}`, change, func(t *testing.T, a sim.Answer, version string) {
		memory := map[string]string{"8.4.1": "not clear", "9.2.0": "too small"}[version]
		if c, m := row(t, a, "sizing", "what", "cpu"), row(t, a, "sizing", "what", "memory"); c["verdict"] != "too small" || m["verdict"] != memory {
			t.Errorf("%v %v", c, m)
		}
	})
}

// Why a node is slow: what it waits for, and who uses it.
func TestSlowNode(t *testing.T) {
	asked(t, sim.Options{}, "pve_metrics", `{"of":"pve2","period":"hour","figures":["cpu","iowait","load"]}`, func(m *pvesim.Model) {
		m.Trends = []pvesim.Trend{{Of: "node/pve2", Figure: "iowait", Now: 0.4, Noise: 0.05}}
	}, func(t *testing.T, a sim.Answer, _ string) {
		if w := row(t, a, "figures", "figure", "waiting for disks"); !near(w["average"], 40, 3) {
			t.Errorf("%v", w)
		}
		says(t, a.Text, "values of 1m", `"busiest":["102 db-1: `)
	})
}

// A picture is small, stands on its own ground, and has the same facts as text.
func TestChart(t *testing.T) {
	effort.SkipShort(t)
	for _, args := range []string{`{"of":"100"}`, `{"of":"pve2","period":"month"}`, `{"top":"memory"}`, `{}`, `{"of":"local"}`} {
		asked(t, sim.Options{}, "pve_chart", args, filling, func(t *testing.T, a sim.Answer, _ string) {
			if len(a.Content) != 1 {
				t.Fatalf("no picture: %s", a.Text)
			}
			picture := a.Content[0].(tool.Image)
			drawn, err := png.Decode(bytes.NewReader(picture.Data))
			if err != nil || len(picture.Data) > 60_000 || picture.MIMEType != "image/png" {
				t.Fatalf("%d bytes of %s: %v", len(picture.Data), picture.MIMEType, err)
			}
			dark := 0
			for x := 0; x < drawn.Bounds().Dx(); x += 3 {
				for y := 0; y < drawn.Bounds().Dy(); y += 3 {
					r, g, b, alpha := drawn.At(x, y).RGBA()
					if alpha != 0xffff {
						t.Fatalf("the page shows through at %d, %d", x, y)
					}
					if r+g+b < 3*0x8000 {
						dark++
					}
				}
			}
			if dark < 100 {
				t.Errorf("only %d dark points", dark)
			}
			says(t, a.Text, `"message":"`)
			if strings.Contains(a.Text, `"line"`) {
				t.Errorf("the picture shows the lines: %s", a.Text)
			}
		})
	}
}

// On a cluster of 10,000 guests a ranking looks at 200 of them, at 60 where PVE sends 1440 rows
// of each, and says so; an answer stays small.
func TestManyGuests(t *testing.T) {
	effort.SkipShort(t)
	eight := pvesim.Sized(1, 3, 70, 30)
	eight.PVE = "8.4.1"
	for _, tt := range []struct {
		name, args string
		model      pvesim.Model
		requests   int
		says       string
	}{
		{"a day", `{"top":"memory","period":"24h"}`, pvesim.Huge(), 213, "only 200 of 97"},
		{"a month", `{"top":"cpu","period":"30d"}`, pvesim.Sized(1, 3, 70, 30), 73, "only 60 of 9"},
		{"a month on 8", `{"top":"cpu","period":"30d","limit":50}`, eight, 152, "of 99 guests that were looked at"},
		{"the cluster", `{}`, pvesim.Huge(), 100, `"more":"offset: 10`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: &tt.model, Token: "root@pam!full"})
				a := w.Call("pve_metrics", tt.args)
				says(t, a.Text, tt.says)
				if n := len(w.Sent()); n > tt.requests || len(a.Text) > 6000 && !strings.Contains(tt.args, "limit") {
					t.Errorf("%s: %d requests, %d bytes: %s", tt.args, n, len(a.Text), a.Text)
				}
			})
		})
	}
}

// hangs is a wire on which one history never comes.
type hangs struct{ http.RoundTripper }

func (h hangs) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/qemu/101/rrddata") {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return h.RoundTripper.RoundTrip(req)
}

// A guest whose history does not come is not among those that were looked at, and named.
func TestHistoryThatHangs(t *testing.T) {
	wire := func(rt http.RoundTripper) http.RoundTripper { return hangs{rt} }
	asked(t, sim.Options{Wire: wire}, "pve_metrics", `{"top":"memory"}`, func(*pvesim.Model) {}, func(t *testing.T, a sim.Answer, _ string) {
		says(t, a.Text, "of 14 guests that were looked at", `{"check":"history of guests","on":["101 web-2"],"missing":"no answer within 15s"}`)
	})
	asked(t, sim.Options{Wire: wire}, "pve_metrics", `{"of":"101"}`, func(*pvesim.Model) {}, func(t *testing.T, a sim.Answer, _ string) {
		if !a.IsError || strings.Contains(a.Text, "recorded no such figures") {
			t.Errorf("%s", a.Text)
		}
	})
}
