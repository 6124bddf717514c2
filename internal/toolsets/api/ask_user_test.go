package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// recorder keeps the bodies of requests that could change something.
type recorder struct {
	http.RoundTripper
	forms []url.Values
	says  string // with which PVE refuses, if that is not ""
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return r.RoundTripper.RoundTrip(req)
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	r.forms = append(r.forms, form)
	if r.says != "" {
		answer := `{"data":null,"errors":{"password":"` + r.says + `"}}`
		return &http.Response{Status: "400 Parameter verification failed.", StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer))}, nil
	}
	return r.RoundTripper.RoundTrip(req)
}

// typing makes a call whose human agrees, and types one secret for each name.
func typing(w *sim.World, args, secret string) (question string, a tool.Result) {
	tl, ok := w.Host.Named(changeTool)
	if !ok {
		w.Fatal("no such tool")
	}
	req := tool.Request{Arguments: json.RawMessage(args), Caller: "test", CanAsk: true, TypeSecrets: func(_ context.Context, form tool.SecretForm) (map[string]string, error) {
		out := map[string]string{}
		for _, name := range form.Names {
			out[name] = secret
		}
		return out, nil
	}}
	q := tl.Call(w.Context(), w.Host, req)
	if q.Question == nil {
		return "", q
	}
	req.State, req.Reply = q.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
	return q.Question.Message, tl.Call(w.Context(), w.Host, req)
}

// What the user types reaches PVE, and nothing else: no answer, question, record or log has it.
func TestAskUser(t *testing.T) {
	const secret = "correct horse battery"
	for _, version := range []string{"8.4.1", "9.2"} {
		for _, tt := range []struct {
			args, typed, says string // says is what PVE refuses it with
			sent, wants       string
		}{
			{`{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["password"]}`, secret, "", "new@pve", `"outcome":"ok"`},
			{`{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["password"]}`, secret, secret + " is too weak", "new@pve", "password: ********** is too weak"},
			{`{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["password"]}`, "short", "", "", "what the user has typed does not have the form that PVE takes"},
			{`{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["password"]}`, "", "", "", "the user typed no password"},
		} {
			synctest.Test(t, func(t *testing.T) {
				o := withAccess(version)
				r := &recorder{says: tt.says}
				o.Wire = func(rt http.RoundTripper) http.RoundTripper { r.RoundTripper = rt; return r }
				w := sim.New(t, o)
				all := everywhere(w)
				question, a := typing(w, tt.args, tt.typed)
				if !strings.Contains(a.Text, tt.wants) || !strings.Contains(question, `ask_user: ["password"]`) {
					t.Errorf("%s\n%s", question, a.Text)
				}
				if sent := len(r.forms) > 0; sent != (tt.sent != "") || sent && (r.forms[0].Get("password") != tt.typed || r.forms[0].Get("userid") != tt.sent) {
					t.Errorf("%d requests were sent", len(r.forms))
				}
				for _, text := range []string{question, a.Text, string(a.Structured), all.String()} {
					if tt.typed != "" && strings.Contains(text, tt.typed) {
						t.Errorf("the secret is in %s", text)
					}
				}
			})
		}
	}
}

