package maintenance

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/schedule"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// retention is how many backups of a guest stay, by the rule in keepRules; none means that
// nothing is said.
type retention map[string]int

// keepRules are PVE's rules, in the order in which it applies them, without keep-.
func keepRules() []string {
	return []string{"all", "last", "hourly", "daily", "weekly", "monthly", "yearly"}
}

var (
	keepRE    = lazyregexp.New(`^(?:keep-)?(all|last|hourly|daily|weekly|monthly|yearly)(?:[= ]+(\d+))?$`)
	keepSaid  = lazyregexp.New(`^(?:keep |keeps |one a |one per )?(?:the )?(?:(\d+) ?(last|newest|hourly|daily|weekly|monthly|yearly|hours|days|weeks|months|years)|last (\d+)|(\d+))(?: backups| ones)?$`)
	keepUnits = map[string]string{"hours": "hourly", "days": "daily", "weeks": "weekly", "months": "monthly", "years": "yearly", "newest": "last", "": "last"}
)

// parseKeep reads how many backups stay: 7, last=7,weekly=4, or 7 daily and 4 weekly.
func parseKeep(text string) (retention, error) {
	out := retention{}
	said := strings.NewReplacer(" and ", ",", " then ", ",", ";", ",").Replace(schedule.Digits(text))
	for part := range strings.SplitSeq(said, ",") {
		part = strings.TrimSpace(part)
		rule, number := "", ""
		if m := keepRE.FindStringSubmatch(part); m != nil {
			rule, number = m[1], m[2]
			if rule == "all" {
				number = cmp.Or(number, "1")
			}
		} else if m := keepSaid.FindStringSubmatch(part); m != nil {
			rule, number = m[2], cmp.Or(m[1], m[3], m[4])
			if unit, ok := keepUnits[rule]; ok {
				rule = unit
			}
		}
		n, err := strconv.Atoi(number)
		if _, twice := out[rule]; rule == "" || err != nil || twice {
			return nil, tool.BadArgument("keep", fmt.Sprintf("is %q, which is no rule such as 7, last=7,weekly=4, or all", render.Text(text, 60)))
		}
		if n > 0 {
			out[rule] = n
		}
	}
	switch _, all := out["all"]; {
	case len(out) == 0:
		return nil, tool.BadArgument("keep", "keeps no backup at all; give 1 or more, such as last=7")
	case all && len(out) > 1:
		return nil, tool.BadArgument("keep", "says all and something else; give one of them")
	}
	return out, nil
}

// String writes the rule as PVE does.
func (r retention) String() string {
	var parts []string
	for _, rule := range keepRules() {
		if n, ok := r[rule]; ok {
			parts = append(parts, fmt.Sprintf("keep-%s=%d", rule, n))
		}
	}
	return strings.Join(parts, ",")
}

// words say what stays of each guest.
func (r retention) words() string {
	if len(r) == 0 {
		return ""
	}
	if r["all"] > 0 {
		return "keeps all"
	}
	var parts []string
	for _, rule := range keepRules() {
		n := r[rule]
		unit := map[string]string{"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}[rule]
		switch {
		case n == 0:
		case rule == "last" && n == 1:
			parts = append(parts, "the newest")
		case rule == "last":
			parts = append(parts, fmt.Sprintf("the last %d", n))
		case n == 1:
			parts = append(parts, "the newest of the last "+unit+" with one")
		default:
			parts = append(parts, fmt.Sprintf("one a %s for %d %ss", unit, n, unit))
		}
	}
	return "keeps " + strings.Join(parts, ", then ")
}

// reach is how far back the oldest that stays is, if a backup is made at each interval; 0 if
// that is unknown or without end.
func (r retention) reach(interval time.Duration) time.Duration {
	const day = 24 * time.Hour
	units := map[string]time.Duration{"hourly": time.Hour, "daily": day, "weekly": 7 * day, "monthly": 30 * day, "yearly": 365 * day, "last": interval}
	var sum time.Duration
	for rule, n := range r {
		unit := units[rule]
		if unit == 0 {
			return 0
		}
		sum += time.Duration(n) * max(unit, interval)
	}
	return sum
}

// keepsLess reports whether a rule keeps fewer backups than another one. No rule is that of the
// storage, which may keep all.
func (r retention) keepsLess(than retention) bool {
	switch {
	case len(r) == 0 || r["all"] > 0:
		return len(r) == 0 && len(than) > 0 // the storage's may be shorter
	case len(than) == 0 || than["all"] > 0:
		return true
	}
	for rule, n := range than {
		if r[rule] < n {
			return true
		}
	}
	return false
}
