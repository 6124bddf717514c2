package pvesim

import (
	"net/netip"

	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// named are sections of a type in the order of their names, as PVE lists them by a key.
func (c *call) named(file, typ, key string) (out []map[string]any) {
	all := c.sectionsOfType(file, typ)
	slices.SortFunc(all, func(a, b Section) int { return strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) })
	for _, s := range all {
		entry := map[string]any{key: s.ID}
		for name, value := range s.Options {
			if value != "" {
				entry[name] = value
			}
		}
		out = append(out, entry)
	}
	return out
}

func getFirewallOptions(c *call) (any, error) {
	out := c.firewallOptions(c.theFirewall())
	out["digest"] = listDigest([]map[string]any{out})
	return out, nil
}

func (c *call) firewallOptions(f firewall) map[string]any {
	s := c.section(f.file, "options", "")
	if s == nil {
		return map[string]any{}
	}
	return c.options(c.api().Endpoint("PUT", strings.TrimSuffix(c.ep.Path, "/options")+"/options"), *s)
}

// putFirewallOptions changes options. A firewall of the cluster is enabled by the time at
// which somebody did it, if that is asked for.
func putFirewallOptions(c *call) (any, error) {
	f := c.theFirewall()
	if err := c.checkDigestOf(listDigest([]map[string]any{c.firewallOptions(f)})); err != nil {
		return nil, err
	}
	for _, name := range c.deleted() {
		if c.api().Param(c.ep, name) == nil || slices.Contains([]string{"delete", "digest", "node", "vmid"}, name) {
			return nil, badParam("delete", "no such option '%s'", name)
		}
	}
	s := Section{Type: "options", Options: map[string]string{}}
	if old := c.section(f.file, "options", ""); old != nil {
		s = cloneSections([]Section{*old})[0]
	}
	for _, name := range c.deleted() {
		delete(s.Options, name)
	}
	for name, value := range c.params {
		if value != nil && !slices.Contains([]string{"delete", "digest", "node", "vmid"}, name) {
			s.Options[name] = optionText(value)
		}
	}
	if n := c.number("enable", 0); f.env == "cluster" && n > 1 {
		s.Options["enable"] = optionText(c.now.Unix())
	}
	c.setSections(f.file, "options", []Section{s})
	if len(s.Options) == 0 {
		c.setSections(f.file, "options", nil)
	}
	return nil, nil
}

func listGroupsOfRules(c *call) (any, error) {
	return withDigest(c.named(clusterFirewall, "group", "group")), nil
}

func createGroupOfRules(c *call) (any, error) {
	const file = clusterFirewall
	rename := func(old, name string) { // in all that use it
		c.setSections(file, "rule of "+name, retyped(c.sectionsOfType(file, "rule of "+old), "rule of "+name))
		c.setSections(file, "rule of "+old, nil)
		for path := range c.files {
			for _, s := range c.sectionsOfType(path, "rule") {
				if s.Options["type"] == "group" && s.Options["action"] == old {
					s.Options["action"] = name
				}
			}
		}
	}
	return nil, c.makeNamed(file, "group", "group", "Security group", listDigest(c.named(file, "group", "group")), rename)
}

func retyped(sections []Section, typ string) []Section {
	for i := range sections {
		sections[i].Type = typ
	}
	return sections
}

// makeNamed makes a group of rules or a set of addresses, or gives one another name or comment.
// PVE reads the names from its file in lower case, whatever was written there.
func (c *call) makeNamed(file, typ, key, noun, digest string, renamed func(old, name string)) error {
	name, old := c.str(key), c.str("rename")
	kept := strings.ToLower(name)
	switch taken := c.section(file, typ, name); {
	case old == "" && taken != nil:
		return badParam(key, "%s '%s' already exists", noun, name)
	case old == "" && c.section(file, typ, kept) != nil:
		return nil // two of one name in the file are one
	case old == "":
		s := Section{ID: kept, Type: typ, Options: map[string]string{"comment": c.str("comment")}}
		c.files[file] = append(c.files[file], s)
		return nil
	case c.checkDigestOf(digest) != nil:
		return c.checkDigestOf(digest)
	case c.section(file, typ, old) == nil:
		return badParam(key, "%s '%s' does not exist", noun, old)
	case taken != nil && old != name:
		return badParam(key, "%s '%s' does already exist", noun, name)
	}
	s := c.section(file, typ, old)
	s.ID = kept
	if c.params["comment"] != nil {
		s.Options = map[string]string{"comment": c.str("comment")}
	}
	if old != kept {
		renamed(old, kept)
	}
	return nil
}