// A secret in params is refused wherever PVE has one, and so is what ask_user cannot mean.
func TestAskUserRefuses(t *testing.T) {
	const clear = "it in ask_user: ["
	escaped := strings.NewReplacer(`"`, `\"`)
	for args, want := range map[string]string{
		`{"method":"POST","path":"/access/users","params":{"userid":"new@pve","password":"correct horse"}}`:                                    clear + `"password"]`,
		`{"method":"POST","path":"/access/domains","params":{"realm":"x","type":"openid","issuer-url":"https://x/","client-key":"hush-hush"}}`: clear + `"client-key"]`,
		`{"method":"POST","path":"/storage","params":{"storage":"x","type":"cifs","server":"x","share":"x","password":"hush-hush"}}`:           clear + `"password"]`,
		`{"method":"POST","path":"/storage","params":{"storage":"x","type":"pbs","server":"x","datastore":"x","encryption-key":"hush-hush"}}`:  clear + `"encryption-key"]`,
		`{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"cipassword":"hush-hush"}}`:                                          clear + `"cipassword"]`,
		`{"method":"POST","path":"/cluster/sdn/dns","params":{"dns":"x","type":"powerdns","url":"http://x/","key":"hush-hush"}}`:               clear + `"key"]`,
		`{"method":"POST","path":"/cluster/notifications/endpoints/gotify","params":{"name":"x","server":"http://x","token":"hush-hush"}}`:     clear + `"token"]`,
		`{"method":"POST","path":"/cluster/acme/plugins","params":{"id":"x","type":"dns","api":"cf","data":"aHVzaC1odXNo"}}`:                   clear + `"data"]`,
		`{"method":"POST","path":"/nodes/pve1/certificates/custom","params":{"certificates":"x","key":"hush-hush"}}`:                           clear + `"key"]`,
		`{"method":"PUT","path":"/access/users/eve@pve","params":{"keys":"hush-hush"}}`:                                                        clear + `"keys"]`,
		`{"method":"POST","path":"/access/users","params":{"userid":"new@pve","password":"correct horse"},"ask_user":["password"]}`:            "password is in params and in ask_user",
		`{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["pasword"]}`:                                        `ask_user names "pasword", which is no parameter of POST /access/users`,
		`{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["comment"]}`:                                        "ask_user is for secrets, and comment is none",
		`{"method":"PUT","path":"/access/password","params":{"userid":"eve@pve"},"ask_user":["password"]}`:                                     "a password does not pass through here",
	} {
		w := sim.New(t, withAccess("9.2"))
		all := everywhere(w)
		question, a := typing(w, args, "typed by the user")
		if sent := sim.Writes(w.Sent()); question != "" || !a.IsError || !strings.Contains(a.Text, escaped.Replace(want)) || len(sent) > 0 {
			t.Errorf("%s: %q %v %s\nwant %s", args, question, sent, a.Text, want)
		}
		if strings.Contains(a.Text, "hush-hush") || strings.Contains(a.Text, "correct horse") || strings.Contains(all.String(), "correct horse") || strings.Contains(all.String(), "hush-hush") {
			t.Errorf("%s: %s\n%s", args, a.Text, all.String())
		}
	}
}

// A client that cannot show a page gets the command with which the user can do it.
func TestAskUserElsewhere(t *testing.T) {
	w := sim.New(t, withAccess("9.2"))
	_, a := askedCall(w, `{"method":"POST","path":"/access/users","params":{"userid":"new@pve","comment":"it's new"},"ask_user":["password"]}`)
	const want = `pve-mcp call pve_api_change --method POST --path /access/users --params '{\"comment\":\"it'\\''s new\",\"userid\":\"new@pve\"}' --ask_user password`
	if sent := sim.Writes(w.Sent()); !a.IsError || !strings.Contains(a.Text, want) || len(sent) > 0 {
		t.Errorf("%v %s\nwant %s", sent, a.Text, want)
	}
	a = tool.Result{}
	_, a = askedCall(w, `{"method":"POST","path":"/access/users","params":{"userid":"new@pve"},"ask_user":["password"],"plan":true}`)
	if a.Outcome != tool.Planned {
		t.Errorf("a plan: %s", a.Text)
	}
}

// Where no consent is needed, the user is asked for the secret alone.
func TestAskUserWithoutConsent(t *testing.T) {
	r := &recorder{}
	o := sim.Options{Token: auditor, Wire: func(rt http.RoundTripper) http.RoundTripper { r.RoundTripper = rt; return r }}
	w := sim.New(t, o)
	question, a := typing(w, `{"method":"PUT","path":"/nodes/{node}/qemu/100/config","params":{"ciuser":"ops"},"ask_user":["cipassword"]}`, "correct horse battery")
	if question != "" || a.Outcome != tool.OK || len(r.forms) != 1 || r.forms[0].Get("cipassword") != "correct horse battery" || strings.Contains(a.Text, "horse") {
		t.Errorf("%q %d requests: %s", question, len(r.forms), a.Text)
	}
	if !strings.Contains(a.Text, `"after":{"cipassword":"**********","ciuser":"ops"}`) || !strings.Contains(a.Text, `"masked":["cipassword"]`) {
		t.Errorf("%s", a.Text)
	}
	if sent := sim.Writes(w.Sent()); !slices.Equal(sent, []string{"PUT /nodes/{node}/qemu/{vmid}/config"}) {
		t.Errorf("%v", sent)
	}
}
