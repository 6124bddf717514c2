package insight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight/risks"
)

type auditIn struct {
	Focus       []string `json:"focus,omitzero" enum:"nodes,guests,backups,snapshots,storage,disks,ha,replication,updates,certificates,tasks,capacity,access" jsonschema:"only these areas"`
	Guests      string   `json:"guests,omitzero" jsonschema:"only these, as tag:prod+!web*"`
	MinSeverity string   `json:"min_severity,omitzero" enum:"info,low,medium,high,critical" default:"\"low\"" jsonschema:"leave milder out"`
	Period      string   `json:"period,omitzero" jsonschema:"of failed tasks, as 7d; default: 24h"`
	Deep        bool     `json:"deep,omitzero" jsonschema:"every guest, not only 200"`
	SMART       bool     `json:"smart,omitzero" jsonschema:"read SMART, which may wake disks"`
	Limit       int      `json:"limit,omitzero" min:"1" max:"200" default:"15" jsonschema:"most findings"`
	Detail      string   `json:"detail,omitzero" jsonschema:"a finding's id: all of it"`
}

type auditOut struct {
	Message  string       `json:"message"`
	AsOf     string       `json:"as_of"`
	Findings []findingRow `json:"findings" cut:"end" jsonschema:"the worst first"`
	LeftOut  int          `json:"left_out,omitzero" jsonschema:"of these, not in this answer"`
	More     string       `json:"more,omitzero" jsonschema:"how to get them"`
	Concerns []subjectRow `json:"concerns,omitzero" jsonschema:"with detail: all that the finding is about"`
	Blind    []blindRow   `json:"blind,omitzero" jsonschema:"what could not be checked: nothing is known of it"`
	Well     []string     `json:"well,omitzero" jsonschema:"areas that were wholly checked, without a finding"`
}

type findingRow struct {
	ID       string    `json:"id"`
	Severity string    `json:"severity"`
	What     string    `json:"what"`
	On       []string  `json:"on" jsonschema:"at most five"`
	Count    int       `json:"count"`
	Evidence string    `json:"evidence,omitzero" jsonschema:"of the first"`
	Fix      risks.Fix `json:"fix,omitzero" jsonschema:"for the first: a ready call or command"`
}

type subjectRow struct {
	On       string    `json:"on"`
	Evidence string    `json:"evidence,omitzero"`
	Fix      risks.Fix `json:"fix,omitzero"`
}

type blindRow = survey.Blind

