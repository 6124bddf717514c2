// Package metrics has the tools about figures over time: what something used, what uses most,
// and when it will be full.
package metrics

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type question struct {
	Of      string   `json:"of,omitzero" jsonschema:"guest, node, storage, or node/storage; default: the cluster, and when storages are full"`
	Period  string   `json:"period,omitzero" jsonschema:"day, week, month, year, 6h; default: week or month"`
	Figures []string `json:"figures,omitzero" enum:"cpu,memory,disk,network,disk_io,load,iowait,swap,pressure" jsonschema:"default: all"`
	Top     string   `json:"top,omitzero" enum:"cpu,memory,disk,network,disk_io,pressure" jsonschema:"rank guests by this; of: those of a node"`
	By      string   `json:"by,omitzero" enum:"average,p95,max" default:"\"average\"" jsonschema:"for top"`
	Guests  string   `json:"guests,omitzero" jsonschema:"only these, as tag:prod+!web*"`
	Limit   int      `json:"limit,omitzero" min:"1" max:"200" default:"10" jsonschema:"most rows of top and of forecasts"`
	Offset  int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type answer struct {
	Message     string        `json:"message"`
	Of          string        `json:"of"`
	Period      string        `json:"period" jsonschema:"from and to, and how fine the values are"`
	Figures     []figureRow   `json:"figures,omitzero"`
	Top         []topRow      `json:"top,omitzero" cut:"end"`
	Forecasts   []forecastRow `json:"forecasts,omitzero" jsonschema:"the soonest full first"`
	FileSystems []string      `json:"file_systems,omitzero" jsonschema:"of a VM, now, the fullest first; PVE keeps no history of them"`
	Sizing      []sizingRow   `json:"sizing,omitzero" jsonschema:"whether it is too big or too small"`
	Busiest     []string      `json:"busiest,omitzero" jsonschema:"the guests on the node that use most CPU now"`
	tool.Rest
	Blind []survey.Blind `json:"blind,omitzero"`
	Notes []string       `json:"notes,omitzero"`
	AsOf  string         `json:"as_of"`
}

// figureRow is what a figure was like.
type figureRow struct {
	Figure  string `json:"figure"`
	Of      string `json:"of,omitzero" jsonschema:"what is configured; percents are of it"`
	Now     string `json:"now,omitzero" jsonschema:"the newest value"`
	Average string `json:"average,omitzero"`
	P95     string `json:"p95,omitzero" jsonschema:"not exceeded in 95 % of the time"`
	Max     string `json:"max,omitzero"`
	MaxAt   string `json:"max_at,omitzero"`
	Min     string `json:"min,omitzero"`
	Trend   string `json:"trend,omitzero"`
	Line    string `json:"line,omitzero" jsonschema:"oldest first, from min to max; a blank: nothing was measured"`
}

func spec[Out any](run func(ctx context.Context, c *tool.Call, in question) (Out, error)) tool.Spec[question, Out] {
	return tool.Spec[question, Out]{
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not seen"),
			tool.On(tool.OnNode, "Sys.Audit").Else("the node's figures are not seen"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not seen"),
			tool.On(tool.OnGuest, "VM.Monitor").Until(9).If("a running VM with an agent").Else("its file systems are unknown").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).If("a running VM with an agent").Else("its file systems are unknown"),
		},
		Run: run,
	}
}

// Metrics returns pve_metrics.
func Metrics() tool.Tool {
	s := spec(func(ctx context.Context, c *tool.Call, in question) (answer, error) {
		r, err := measure(ctx, c, in)
		return r.answer, err
	})
	s.Name, s.Title, s.Chart = "pve_metrics", "Show history and forecasts", chartName
	s.Doc = "How much CPU, memory, disk or network traffic a guest, node, storage or the cluster used over a day, week or month: average, maximum, trend; who used " +
		"most, highest load (top); when is a storage full; is a guest too big or too small."
	s.Examples = []tool.Example{
		{Arguments: `{"of":"100","period":"24h"}`},
		{Arguments: `{"of":"200","figures":["memory"]}`},
		{Arguments: `{"of":"pve2","period":"hour"}`},
		{Arguments: `{"top":"memory","guests":"ct","limit":5}`},
		{Arguments: `{}`},
	}
	return tool.Read(s)
}

// report is an answer, and what it was made of.
type report struct {
	answer
	panels   []measured
	fillings []measured // of the forecasts
	known    int        // forecasts, those that are left out as well
}

// reading is a call that is under way.
type reading struct {
	*survey.Survey
	in     question
	all    *pve.ResourceList
	period period
	major  int // of the node that answers
	report report
}

func measure(ctx context.Context, c *tool.Call, in question) (report, error) {
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return report{}, err
	}
	defer end()
	r := &reading{Survey: s, in: in}
	if in.Guests != "" && in.Top == "" {
		return report{}, explain.Refusal("Add top, such as top: cpu, or give of for the figures of one.", "The argument guests is for top alone.")
	}
	subject, err := r.subject(ctx)
	if err != nil {
		return report{}, err
	}
	if r.period, err = periodOf(in.Period, subject.usualPeriod(in)); err != nil {
		return report{}, err
	}
	if r.period.needsVersion() || in.Top != "" {
		v, err := c.PVE.Version(ctx)
		if err != nil {
			return report{}, err
		}
		r.major = v.Major()
	}
	r.report.Of = subject.label
	if err := r.read(subject); err != nil {
		return report{}, err
	}
	if err := s.Err(); err != nil {
		return report{}, err
	}
	out := r.report
	out.Blind, out.AsOf = s.Blind(), render.Time(c.AsOf())
	out.Period = r.period.text(out.panels)
	for _, p := range out.panels {
		if row, ok := p.row(r.period); ok && in.Top == "" {
			out.Figures = append(out.Figures, row)
		}
	}
	out.Message = capital(out.Message)
	if n := len(out.Blind); n > 0 {
		out.Message += " What could not be seen is in blind."
	}
	return out, nil
}

func (r *reading) read(s subject) error {
	switch {
	case r.in.Top != "":
		return r.top(s)
	case s.guest.VMID != 0:
		return r.guest(s.guest)
	case s.node != "":
		return r.node(s.node)
	case s.stores != nil:
		return r.storage(s.stores)
	}
	return r.cluster()
}

// seesAll makes what a token cannot see at all in an area a blind spot.
func (r *reading) seesAll(what, privilege, area string) {
	all, except := r.Permissions.Below(area, privilege)
	if !all {
		r.May(what, "", privilege, area)
	}
	for _, path := range except {
		r.May(what, "", privilege, path)
	}
}

// note adds a note to the answer.
func (r *reading) note(text string) { r.report.Notes = append(r.report.Notes, text) }