func deleteGroupOfRules(c *call) (any, error) {
	group := c.str("group")
	switch {
	case c.section(clusterFirewall, "group", group) == nil:
		return nil, die("no such security group '%s'", group)
	case len(c.sectionsOfType(clusterFirewall, "rule of "+group)) > 0:
		return nil, die("Security group '%s' is not empty", group)
	}
	c.removeSection(clusterFirewall, "group", group)
	return nil, nil
}

func ipsetRoutes(base string) routes {
	return routes{
		"GET " + base:                       {serve: listIPSets},
		"POST " + base:                      {serve: createIPSet},
		"GET " + base + "/{name}":           {serve: onIPSet(listAddresses)},
		"POST " + base + "/{name}":          {serve: onIPSet(createAddress)},
		"DELETE " + base + "/{name}":        {serve: onIPSet(deleteIPSet)},
		"GET " + base + "/{name}/{cidr}":    {serve: onIPSet(getAddress)},
		"PUT " + base + "/{name}/{cidr}":    {serve: onIPSet(putAddress)},
		"DELETE " + base + "/{name}/{cidr}": {serve: onIPSet(deleteAddress)},
	}
}

func listIPSets(c *call) (any, error) {
	return withDigest(c.named(c.theFirewall().file, "ipset", "name")), nil
}

func createIPSet(c *call) (any, error) {
	file := c.theFirewall().file
	return nil, c.makeNamed(file, "ipset", "name", "IPSet", listDigest(c.named(file, "ipset", "name")), func(old, name string) {
		c.setSections(file, "address of "+name, retyped(c.sectionsOfType(file, "address of "+old), "address of "+name))
		c.setSections(file, "address of "+old, nil)
	})
}

// onIPSet is a handler about the set of addresses that the call names: its file, and the type
// of the sections that are its addresses.
func onIPSet(do func(c *call, file, typ string) (any, error)) handler {
	return func(c *call) (any, error) {
		file, name := c.theFirewall().file, c.str("name")
		if c.section(file, "ipset", name) == nil {
			return nil, die("no such IPSet '%s'", name)
		}
		return do(c, file, "address of "+name)
	}
}

func (c *call) addressesOf(file, typ string) []map[string]any {
	out := c.named(file, typ, "cidr")
	for _, entry := range out {
		if entry["nomatch"] == "1" {
			entry["nomatch"] = 1
		}
	}
	return out
}

func listAddresses(c *call, file, typ string) (any, error) {
	return withDigest(c.addressesOf(file, typ)), nil
}

func deleteIPSet(c *call, file, typ string) (any, error) {
	if len(c.sectionsOfType(file, typ)) > 0 && !c.flag("force") {
		return nil, die("IPSet '%s' is not empty", c.str("name"))
	}
	c.setSections(file, typ, nil)
	c.removeSection(file, "ipset", c.str("name"))
	return nil, nil
}

var zeroPrefixRE = lazyregexp.New(`/0+$`)

func createAddress(c *call, file, typ string) (any, error) {
	cidr := c.str("cidr")
	if alias := submatch(aliasRefRE.FindStringSubmatch(cidr)); alias != "" {
		for _, f := range []string{file, clusterFirewall} {
			if c.section(f, "alias", alias) != nil {
				alias = ""
			}
		}
		if alias != "" {
			return nil, die("no such alias '%s'", alias)
		}
	} else if p, err := netip.ParsePrefix(cidr); err == nil && p.IsSingleIP() {
		cidr = p.Addr().String()
	}
	switch {
	case c.section(file, typ, cidr) != nil:
		return nil, badParam("cidr", "address '%s' already exists", cidr)
	case zeroPrefixRE.MatchString(cidr):
		return nil, badParam("cidr", "a zero prefix is not allowed in ipset entries")
	}
	c.files[file] = append(c.files[file], Section{ID: cidr, Type: typ, Options: c.addressOptions()})
	return nil, nil
}

// addressOptions are those of an address: a change replaces all.
func (c *call) addressOptions() map[string]string {
	out := map[string]string{}
	if c.flag("nomatch") {
		out["nomatch"] = "1"
	}
	if comment := c.str("comment"); comment != "" {
		out["comment"] = comment
	}
	return out
}

func getAddress(c *call, file, typ string) (any, error) {
	for _, entry := range withDigest(c.addressesOf(file, typ)) {
		if entry["cidr"] == c.str("cidr") {
			return entry, nil
		}
	}
	return nil, badParam("cidr", "no such IP/Network")
}

