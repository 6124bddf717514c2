package pvesim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// Directory is what the directory of a realm holds, LDAP or Active Directory, for a
// synchronization.
type Directory struct {
	Realm  string
	Users  []User              // their ids with the realm
	Groups map[string][]string // the ids of their members, by the group's name in the directory
}

// syncOptions are how a realm is synchronized: as the call says, or the realm's defaults.
type syncOptions struct {
	realm      string
	scope      string
	vanished   []string // what goes of those that the directory does not have: acl, entry, properties
	enable     bool     // new users
	dry        bool
	unreached  string // why the directory does not answer; "" if it does
	directory  Directory
	isUserOfIt func(id string) bool
}

func (c *call) syncOptions(realm *Section) (syncOptions, error) {
	defaults := realm.Options["sync-defaults-options"]
	pick := func(name, usual string) string {
		if c.params[name] != nil {
			return c.str(name)
		}
		if value := propstring.Get(defaults, name); value != "" {
			return value
		}
		return usual
	}
	o := syncOptions{realm: realm.ID, scope: pick("scope", ""), enable: pick("enable-new", "1") == "1", dry: c.flag("dry-run"), directory: Directory{Realm: realm.ID}}
	if o.scope == "" {
		return o, badParam("scope", "Not passed as parameter and not defined in realm default sync options.")
	}
	vanished := pick("remove-vanished", "")
	if vanished == "" {
		if pick("full", "0") == "1" {
			vanished = "entry;properties"
		}
		if pick("purge", "0") == "1" {
			vanished = strings.TrimPrefix(vanished+";acl", ";")
		}
	}
	o.vanished = strings.FieldsFunc(vanished, func(r rune) bool { return r == ';' })
	o.unreached = "IO::Socket::IP: connect: No route to host"
	for _, d := range c.model.Directories {
		if d.Realm == realm.ID {
			o.directory, o.unreached = d, ""
		}
	}
	o.isUserOfIt = func(id string) bool { return strings.HasSuffix(id, "@"+realm.ID) }
	return o, nil
}

// syncRealm brings users and groups of a directory, in a task. The model says what is in it;
// one that the model does not have cannot be reached.
func syncRealm(c *call) (any, error) {
	realm := c.str("realm")
	s := c.section(realmsFile, "", realm)
	switch typ := c.realmType(realm); {
	case typ == "":
		return nil, badParam("realm", "Realm does not exist.")
	case typ != "ldap" && typ != "ad":
		return nil, die("Cannot sync realm type '%s'! Only LDAP/AD realms can be synced.", typ)
	}
	o, err := c.syncOptions(s)
	if err != nil {
		return nil, err
	}
	typ := "auth-realm-sync"
	if o.dry {
		typ += "-test"
	}
	return c.fork(c.now, c.receiver, c.caller.User, typ, realm, 0, func(now time.Time) outcome {
		j := &journal{began: now}
		first := "starting sync for realm " + realm
		if o.dry {
			first = "(dry test run) " + first
		}
		j.say("%s", first)
		j.pass(time.Second)
		if o.unreached != "" {
			return j.fail(die("%s", o.unreached))
		}
		what := map[string]string{"both": "users and groups"}[o.scope]
		if what == "" {
			what = o.scope
		}
		j.say("got data from server, updating %s", what)
		users, groups := c.synced(j, o)
		if o.dry {
			j.say("")
			j.say("NOTE: Dry test run, changes were NOT written to the configuration.")
			return j.done(nil)
		}
		j.say("successfully updated %s configuration", what)
		return j.done(func(time.Time) { c.keepSynced(o, users, groups) })
	}), nil
}

// synced are users and groups as they will be, and what PVE says of each.
func (c *call) synced(j *journal, o syncOptions) (map[string]User, []Group) {
	users, groups := maps.Clone(c.users), slices.Clone(c.groups)
	if o.scope != "groups" {
		o.syncUsers(j, users)
	}
	if o.scope != "users" {
		groups = o.syncGroups(j, users, groups)
	}
	return users, groups
}

// heading says what is synchronized.
func (o syncOptions) heading(j *journal, what string) {
	if len(o.vanished) > 0 {
		j.say("syncing %s (remove-vanished opts: %s)", what, strings.Join(o.vanished, ";"))
	} else {
		j.say("syncing %s", what)
	}
	if slices.Contains(o.vanished, "entry") {
		j.say("deleting outdated existing %s first", what)
	}
}

func (o syncOptions) syncUsers(j *journal, users map[string]User) {
	o.heading(j, "users")
	there := map[string]User{}
	for _, u := range o.directory.Users {
		there[u.ID] = u
	}
	for _, id := range sortedKeys(users) {
		if _, ok := there[id]; ok || !o.isUserOfIt(id) {
			continue
		}
		if slices.Contains(o.vanished, "entry") {
			j.say("remove user '%s'", id)
			delete(users, id)
		}
		if slices.Contains(o.vanished, "acl") {
			j.say("purge users '%s' ACL entries", id)
		}
	}
	for _, id := range sortedKeys(there) {
		u, old := there[id], users[id]
		_, known := users[id]
		verb := "updating"
		switch {
		case !known:
			verb, u.Disabled = "adding", !o.enable
		case slices.Contains(o.vanished, "properties"):
			verb, u.Disabled, u.Groups = "overwriting", old.Disabled, old.Groups
		default:
			u.Disabled, u.Groups, u.Expire, u.Keys = old.Disabled, old.Groups, old.Expire, old.Keys
		}
		j.say("%s user '%s'", verb, id)
		users[id] = u
	}
}

func (o syncOptions) syncGroups(j *journal, users map[string]User, groups []Group) []Group {
	o.heading(j, "groups")
	suffix := "-" + o.realm
	there := map[string][]string{}
	for name, members := range o.directory.Groups {
		there[name+suffix] = members
	}
	for _, g := range slices.Clone(groups) {
		if _, ok := there[g.ID]; ok || !strings.HasSuffix(g.ID, suffix) {
			continue
		}
		if slices.Contains(o.vanished, "entry") {
			j.say("remove group '%s'", g.ID)
			groups = slices.DeleteFunc(groups, func(other Group) bool { return other.ID == g.ID })
		}
		if slices.Contains(o.vanished, "acl") {
			j.say("purge groups '%s' ACL entries", g.ID)
		}
	}
	for _, id := range sortedKeys(there) {
		verb := "updating"
		if !slices.ContainsFunc(groups, func(g Group) bool { return g.ID == id }) {
			verb, groups = "adding", append(groups, Group{ID: id})
		} else if slices.Contains(o.vanished, "properties") {
			verb = "overwriting"
		}
		j.say("%s group '%s'", verb, id)
		for userid, u := range users {
			u.Groups = without(slices.Clone(u.Groups), id)
			if slices.Contains(there[id], userid) {
				u.Groups = append(u.Groups, id)
			}
			users[userid] = u
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	return groups
}

// keepSynced writes users and groups, and takes what was granted from those that are gone.
func (c *call) keepSynced(o syncOptions, users map[string]User, groups []Group) {
	before, had := c.users, c.groups
	c.users, c.groups = users, groups
	if slices.Contains(o.vanished, "acl") {
		for id := range before {
			if _, stays := users[id]; o.isUserOfIt(id) && !stays {
				c.revoke(id)
			}
		}
		for _, g := range had {
			if c.groupNamed(g.ID) == nil {
				c.revoke("@" + g.ID)
			}
		}
	}
	clear(c.privCache)
}
