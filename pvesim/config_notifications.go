package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// notificationsFile has the endpoints of notifications and the matchers, in one space of names.
const notificationsFile = "notifications.cfg"

// builtinNotifications are those that PVE has by itself.
var builtinNotifications = []Section{
	{ID: "mail-to-root", Type: "sendmail", Options: map[string]string{"comment": "Send mails to root@pam's email address", "mailto-user": "root@pam"}},
	{ID: "default-matcher", Type: "matcher", Options: map[string]string{"comment": "Route all notifications to mail-to-root", "mode": "all", "target": "mail-to-root"}},
}

func builtinOf(typ string) []Section {
	return slices.DeleteFunc(slices.Clone(builtinNotifications), func(s Section) bool { return s.Type != typ })
}

// notifyRefusal is one of PVE's library for notifications, which has statuses of its own.
func notifyRefusal(status int, format string, args ...any) error {
	return &refusal{status: status, message: fmt.Sprintf(format, args...) + "\n"}
}

// notificationKind is what endpoints and matchers have in common.
func notificationKind(path, typ, noun string, hidden ...string) sectionKind {
	absent := func(id string) error { return notifyRefusal(404, "%s '%s' not found", noun, id) }
	return sectionKind{
		path: path, file: notificationsFile, key: "name", typ: typ, hidden: hidden, builtin: builtinOf(typ), hasOrigin: true, inOne: true, keepsEmpty: true,
		unknown: absent, gone: absent, absent: absent,
		taken: func(id string) error {
			return notifyRefusal(400, "Cannot create '%s', an entity with the same name already exists", id)
		},
	}
}

func endpointsOfNotifications() (out []sectionKind) {
	for typ, hidden := range map[string][]string{"gotify": {"token"}, "sendmail": nil, "smtp": {"password"}, "webhook": nil} {
		k := notificationKind("/cluster/notifications/endpoints/"+typ, typ, "endpoint", hidden...)
		k.free = freeOfMatchers
		if typ == "sendmail" || typ == "smtp" {
			k.check = hasRecipient
		}
		out = append(out, k)
	}
	return out
}

func hasRecipient(_ *call, s Section, _ bool) error {
	if s.Options["mailto"] == "" && s.Options["mailto-user"] == "" {
		return notifyRefusal(400, "must at least provide one recipient, either in mailto or in mailto-user")
	}
	return nil
}

// freeOfMatchers refuses to remove an endpoint to which a matcher sends.
func freeOfMatchers(c *call, id string) error {
	var users []string
	for _, m := range matchers().all(c) {
		if slices.Contains(strings.Split(m.Options["target"], listSeparator), id) {
			users = append(users, m.ID)
		}
	}
	if len(users) > 0 {
		return notifyRefusal(400, "cannot delete '%s', referenced by: %s", id, strings.Join(users, ", "))
	}
	return nil
}

func matchers() sectionKind {
	k := notificationKind("/cluster/notifications/matchers", "matcher", "matcher")
	k.check = func(c *call, s Section, _ bool) error {
		for target := range strings.SplitSeq(s.Options["target"], listSeparator) {
			if target != "" && !slices.ContainsFunc(targets(c), func(t map[string]any) bool { return t["name"] == target }) {
				return notifyRefusal(404, "endpoint '%s' does not exist", target)
			}
		}
		return nil
	}
	return k
}

// targets are the endpoints of all types.
func targets(c *call) (out []map[string]any) {
	for _, k := range endpointsOfNotifications() {
		for _, s := range k.all(c) {
			t := k.show(c, s)
			maps.DeleteFunc(t, func(name string, _ any) bool { return name != "comment" && name != "disable" })
			t["name"], t["type"], t["origin"] = s.ID, s.Type, k.origin(c, s)
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a["name"]), fmt.Sprint(b["name"])) })
	return out
}

func listTargets(c *call) (any, error) { return targets(c), nil }

func listMatcherFields(*call) (any, error) {
	return []any{map[string]any{"name": "type"}, map[string]any{"name": "hostname"}, map[string]any{"name": "job-id"}}, nil
}

func listMatcherValues(c *call) (any, error) {
	out := []any{}
	add := func(field, value string) { out = append(out, map[string]any{"field": field, "value": value}) }
	for _, kind := range []string{"package-updates", "fencing", "replication", "vzdump", "system-mail"} {
		add("type", kind)
	}
	if c.may("/", "Sys.Audit") {
		for _, job := range c.jobs {
			add("job-id", job.ID)
		}
	}
	for _, job := range c.replications {
		add("job-id", job.ID)
	}
	for _, n := range c.nodes {
		add("hostname", n.Name)
	}
	return out, nil
}
