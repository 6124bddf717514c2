package pvesim_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// story asks one thing a line and compares the answer with what stands after =>:
//
//	POST /nodes/pve1/qemu/100/snapshot?snapname=a => OK       how the task ends
//	PUT /nodes/pve1/qemu/100/config?cores=2       => null
//	GET /nodes/pve1/qemu/100/config#cores         => 2        a field of the data
//	GET /nodes/pve1/qemu/111/config               => 500 Configuration file …
//
// "wait 10s" lets time pass; "as audit@pve!mcp" changes the token. Lines without =>
// must not be refused.
func (w *world) story(text string) {
	w.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		ask, want, check := strings.Cut(line, " => ")
		ask = strings.TrimSpace(ask)
		switch verb, rest, _ := strings.Cut(ask, " "); verb {
		case "", "#":
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				w.Fatal(err)
			}
			w.clock.Advance(d)
		case "as":
			w.token = rest
		default:
			got := w.answer(verb, rest)
			if check && got != strings.TrimSpace(want) || !check && strings.HasPrefix(got, "5") {
				w.Errorf("%s\n     => %s\nwant => %s", ask, got, want)
			}
		}
	}
}

// answer is what a story compares: a field, null, how a task ends, or a refusal.
func (w *world) answer(method, target string) string {
	w.Helper()
	target, field, _ := strings.Cut(target, "#")
	path, query, _ := strings.Cut(target, "?")
	form, err := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
	if err != nil {
		w.Fatal(err)
	}
	r := w.do(method, path, form)
	if r.Status != 200 {
		out := fmt.Sprintf("%d %s", r.Status, r.Reason)
		for _, key := range slices.Sorted(maps.Keys(r.Body.Errors)) {
			out += fmt.Sprintf(" %s: %s", key, strings.TrimSpace(r.Body.Errors[key]))
		}
		return out
	}
	if upid, ok := r.Body.Data.(string); ok && strings.HasPrefix(upid, "UPID:") {
		return w.exit(upid)
	}
	data := r.Body.Data
	for name := range strings.SplitSeq(field, "#") {
		if name != "" {
			data = within(data, name)
		}
	}
	if data == nil {
		return "null"
	}
	return fmt.Sprint(data)
}

// within is a field of an object, or of the object of a list with that name or key.
func within(data any, name string) any {
	switch data := data.(type) {
	case map[string]any:
		return data[name]
	case []any:
		for _, item := range data {
			m, _ := item.(map[string]any)
			for _, key := range []string{"name", "key", "id", "volid", "Package", "devpath", "iface", "lv", "storage", "sid", "poolid", "rule", "userid", "groupid", "roleid", "tokenid", "handle", "filename", "type", "ip", "ugid", "zone", "plugin"} {
				if m[key] == name {
					return item
				}
			}
		}
	}
	return nil
}

// exit awaits the end of a task.
func (w *world) exit(upid string) string {
	w.Helper()
	path := "/nodes/" + strings.Split(upid, ":")[1] + "/tasks/" + url.PathEscape(upid) + "/status"
	for range 3600 {
		if status := w.as("root@pam!full").get(path); status["status"] == "stopped" {
			return status["exitstatus"].(string)
		}
		w.clock.Advance(time.Second)
	}
	w.Fatalf("%s did not end", upid)
	return ""
}
