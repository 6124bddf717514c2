package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// noSecrets are parameters that are called as secrets are, but are none.
var noSecrets = append([]string{"lock-token", "token-coefficient"}, ids...)

// moreSecrets are secrets whose names do not say so, with the paths where they are.
var moreSecrets = map[string]string{
	"keyring": "/storage", "key": "/cluster/sdn/dns", "data": "/cluster/acme/plugins", "keys": "/access/users",
}

// isSecretParam reports whether a parameter of an endpoint is a secret.
func isSecretParam(ep *apischema.Endpoint, name string, s *apischema.Schema) bool {
	if s == nil || s.Type == "boolean" || s.Type == "integer" || slices.Contains(noSecrets, name) || strings.Contains(ep.Path, "{"+name+"}") {
		return false
	}
	area, isOther := moreSecrets[name]
	return render.NamesSecret(name) || isOther && strings.HasPrefix(ep.Path, area) || name == "key" && strings.HasSuffix(ep.Path, "/certificates/custom")
}

// autogen has PVE make an encryption key.
const autogen = "autogen"

// refuseClearSecrets refuses secrets that the model has written beside those that the user
// types, and shows none of them.
func refuseClearSecrets(known *apischema.API, ep *apischema.Endpoint, given apischema.Values, typed []string) error {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if value := fmt.Sprint(given[name]); isSecretParam(ep, name, known.Param(ep, name)) && value != "" && value != autogen && !slices.Contains(typed, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return explain.Refusal(fmt.Sprintf("Leave it out of params, and name it in ask_user: [%s]: then the user types it, and you do not see it.", quoted(names)),
		"Nothing was sent: %s is a secret, which does not pass through a model.", strings.Join(names, ", "))
}

func quoted(names []string) string {
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%q", name))
	}
	return strings.Join(out, ", ")
}

// withoutTyped is an endpoint without the need to give what the user types later.
func withoutTyped(known *apischema.API, ep *apischema.Endpoint, names []string, given apischema.Values) (*apischema.Endpoint, error) {
	out := *ep
	out.Params = maps.Clone(ep.Params)
	for _, name := range names {
		s := known.Param(ep, name)
		_, isGiven := given[name]
		switch {
		case s == nil || strings.Contains(ep.Path, "{"+name+"}"):
			return nil, explain.Refusal("It takes "+paramNames(ep)+".", "Nothing was sent: ask_user names %q, which is no parameter of %s %s.", render.Text(name, 60), ep.Method, ep.Path)
		case isGiven:
			return nil, explain.Refusal("Leave it out of params.", "Nothing was sent: %s is in params and in ask_user.", name)
		case !isSecretParam(ep, name, s):
			return nil, explain.Refusal("Give it in params.", "Nothing was sent: ask_user is for secrets, and %s is none.", name)
		}
		later := *s
		later.Optional = true
		out.Params[name] = &later
	}
	return &out, nil
}

// withTyped returns the form with what the user has typed, which nothing keeps.
func (in *changeState) withTyped(ctx context.Context, c *tool.Call) (url.Values, error) {
	typed := c.Typed()
	if len(typed) == 0 {
		return in.Form, nil
	}
	d, err := apiOf(ctx, c, template(in.Elements).answering(in.Method))
	if err != nil {
		return nil, err
	}
	ep, values, ok := d.Find(in.Method, in.Path)
	if !ok {
		return nil, noEndpoint(d.API, d.version, in.Method, in.Path)
	}
	out := maps.Clone(in.Form)
	for name, all := range in.Form {
		values[name] = anyList(all)
	}
	if err := checkTyped(d.API, ep, values, typed); err != nil {
		return nil, err
	}
	for name, value := range typed {
		out.Set(name, value)
	}
	return out, nil
}

// anyList is what a form has of a parameter, for a check of it.
func anyList(all []string) any {
	if len(all) == 1 {
		return all[0]
	}
	var out []any
	for _, one := range all {
		out = append(out, one)
	}
	return out
}

// checkTyped checks what the user has typed. Its error does not show it.
func checkTyped(known *apischema.API, ep *apischema.Endpoint, given apischema.Values, typed map[string]string) error {
	all := maps.Clone(given)
	for name, value := range typed {
		all[name] = value
	}
	_, err := known.Validate(ep, all)
	var refused *apischema.ParamError
	if !errors.As(err, &refused) {
		return err
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(typed)) {
		if _, is := refused.Errors[name]; is {
			wrong = append(wrong, name+": "+typeText(known.Param(ep, name)))
		}
	}
	if len(wrong) == 0 { // the rest was checked before
		return nil
	}
	return explain.Refusal("Right would be "+strings.Join(wrong, "; ")+". Call again: the user is asked anew.",
		"Nothing was sent: what the user has typed does not have the form that PVE takes.")
}

// masked is an error of PVE without what the user has typed.
func masked(err error, typed map[string]string) error {
	var said *proxmox.Error
	if !errors.As(err, &said) {
		return err
	}
	hide := func(text string) string {
		for _, value := range typed {
			text = strings.ReplaceAll(text, value, render.Mask)
		}
		return text
	}
	out := *said
	out.Message, out.Params = hide(said.Message), map[string]string{}
	for name, text := range said.Params {
		out.Params[name] = hide(text)
	}
	return &out
}
