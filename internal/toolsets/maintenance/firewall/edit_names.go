package firewall

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// name is that of the set, alias or group that is made.
func (e *edit) name(argument, text string) error {
	switch {
	case text == "":
		return tool.BadArgument(argument, "is missing: the name, such as office")
	case !nameRE.MatchString(text):
		return tool.BadArgument(argument, fmt.Sprintf("is %q; a name begins with a letter and has letters, digits, - and _ only, at least two", render.Text(text, 60)))
	case e.place.Node != "":
		return tool.BadArgument("node", "has no sets, aliases or groups of its own; leave it out for those of the cluster")
	}
	return nil
}

func (e *edit) addGroup(ctx context.Context) error {
	g := e.in.Group
	if err := e.name("group", g); err != nil {
		return err
	}
	if e.place.isGuest() {
		return tool.BadArgument("vmid", "has no security groups of its own; leave it out")
	}
	path := groupsPath()
	is, err := readList(ctx, e.PVE, path...)
	if err != nil {
		return err
	}
	e.About = "New security group " + g
	if slices.Contains(namesOf(is.Entries, "group"), g) {
		return explain.Refusal("pve_firewall shows its rules; add_rule with group adds one.", "There is a security group %q already. Nothing was sent.", g)
	}
	made := e.commented(entry{"group": g})
	e.send(e.About, http.MethodPost, path, formOf(made), path, is.Entries, sorted(append(slices.Clone(is.Entries), made), "group"), true)
	e.Diff = []string{"+ group " + g}
	e.undo = &setIn{Change: "delete_group", Group: g}
	return nil
}

// commented gives an entry the comment of the call.
func (e *edit) commented(made entry) entry {
	if e.in.Comment != "" {
		made["comment"] = e.in.Comment
	}
	return made
}

// sorted are entries in the order in which PVE lists them by a key.
func sorted(all []entry, key string) []entry {
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(strings.ToLower(a[key]), strings.ToLower(b[key])) })
	return all
}

func (e *edit) deleteGroup(ctx context.Context) error {
	l, err := e.rules()
	switch {
	case e.in.Group == "":
		return tool.BadArgument("group", "is missing: the name of the security group")
	case err != nil:
		return err
	}
	g := e.in.Group
	if n := len(l.get(&e.before)); n > 0 {
		return explain.Refusal("Delete its rules first (delete_rule with group).", "The security group %q is not empty: it has %d rules. Nothing was sent.", g, n)
	}
	path := groupsPath()
	is, err := readList(ctx, e.PVE, path...)
	if err != nil {
		return err
	}
	e.About = "Deletion of the security group " + g
	e.send(e.About, http.MethodDelete, l.path, nil, path, is.Entries, without(is.Entries, "group", g), false)
	e.Diff = []string{"- group " + g}
	e.undo = &setIn{Change: "add_group", Group: g}
	return nil
}

func without(all []entry, key, name string) []entry {
	return slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return strings.EqualFold(e[key], name) })
}

// members are the addresses of the call as those of a set.
func (e *edit) members() ([]entry, error) {
	var out []entry
	for _, text := range e.in.Addresses {
		plain, isOut := strings.CutPrefix(strings.TrimSpace(text), "!")
		if strings.HasPrefix(plain, "+") {
			return nil, tool.BadArgument("addresses", "has the set "+render.Text(plain, 60)+"; a set has addresses, networks and aliases only")
		}
		if err := e.checkAddresses("addresses", plain); err != nil {
			return nil, err
		}
		switch {
		case plain == "" || strings.HasSuffix(plain, "/0"):
			return nil, tool.BadArgument("addresses", fmt.Sprintf("has %q, which a set cannot have", render.Text(text, 60)))
		case !isNetwork(plain) && !aliasRefRE.MatchString(plain):
			return nil, tool.BadArgument("addresses", fmt.Sprintf("has %q; each is one address, network or alias, such as 10.0.0.0/24", render.Text(text, 60)))
		}
		m := entry{"cidr": memberText(plain)}
		if isOut {
			m["nomatch"] = "1"
		}
		if !slices.Contains(namesOf(out, "cidr"), m["cidr"]) {
			out = append(out, e.commented(m))
		}
	}
	return out, nil
}

// isNetwork reports whether a text is one address or network, as PVE has them in sets and aliases.
func isNetwork(text string) bool {
	_, err := spanOf(text)
	return err == nil && !strings.Contains(text, "-")
}

// memberText writes an address as PVE has it in a set: a network of one address is that address.
func memberText(text string) string {
	if one, err := spanOf(text); err == nil && one.From == one.To {
		return one.From.String()
	}
	return text
}