func putAddress(c *call, file, typ string) (any, error) {
	if err := c.checkDigestOf(listDigest(c.addressesOf(file, typ))); err != nil {
		return nil, err
	}
	s := c.section(file, typ, c.str("cidr"))
	if s == nil {
		return nil, badParam("cidr", "no such IP/Network")
	}
	s.Options = c.addressOptions()
	return nil, nil
}

func deleteAddress(c *call, file, typ string) (any, error) {
	if err := c.checkDigestOf(listDigest(c.addressesOf(file, typ))); err != nil {
		return nil, err
	}
	c.removeSection(file, typ, c.str("cidr"))
	return nil, nil
}

func aliasRoutes(base string) routes {
	return routes{
		"GET " + base:                {serve: listAliases},
		"POST " + base:               {serve: createAlias},
		"GET " + base + "/{name}":    {serve: getAlias},
		"PUT " + base + "/{name}":    {serve: putAlias},
		"DELETE " + base + "/{name}": {serve: deleteAlias},
	}
}

func listAliases(c *call) (any, error) {
	return withDigest(c.named(c.theFirewall().file, "alias", "name")), nil
}

// aliasNamed returns an alias, whose name may be written in any case.
func (c *call) aliasNamed(name string) *Section {
	for i, s := range c.files[c.theFirewall().file] {
		if s.Type == "alias" && strings.EqualFold(s.ID, name) {
			return &c.files[c.theFirewall().file][i]
		}
	}
	return nil
}

func (c *call) aliasOptions() map[string]string {
	out := map[string]string{"cidr": c.str("cidr")}
	if comment := c.str("comment"); comment != "" {
		out["comment"] = comment
	}
	return out
}

func createAlias(c *call) (any, error) {
	name, file := c.str("name"), c.theFirewall().file
	if c.aliasNamed(name) != nil {
		return nil, badParam("name", "alias '%s' already exists", name)
	}
	c.files[file] = append(c.files[file], Section{ID: name, Type: "alias", Options: c.aliasOptions()})
	return nil, nil
}

func getAlias(c *call) (any, error) {
	s := c.aliasNamed(c.str("name"))
	if s == nil {
		return nil, badParam("name", "no such alias")
	}
	out := map[string]any{"name": s.ID}
	for name, value := range s.Options {
		out[name] = value
	}
	return out, nil
}

func putAlias(c *call) (any, error) {
	if err := c.checkDigestOf(listDigest(c.named(c.theFirewall().file, "alias", "name"))); err != nil {
		return nil, err
	}
	name, rename := c.str("name"), c.str("rename")
	s := c.aliasNamed(name)
	switch {
	case s == nil:
		return nil, badParam("name", "no such alias")
	case rename != "" && !strings.EqualFold(rename, name) && c.aliasNamed(rename) != nil:
		return nil, badParam("name", "alias '%s' already exists", rename)
	case rename != "":
		name = rename
	}
	s.ID, s.Options = name, c.aliasOptions()
	return nil, nil
}

func deleteAlias(c *call) (any, error) {
	file := c.theFirewall().file
	if err := c.checkDigestOf(listDigest(c.named(file, "alias", "name"))); err != nil {
		return nil, err
	}
	if s := c.aliasNamed(c.str("name")); s != nil {
		c.removeSection(file, "alias", s.ID)
	}
	return nil, nil
}

// listRefs lists the aliases and sets of addresses that rules may name.
func listRefs(c *call) (any, error) {
	out := []any{}
	add := func(file, scope string) {
		for _, typ := range []string{"ipset", "alias"} {
			for _, s := range c.sectionsOfType(file, typ) {
				if wanted := c.str("type"); wanted != "" && wanted != typ {
					continue
				}
				ref := map[string]any{"type": typ, "name": s.ID, "ref": map[string]string{"ipset": "+"}[typ] + s.ID, "scope": scope}
				if comment := s.Options["comment"]; comment != "" {
					ref["comment"] = comment
				}
				out = append(out, ref)
			}
		}
	}
	add(clusterFirewall, "dc")
	if file := c.theFirewall().file; file != clusterFirewall {
		add(file, "guest")
	}
	return out, nil
}

// copyFirewall gives a guest the firewall of another.
func (s *state) copyFirewall(from, to string) {
	if rules := s.files[guestFirewall(from)]; len(rules) > 0 {
		s.files[guestFirewall(to)] = cloneSections(rules)
	}
}
