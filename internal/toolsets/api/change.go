package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

type changeIn struct {
	Method string   `json:"method" enum:"POST,PUT,DELETE" jsonschema:"of the endpoint"`
	Path   string   `json:"path" jsonschema:"such as /cluster/backup/nightly; {node} is looked up"`
	Params params   `json:"params,omitzero" jsonschema:"PVE's, and values for other {names} in path"`
	Unset  []string `json:"unset,omitzero" jsonschema:"settings to remove"`
	Digest string   `json:"digest,omitzero" jsonschema:"default: read just before"`
	change.AskUserArgument
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

type changeState struct {
	changeIn
	Elements []string   `json:"elements"`
	Form     url.Values `json:"form"`
	Subject  string     `json:"subject"`
	Object   object     `json:"object,omitzero"`
	Data     any        `json:"data,omitzero"` // that PVE has answered
	// SecretFile has the secret that PVE has made.
	SecretFile string `json:"secret_file,omitzero"`
}

type changeOut struct {
	change.Answer
	Request    string         `json:"request,omitzero" jsonschema:"what was sent"`
	Subject    string         `json:"subject,omitzero"`
	Before     map[string]any `json:"before,omitzero" jsonschema:"what was given or has changed"`
	After      map[string]any `json:"after,omitzero"`
	Data       any            `json:"data,omitzero" jsonschema:"PVE's answer"`
	SecretFile string         `json:"secret_file,omitzero" jsonschema:"has the secret that PVE made"`
	Masked     []string       `json:"masked,omitzero" jsonschema:"fields with secrets, which are not shown"`
	Undo       *tool.NextCall `json:"undo,omitzero" jsonschema:"the call that takes it back"`
}

func changes() tool.Tool {
	return change.New(change.Spec[changeIn, changeState, changeOut]{
		Name:  "pve_api_change",
		Title: "Change anything by API path",
		Doc:   "Change, add or make anything (user, pool, storage, SDN, HA, replication, settings) that has no other tool, by API path. pve_api_search finds it.",
		Examples: []tool.Example{
			{Arguments: `{"method":"PUT","path":"/storage/nfs","params":{"content":"images,iso,backup"}}`},
			{Arguments: `{"method":"PUT","path":"/nodes/pve1/qemu/100/config","params":{"protection":false},"confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk:  riskOfInput,
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").If("guests"),
			tool.On(tool.OnGuest, "VM.Config.Options").If("options of guests").ForAdmins(),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("storages; pve_api_search says what others need").ForAdmins(),
		},
		Plan:   planChange,
		Start:  startChange,
		Finish: finishChange,
	})
}

// riskOfInput is the risk of a call as far as its arguments tell before anything is looked up.
func riskOfInput(in changeIn) policy.Risk {
	form := url.Values{"delete": {strings.Join(in.Unset, ",")}}
	for name, value := range in.Params {
		if text, ok := plain(value); ok && text != nil {
			form.Set(name, fmt.Sprint(text))
		}
	}
	row, ok := policy.Describe(in.Method, strings.Split(strings.TrimPrefix(in.Path, "/"), "/"), form)
	if !ok || row.Never != "" {
		return policy.Write // it is refused for another reason
	}
	return row.Risk
}

func planChange(ctx context.Context, c *tool.Call, given changeIn) (change.Plan, changeState, error) {
	in := changeState{changeIn: given}
	req, row, err := in.prepare(ctx, c)
	if err != nil {
		return change.Plan{}, in, err
	}
	target, whole := policy.TargetOf(req.method, req.elements, req.form)
	if row.Risk >= policy.Destructive && row.Risk != policy.Exec && !whole {
		return change.Plan{}, in, explain.Refusal("Name what it is about in its parameters.",
			"Nothing was sent: %s needs consent (%s), and does not say what it is about, so nobody can consent to it.", req, row.Why)
	}
	if in.Object, err = objectOf(ctx, c, req); err != nil {
		return change.Plan{}, in, err
	}
	in.takeDigest(ctx, c, &req)
	in.Path, in.Elements, in.Form = "/"+strings.Join(req.elements, "/"), req.elements, req.form
	plan := change.Plan{
		About: req.String(), Target: target, Risk: row.Risk, Names: namesOf(ctx, c, req),
	}
	if target.Subject.ID != "" {
		plan.Subject, plan.Also = target.Subject, target.Also
		in.Subject = render.Text(target.Subject.String(), 200)
		plan.About += " (" + in.Subject + ")"
	}
	if row.Why != "" && row.Risk >= policy.Destructive {
		plan.Consequences = []string{row.Why}
	}
	if row.MakesSecret != "" {
		plan.Consequences = append(plan.Consequences, "PVE makes a secret: it goes to a new file in "+render.Text(c.Host().SecretsDir, 300)+", and to nobody else")
	}
	if row.Risk == policy.Access {
		plan.Consequences = append(plan.Consequences, meaningOf(ctx, c, req)...)
	}
	return plan, in, nil
}

// prepare checks the request before anything of it is sent.
func (in *changeState) prepare(ctx context.Context, c *tool.Call) (request, policy.Endpoint, error) {
	row, known := policy.Describe(in.Method, strings.Split(strings.TrimPrefix(in.Path, "/"), "/"), nil)
	if known && row.Never != "" {
		return request{}, row, explain.Refusal("", "Nothing was sent: %s %s is never sent: %s.", in.Method, render.Text(in.Path, 300), row.Never)
	}
	given, err := in.params()
	if err != nil {
		return request{}, row, err
	}
	req, err := prepare(ctx, c, in.Method, in.Path, given, in.AskUser...)
	if err != nil {
		return req, row, err
	}
	row, known = policy.Describe(req.method, req.elements, req.form)
	if err := in.refuse(ctx, c, req, row, known); err != nil {
		return req, row, err
	}
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return req, row, err
	}
	host, err := apiOf(ctx, c, "")
	if err != nil {
		return req, row, err
	}
	if lacks := missing(perms, req.endpoint, req.values); lacks != "" && tellsOf(host.API, lacks) {
		return req, row, explain.Refusal("An administrator of the cluster can grant it.", "Nothing was sent: this token lacks %s, which PVE asks for %s.", lacks, req)
	}
	return req, row, nil
}

// params are the parameters with the other arguments that are sent as some.
func (in *changeState) params() (params, error) {
	out := params{}
	for name, value := range in.Params {
		out[name] = value
	}
	if _, has := out["skiplock"]; has {
		return nil, explain.Refusal("Leave it out; if the lock is stale, unlock the guest on its node (qm unlock, pct unlock).",
			"Nothing was sent: skiplock works around a lock that PVE has set for a reason.")
	}
	for name, value := range map[string]any{"delete": in.unset(), "digest": in.Digest} {
		switch _, has := out[name]; {
		case value == "" || value == nil:
		case has:
			return nil, explain.Refusal("Give it once.", "Nothing was sent: %s is in params, and is given by an argument of its own.", name)
		default:
			out[name] = value
		}
	}
	return out, nil
}

func (in *changeState) unset() any {
	if len(in.Unset) == 0 {
		return nil
	}
	var out []any
	for _, name := range in.Unset {
		out = append(out, name)
	}
	return out
}

// unfit are endpoints that the guard lets pass for others, and that have no use here.
var unfit = map[string]string{
	"termproxy": "it opens a console, which needs a connection of its own",
	"vncproxy":  "it opens a console, which needs a connection of its own",
	"upload":    "it takes a file, which this tool does not send; download-url has the node fetch one",
}

// refuse says why a request that PVE would take is not sent.
func (in *changeState) refuse(ctx context.Context, c *tool.Call, req request, row policy.Endpoint, known bool) error {
	last := req.elements[len(req.elements)-1]
	why, isUnfit := unfit[last]
	isUnfit = isUnfit && strings.HasSuffix(req.endpoint.Path, "/"+last)
	switch {
	case !known:
		return explain.Refusal("Only endpoints whose effect is known are changed.", "Nothing was sent: this server does not know what %s changes.", req)
	case isUnfit:
		return explain.Refusal("", "Nothing was sent: %s is never sent: %s.", req, why)
	case req.elements[0] == "nodes" && len(req.elements) > 1 && req.elements[1] == "localhost":
		return explain.Refusal("Name the node.", "Nothing was sent: localhost is whichever node answers.")
	case len(in.Unset) > 0 && !removesSettings(req):
		return explain.Refusal("Leave unset out.", "Nothing was sent: %s has no parameter with which PVE removes settings.", req)
	}
	if reason := c.RefusalOf(row.Risk); reason != "" {
		return &policy.RefusedError{Method: req.method, Path: "/" + strings.Join(req.elements, "/"), Reason: reason}
	}
	if row.MakesSecret != "" {
		if err := checkSecretsDir(c, req); err != nil {
			return err
		}
	}
	if row.Risk == policy.Access {
		if reason := c.Host().Guard.RefuseOwn(ctx, req.method, req.elements, req.form); reason != "" {
			return &policy.RefusedError{Method: req.method, Path: "/" + strings.Join(req.elements, "/"), Reason: reason}
		}
	}
	if row.Risk == policy.Exec {
		return c.CheckCommand(req.form["command"], req.form.Get("input-data") != "", false)
	}
	return nil
}

// removesSettings reports whether the parameter delete of a request is a list of settings.
func removesSettings(req request) bool {
	s := req.known.Param(req.endpoint, "delete")
	return s != nil && s.Type != "boolean"
}

// takeDigest adds the digest of the state that was read to a request that takes one and has
// none.
func (in *changeState) takeDigest(ctx context.Context, c *tool.Call, req *request) {
	if req.form.Has("digest") || req.known.Param(req.endpoint, "digest") == nil {
		return
	}
	digest, _ := in.Object.Before["digest"].(string)
	if digest == "" && in.Object.Elements == nil {
		digest = digestOfList(ctx, c, *req)
	}
	if digest != "" {
		in.Digest = digest
		req.form.Set("digest", digest)
	}
}

// namesOf are what a human types to consent: to the deletion of a guest its id or name.
func namesOf(ctx context.Context, c *tool.Call, req request) []string {
	if req.method != http.MethodDelete || !slices.Contains([]string{"/nodes/{node}/qemu/{vmid}", "/nodes/{node}/lxc/{vmid}"}, req.endpoint.Path) {
		return nil
	}
	id := req.elements[3]
	out := []string{id}
	if vmid, err := pve.ParseVMID(id); err == nil {
		if g, err := c.Guest(ctx, vmid); err == nil {
			out = append(out, g.Name.Value)
		}
	}
	return out
}

func startChange(ctx context.Context, c *tool.Call, in *changeState) (change.Job, error) {
	if row, _ := policy.Describe(in.Method, in.Elements, in.Form); row.MakesSecret != "" {
		return in.keepSecret(c, row.MakesSecret, func() (change.Job, error) { return in.send(ctx, c) })
	}
	return in.send(ctx, c)
}

// send sends the request, and keeps what PVE answers.
func (in *changeState) send(ctx context.Context, c *tool.Call) (change.Job, error) {
	form, err := in.withTyped(ctx, c)
	if err != nil {
		return change.Job{}, err
	}
	ans, err := c.PVE.Do(ctx, in.Method, proxmox.Join(in.Elements...), form)
	if err != nil || ans.IsEmpty() {
		return change.Job{}, masked(err, c.Typed())
	}
	var text string
	if json.Unmarshal(ans.Data, &text) == nil {
		if upid, err := proxmox.ParseUPID(text); err == nil {
			return change.Job{UPID: upid}, nil
		}
	}
	if exactjson.Unmarshal(ans.Data, &in.Data) != nil { // PVE has done it all the same
		in.Data = nil
	}
	return change.Job{}, nil
}

func finishChange(ctx context.Context, c *tool.Call, in changeState, end change.End) (changeOut, error) {
	out := changeOut{Request: in.Method + " " + render.Text(in.Path, 300), Subject: in.Subject, SecretFile: in.SecretFile}
	cl := cleaner{secret: true, masked: map[string]bool{}}
	out.Data, _ = fit(cl.clean("", in.Data), mostShownData)
	if in.Object.Elements != nil {
		after, err := in.Object.readAfter(ctx, c)
		if err != nil {
			return out, err
		}
		out.Before, out.After = in.Object.differences(after, cl)
		if !end.Failed() {
			out.Undo = in.Object.takeBack(after)
		}
	}
	out.Masked = cl.names()
	return out, nil
}

// mostShownData is how many bytes of PVE's answer to a change are shown.
const mostShownData = 4000

// removed are the settings that a request removes.
func removed(req request) []string {
	if !removesSettings(req) {
		return nil
	}
	var out []string
	for _, text := range req.form["delete"] {
		out = append(out, apischema.SplitList(text)...)
	}
	return out
}