func audit() tool.Tool {
	return tool.Read(tool.Spec[auditIn, auditOut]{
		Name:  "pve_audit",
		Title: "Check the health of the cluster",
		Doc: "Health check of everything: is the cluster healthy, what is wrong or at risk, worst first; a report on backups, dying disks, storage, HA, updates, " +
			"restarts, certificates, old snapshots, locks, security, capacity.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{}`},
			{Arguments: `{"detail":"guest.onboot-off"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit").Else("quorum, HA, running tasks, ZFS and thin pools are not checked"),
			tool.On(tool.OnNode, "Sys.Audit").Else("only its certificates and subscription are checked"),
			tool.On(tool.OnNode, "Sys.Modify").Else("its waiting updates are not listed").ForAdmins(),
			tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not checked"),
			tool.On(tool.OnGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).If("a running VM with an agent").Else("whether the agent answers is not known"),
			tool.On(tool.OnGuest, "VM.Monitor").Until(9).If("a running VM with an agent").Else("whether the agent answers is not known").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not checked"),
		},
		Run: runAudit,
	})
}

func runAudit(ctx context.Context, c *tool.Call, in auditIn) (auditOut, error) {
	period, err := tool.ParseAge("period", cmp.Or(in.Period, "24h"))
	if err != nil {
		return auditOut{}, err
	}
	p, err := risks.Look(ctx, c.View, risks.Scope{
		Focus: in.Focus, Guests: in.Guests, Period: period, Deep: in.Deep, SMART: in.SMART, Offered: c.Host().Offered,
	})
	if err != nil {
		return auditOut{}, err
	}
	out := auditOut{AsOf: render.Time(p.AsOf), Well: p.Well}
	if in.Detail != "" {
		return out.detail(p, in)
	}
	least := risks.SeverityNamed(in.MinSeverity)
	rows := slices.DeleteFunc(slices.Clone(p.Findings), func(f risks.Finding) bool { return f.Severity < least })
	out.Message = summary(rows, p.Blind)
	for _, f := range rows[:min(in.Limit, len(rows))] {
		out.Findings = append(out.Findings, rowOf(f))
	}
	out.Blind = p.Blind
	if in.Limit <= usualLimit {
		out.shorten()
	}
	if out.LeftOut = len(rows) - len(out.Findings); out.LeftOut > 0 {
		out.More = "limit, focus, or detail"
	}
	return out, nil
}

// An answer has this many findings unless more are asked for, and then at most so many bytes.
const (
	usualLimit = 15
	usualBytes = 5900
)

// shorten makes an answer shorter that would be too long: fewer names, then fewer findings.
func (out *auditOut) shorten() {
	tooLong := func() bool { return len(exactjson.Encode(out)) > usualBytes }
	for most := survey.MostSubjects - 1; most > 0 && tooLong(); most-- {
		for i := range out.Findings {
			f := &out.Findings[i]
			f.On = f.On[:min(most, len(f.On))]
		}
		for i := range out.Blind {
			b := &out.Blind[i]
			if len(b.On) > most {
				b.Count, b.On = max(b.Count, len(b.On)), b.On[:most]
			}
		}
	}
	for len(out.Findings) > 1 && tooLong() {
		out.Findings = out.Findings[:len(out.Findings)-1]
	}
}

// detail answers with all that one finding is about.
func (out auditOut) detail(p risks.Picture, in auditIn) (auditOut, error) {
	i := slices.IndexFunc(p.Findings, func(f risks.Finding) bool { return f.ID == in.Detail })
	if i < 0 {
		if !slices.ContainsFunc(risks.Kinds(), func(k risks.Kind) bool { return k.ID == in.Detail }) {
			return auditOut{}, explain.Refusal("Such as guest.stale-lock. Call pve_audit without detail: its findings have their ids.", "There is no kind of finding %q.", render.Text(in.Detail, 60))
		}
		out.Blind = p.Blind
		out.Message = fmt.Sprintf("No %s was found. ", in.Detail) + summary(nil, p.Blind)
		return out, nil
	}
	f := p.Findings[i]
	out.Well = nil
	out.Message = fmt.Sprintf("%s: %s", f.Severity, f.What)
	const most = 100
	for _, s := range f.On[:min(most, len(f.On))] {
		out.Concerns = append(out.Concerns, subjectRow{s.Name, s.Evidence, s.Fix})
	}
	if out.LeftOut = len(f.On) - len(out.Concerns); out.LeftOut > 0 {
		out.More = "guests chooses some"
	}
	return out, nil
}

func rowOf(f risks.Finding) findingRow {
	row := findingRow{ID: f.ID, Severity: f.Severity.String(), What: f.What, Count: len(f.On), Evidence: f.On[0].Evidence, Fix: f.On[0].Fix}
	for _, s := range f.On[:min(survey.MostSubjects, len(f.On))] {
		row.On = append(row.On, s.Name)
	}
	return row
}

// summary counts findings by severity, and what could not be checked.
func summary(rows []risks.Finding, blind []survey.Blind) string {
	var parts []string
	for s := risks.Critical; s >= risks.Info; s-- {
		n := 0
		for _, f := range rows {
			if f.Severity == s {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := strings.Join(parts, ", ")
	switch {
	case text == "" && len(blind) == 0:
		return "Nothing is wrong or at risk as far as PVE tells."
	case text == "":
		text = "Nothing was found in what could be checked"
	}
	switch len(blind) {
	case 0:
		return text
	case 1:
		return text + "; 1 check could not be made, or not wholly"
	}
	return fmt.Sprintf("%s; %d checks could not be made, or not wholly", text, len(blind))
}
