package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

type readIn struct {
	Path   string   `json:"path" jsonschema:"such as /nodes/{node}/qemu/101/firewall/rules; {node} is looked up"`
	Params params   `json:"params,omitzero" jsonschema:"PVE's, and values for other {names} in path"`
	Fields []string `json:"fields,omitzero" jsonschema:"only these: name, data.*.name"`
	Sort   string   `json:"sort,omitzero" jsonschema:"by a field; -field: largest first"`
	Limit  int      `json:"limit,omitzero" min:"1" max:"500" default:"50" jsonschema:"most rows"`
	Offset int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type readOut struct {
	Request string `json:"request" jsonschema:"what was sent"`
	Rows    []any  `json:"rows,omitempty" cut:"end" jsonschema:"if PVE answers with a list"`
	Data    any    `json:"data,omitzero" jsonschema:"if it does not"`
	Total   int    `json:"total,omitzero" jsonschema:"rows that PVE has sent"`
	tool.Rest
	Masked []string `json:"masked,omitzero" jsonschema:"fields with secrets, which are not shown"`
	Notes  []string `json:"notes,omitzero"`
}

func read() tool.Tool {
	return tool.Read(tool.Spec[readIn, readOut]{
		Name:  "pve_api_read",
		Title: "Read anything by API path",
		Doc: "Read raw settings or state that have no tool of their own (SDN, users, tokens, permissions, options, replication, ...) by API path. Secrets are " +
			"masked.",
		Examples: []tool.Example{
			{Arguments: `{"path":"/cluster/backup","fields":["id","schedule","vmid"]}`},
			{Arguments: `{"path":"/nodes/{node}/qemu/100/firewall/rules"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit").If("settings of the cluster"),
			tool.On(tool.OnGuest, "VM.Audit").If("what concerns a guest"),
		},
		Run: runRead,
	})
}

func runRead(ctx context.Context, c *tool.Call, in readIn) (readOut, error) {
	req, err := prepare(ctx, c, http.MethodGet, in.Path, in.Params)
	if err != nil {
		return readOut{}, err
	}
	row, ok := policy.Describe(http.MethodGet, req.elements, req.form)
	if err := refuseRead(req, row, ok); err != nil {
		return readOut{}, err
	}
	out := readOut{Request: req.String()}
	data, total, err := send(ctx, c, req)
	if err != nil {
		return out, err
	}
	cl := cleaner{secret: row.Secret, masked: map[string]bool{}}
	data = cl.clean("", data)
	if rows, isList := data.([]any); isList {
		if err = out.list(in, rows); total > len(rows) {
			out.Notes = append(out.Notes, fmt.Sprintf("PVE has %d rows, and has sent %d of them: see start and limit in params", total, len(rows)))
		}
	} else if data == nil {
		out.Notes = append(out.Notes, "PVE's answer has no data")
	} else {
		out.object(in, data)
	}
	out.Masked = cl.names()
	return out, err
}

// refuseRead says why a request is not a plain read.
func refuseRead(req request, row policy.Endpoint, known bool) error {
	why := row.Why
	switch {
	case !known:
		return explain.Refusal("Only endpoints whose effect is known are sent.", "Nothing was sent: this server does not know what %s reads.", req)
	case row.IsPlainRead():
		return nil
	case row.Never != "":
		return explain.Refusal("", "Nothing was sent: %s is never sent: %s.", req, row.Never)
	case row.Risk == policy.Exec:
		return explain.Refusal("A tool of its own does that where commands in guests are allowed (PVE_MCP_ENABLE_EXEC).",
			"Nothing was sent: %s enters a guest: %s.", req, why)
	}
	next := "It counts as a change."
	if req.endpoint.Path == "/nodes/{node}/disks/list" {
		next = `With params: {"skipsmart": true} it only reads, without health and wear.`
	}
	return explain.Refusal(next, "Nothing was sent: %s is more than a read: %s.", req, why)
}

// list answers with rows: sorted, cut, and with the wanted fields.
func (out *readOut) list(in readIn, rows []any) error {
	if err := sortRows(rows, in.Sort); err != nil {
		return explain.Refusal("", "%s.", capital(err.Error()))
	}
	if out.Total = len(rows); len(rows) == 0 {
		out.Notes = append(out.Notes, "PVE's list is empty")
	}
	all := rows
	rows, out.Rest = tool.Page(rows, in.Limit, in.Offset)
	selected := selectionsOf(in.Fields)
	for _, row := range rows {
		picked := row
		if len(selected) > 0 {
			picked, _ = pick([]any{row}, selected).([]any)
			if list, _ := picked.([]any); len(list) == 1 {
				picked = list[0]
			} else {
				picked = map[string]any{}
			}
		}
		out.Rows = append(out.Rows, picked)
	}
	out.noteMissing(selected, all)
	return nil
}

// mostData is the most bytes of data that is not a list. The rest of the answer needs room too.
const mostData = 20_000

// object answers with data that is not a list.
func (out *readOut) object(in readIn, data any) {
	selected := selectionsOf(in.Fields)
	out.Data = pick(data, selected)
	out.noteMissing(selected, data)
	small, cut := fit(out.Data, mostData)
	if out.Data = small; cut {
		out.Notes = append(out.Notes, fmt.Sprintf("the answer was longer than %d bytes: lists and texts in it are cut, and say how much is missing; choose with fields", mostData))
	}
}

// noteMissing names wanted fields that do not exist, and those that do.
func (out *readOut) noteMissing(selected []selection, data any) {
	if size(data) <= len("[]") {
		return
	}
	for _, s := range selected {
		if pick(data, []selection{s}) == nil {
			out.Notes = append(out.Notes, fmt.Sprintf("there is no field %s; there are %s", render.Text(strings.Join(s, "."), 80), render.List(keysIn(data))))
		}
	}
	out.Notes = tool.FewNotes(out.Notes)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// request is a request that was checked, and may be sent as far as PVE's own description
// goes.
type request struct {
	method   string
	endpoint *apischema.Endpoint
	elements []string // of the path
	form     url.Values
	values   apischema.Values // those of the path, too
	typed    []string         // parameters that the user types later
	known    *apischema.API   // that has the endpoint
}

// String writes the request without the values of its parameters, which may be secret.
func (r request) String() string {
	return r.method + " " + render.Text("/"+strings.Join(r.elements, "/"), 300)
}

// send makes a read. total is how many rows there are if PVE says that it sends only a part of
// them, else 0. data is nil if PVE has none.
func send(ctx context.Context, c *tool.Call, r request) (data any, total int, err error) {
	ans, err := c.PVE.Do(ctx, r.method, proxmox.Join(r.elements...), r.form)
	if err != nil || ans.IsEmpty() {
		return nil, 0, err
	}
	err = exactjson.Unmarshal(ans.Data, &data)
	return data, int(ans.Total.Value), err
}
