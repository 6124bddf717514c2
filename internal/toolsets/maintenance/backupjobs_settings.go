package maintenance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// settings are those of a backup job, by PVE's keys, as PVE takes them.
type settings map[string]string

// settingsOf reads the settings of a job, as far as they can be set.
func settingsOf(j pve.BackupJob) settings {
	var all map[string]any
	if data, err := j.MarshalJSON(); err != nil || exactjson.Unmarshal(data, &all) != nil {
		return settings{}
	}
	out := settings{}
	for key, value := range all {
		if !slices.Contains([]string{"id", "type", "next-run", "starttime", "dow"}, key) {
			out[key] = settingText(value)
		}
	}
	return out
}

// settingText writes a value as PVE takes it.
func settingText(value any) string {
	switch v := value.(type) {
	case bool:
		if v {
			return "1"
		}
		return "0"
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, key+"="+settingText(v[key]))
		}
		return strings.Join(parts, ",")
	case []any:
		var parts []string
		for _, one := range v {
			parts = append(parts, settingText(one))
		}
		return strings.Join(parts, ",")
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(value)
}

// selectionKeys are the keys that say which guests a job includes.
func selectionKeys() []string { return []string{"vmid", "all", "exclude", "pool", "node"} }

// schedulingKeys are the keys of a job that a single backup does not take.
func schedulingKeys() []string {
	return []string{"enabled", "schedule", "comment", "repeat-missed"}
}

// without returns the settings without some keys.
func (s settings) without(keys ...string) settings {
	out := maps.Clone(s)
	for _, key := range keys {
		delete(out, key)
	}
	return out
}

// form are the settings as parameters of a request.
func (s settings) form() url.Values {
	out := url.Values{}
	for key, value := range s {
		out[key] = []string{value}
		if key == "exclude-path" { // the only array
			out[key] = strings.Split(value, ",")
		}
	}
	return out
}

func (s settings) isEnabled() bool { return s["enabled"] != "0" }

// keep is how many backups stay, by the rule of the job: all of them, if it removes none.
func (s settings) keep() retention {
	if s["remove"] == "0" {
		return retention{"all": 1}
	}
	rule, err := parseKeep(s["prune-backups"])
	if err != nil {
		return nil
	}
	return rule
}

// guestsIn are the guests of a list that a job with the settings includes.
func (s settings) guestsIn(all []pve.Resource) []pve.Resource {
	var out []pve.Resource
	ids, not := apischema.SplitList(s["vmid"]), apischema.SplitList(s["exclude"])
	for _, g := range all {
		id := g.VMID.String()
		var is bool
		switch {
		case s["pool"] != "":
			is = g.Pool.Value == s["pool"]
		case s["vmid"] != "":
			is = slices.Contains(ids, id)
		default:
			is = s["all"] == "1" && !slices.Contains(not, id)
		}
		if is && (s["node"] == "" || g.Node.Value == s["node"]) {
			out = append(out, g)
		}
	}
	return out
}

// missing are the ids that a job names and no guest of a list has.
func (s settings) missing(all []pve.Resource) []string {
	return slices.DeleteFunc(apischema.SplitList(s["vmid"]), func(id string) bool {
		return slices.ContainsFunc(all, func(g pve.Resource) bool { return g.VMID.String() == id })
	})
}

// selection says which guests are meant, as a person would.
func (s settings) selection() string {
	var job coverage.Job
	if err := json.Unmarshal(exactjson.Encode(s), &job.BackupJob); err != nil {
		return "unknown guests"
	}
	return job.Selection()
}

// guestNames name some guests, and count the others.
func guestNames(list []pve.Resource) string {
	var out []string
	for i, g := range list {
		if i == mostNamed {
			out = append(out, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		out = append(out, cluster.GuestName(g))
	}
	return strings.Join(out, ", ")
}

// count counts things of a kind.
func count(n int, kind string) string {
	if n == 1 {
		return "1 " + kind
	}
	return fmt.Sprintf("%d %ss", n, kind)
}