func (e *edit) addSet(ctx context.Context) error {
	name := e.in.Name
	if err := e.name("name", name); err != nil {
		return err
	}
	path := e.place.path("ipset")
	is, err := readList(ctx, e.PVE, path...)
	if err != nil {
		return err
	}
	if slices.Contains(namesOf(is.Entries, "name"), name) {
		return explain.Refusal("add_addresses adds to it.", "There is a set %q already. Nothing was sent.", name)
	}
	members, err := e.members()
	if err != nil {
		return err
	}
	made := e.commented(entry{"name": name})
	e.About = fmt.Sprintf("New set %s of %s", name, e.place)
	e.send("New set "+name, http.MethodPost, path, formOf(made), path, is.Entries, sorted(append(slices.Clone(is.Entries), made), "name"), true)
	e.Diff = []string{"+ set " + name}
	e.addMembers(name, nil, members)
	e.undo = &setIn{Change: "delete_set", Name: name}
	e.filters(name)
	return nil
}

// filters makes the change of a set destructive that limits the addresses from which a guest may
// send.
func (e *edit) filters(name string) {
	if e.place.isGuest() && strings.HasPrefix(name, "ipfilter-") {
		e.always = "the guest may send from the addresses in this set only"
	}
}

func (e *edit) addMembers(name string, old, members []entry) {
	path := e.place.path("ipset", name)
	now := old
	for _, m := range members {
		next := sorted(append(slices.Clone(now), m), "cidr")
		e.send(fmt.Sprintf("New address %s of %s", m["cidr"], name), http.MethodPost, path, formOf(m), path, now, next, false)
		e.Diff = append(e.Diff, fmt.Sprintf("+ %s in %s", sayAddresses([]entry{m}), name))
		now = next
	}
	e.names(&e.after).Sets[name] = now
}

// set is the set that the call is about, which is there.
func (e *edit) set() (name string, is []entry, err error) {
	if e.place.Node != "" || e.in.Name == "" {
		return "", nil, e.name("name", e.in.Name)
	}
	is, has := e.names(&e.before).Sets[e.in.Name]
	if !has {
		return "", nil, explain.Refusal("add_set makes one.", "There is no set %q of %s%s. Nothing was sent.", render.Text(e.in.Name, 60), e.place, thereAre(keysOf(e.names(&e.before).Sets)))
	}
	return e.in.Name, is, nil
}

func (e *edit) deleteSet(ctx context.Context) error {
	name, is, err := e.set()
	if err != nil {
		return err
	}
	path := e.place.path("ipset")
	all, err := readList(ctx, e.PVE, path...)
	if err != nil {
		return err
	}
	delete(e.names(&e.after).Sets, name)
	e.About = fmt.Sprintf("Deletion of the set %s of %s", name, e.place)
	var form url.Values
	if len(is) > 0 {
		form = url.Values{"force": {"1"}}
	}
	members := e.place.path("ipset", name)
	e.Requests = []request{{
		About: e.About, Method: http.MethodDelete, Path: members, Form: form,
		Guard: sourceOf(members, is), Result: sourceOf(path, without(all.Entries, "name", name)),
	}}
	e.Diff = []string{fmt.Sprintf("- set %s: %s", name, sayAddresses(is))}
	e.undo = &setIn{Change: "add_set", Name: name, Addresses: addressArguments(is)}
	return nil
}

func addressArguments(all []entry) []string {
	var out []string
	for _, m := range all {
		out = append(out, sayAddresses([]entry{m}))
	}
	return out
}

func (e *edit) addAddresses(context.Context) error {
	name, is, err := e.set()
	if err != nil {
		return err
	}
	members, err := e.members()
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return tool.BadArgument("addresses", `is missing: such as ["10.0.0.0/24"]`)
	}
	fresh := slices.DeleteFunc(members, func(m entry) bool { return slices.Contains(namesOf(is, "cidr"), m["cidr"]) })
	e.About = fmt.Sprintf("Addition of %s to the set %s of %s", sayAddresses(fresh), name, e.place)
	e.addMembers(name, is, fresh)
	e.undo = &setIn{Change: "remove_addresses", Name: name, Addresses: namesOf(fresh, "cidr")}
	if slices.ContainsFunc(fresh, func(m entry) bool { return m["nomatch"] != "" }) {
		e.filters(name)
	}
	return nil
}

func (e *edit) removeAddresses(context.Context) error {
	name, is, err := e.set()
	if err != nil {
		return err
	}
	if len(e.in.Addresses) == 0 {
		return tool.BadArgument("addresses", "is missing: those to take out of the set")
	}
	path := e.place.path("ipset", name)
	now := is
	var gone []entry
	for _, text := range e.in.Addresses {
		plain := memberText(strings.TrimPrefix(text, "!"))
		i := slices.IndexFunc(now, func(m entry) bool { return strings.EqualFold(m["cidr"], plain) })
		if i < 0 {
			return explain.Refusal("pve_firewall shows what it has.", "The set %s has no %s: it has %s. Nothing was sent.", name, render.Text(plain, 60), sayAddresses(is))
		}
		next := slices.Delete(slices.Clone(now), i, i+1)
		gone = append(gone, now[i])
		e.send(fmt.Sprintf("Removal of %s from %s", now[i]["cidr"], name), http.MethodDelete, below(path, now[i]["cidr"]), nil, path, now, next, true)
		now = next
	}
	e.names(&e.after).Sets[name] = now
	e.About = fmt.Sprintf("Removal of %s from the set %s of %s", sayAddresses(gone), name, e.place)
	e.Diff = []string{fmt.Sprintf("- %s in %s", sayAddresses(gone), name)}
	e.undo = &setIn{Change: "add_addresses", Name: name, Addresses: addressArguments(gone)}
	e.filters(name)
	return nil
}

func (e *edit) setAlias(ctx context.Context) error {
	if err := e.name("name", e.in.Name); err != nil {
		return err
	}
	if len(e.in.Addresses) != 1 {
		return tool.BadArgument("addresses", `is missing: the one address or network of the alias, such as ["10.0.0.0/24"]`)
	}
	cidr := strings.TrimSpace(e.in.Addresses[0])
	if !isNetwork(cidr) {
		return tool.BadArgument("addresses", fmt.Sprintf("has %q; an alias is one address or network, such as 10.0.0.0/24", render.Text(cidr, 60)))
	}
	path := e.place.path("aliases")
	is, err := readList(ctx, e.PVE, path...)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(is.Entries, e.isAlias)
	made := entry{"name": e.in.Name, "cidr": cidr}
	if i >= 0 {
		made = maps.Clone(is.Entries[i])
		made["cidr"] = cidr
	}
	made = e.commented(made)
	name := made["name"]
	e.names(&e.after).Aliases[name] = made
	if i < 0 {
		e.About = fmt.Sprintf("New alias %s of %s: %s", name, e.place, cidr)
		e.send(e.About, http.MethodPost, path, formOf(made), path, is.Entries, sorted(append(slices.Clone(is.Entries), made), "name"), false)
		e.Diff = []string{fmt.Sprintf("+ alias %s: %s", name, cidr)}
		e.undo = &setIn{Change: "delete_alias", Name: name}
		return nil
	}
	was := is.Entries[i]
	e.About = fmt.Sprintf("Change of the alias %s of %s to %s", name, e.place, cidr)
	if maps.Equal(was, made) {
		return nil
	}
	form := formOf(made)
	form.Del("name")
	final := slices.Clone(is.Entries)
	final[i] = made
	e.send(e.About, http.MethodPut, below(path, name), form, path, is.Entries, final, true)
	e.Diff = []string{fmt.Sprintf("- alias %s: %s", name, was["cidr"]), fmt.Sprintf("+ alias %s: %s", name, cidr)}
	e.undo = aliasAgain(was)
	return nil
}

// isAlias reports whether an alias is that of the call: PVE finds it by its name in any case.
func (e *edit) isAlias(a entry) bool { return strings.EqualFold(a["name"], e.in.Name) }

// aliasAgain makes an alias as it was.
func aliasAgain(was entry) *setIn {
	return &setIn{Change: "set_alias", Name: was["name"], Addresses: []string{was["cidr"]}, Comment: was["comment"]}
}

func (e *edit) deleteAlias(ctx context.Context) error {
	if err := e.name("name", e.in.Name); err != nil {
		return err
	}
	path := e.place.path("aliases")
	is, err := readList(ctx, e.PVE, path...)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(is.Entries, e.isAlias)
	if i < 0 {
		return explain.Refusal("pve_firewall shows them.", "There is no alias %q of %s%s. Nothing was sent.", e.in.Name, e.place, thereAre(namesOf(is.Entries, "name")))
	}
	was := is.Entries[i]
	delete(e.names(&e.after).Aliases, was["name"])
	e.About = fmt.Sprintf("Deletion of the alias %s (%s) of %s", was["name"], was["cidr"], e.place)
	e.send(e.About, http.MethodDelete, below(path, was["name"]), nil, path, is.Entries, without(is.Entries, "name", was["name"]), true)
	e.Diff = []string{fmt.Sprintf("- alias %s: %s", was["name"], was["cidr"])}
	e.undo = aliasAgain(was)
	return nil
}
