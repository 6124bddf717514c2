package pvesim

import (
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// fields tells of a user what PVE's configuration file has, which knows root@pam by
// itself.
func (u User) fields() map[string]any {
	out := map[string]any{"enable": bit(!u.Disabled), "expire": u.Expire}
	if u.ID != "root@pam" {
		out["email"] = u.Email
	}
	for key, value := range map[string]string{
		"comment": u.Comment, "email": u.Email, "firstname": u.FirstName, "keys": u.Keys, "lastname": u.LastName,
	} {
		if value != "" {
			out[key] = value
		}
	}
	return out
}

func (t Token) fields() map[string]any {
	out := map[string]any{"privsep": bit(t.PrivSep), "expire": t.Expire}
	if t.Comment != "" {
		out["comment"] = t.Comment
	}
	return out
}

// name is the part of a token's id after its owner's.
func (t Token) name() string {
	_, name, _ := strings.Cut(t.ID, "!")
	return name
}

// tokensOf are a user's tokens, by name.
func (s *state) tokensOf(userid string) []Token {
	var out []Token
	for _, id := range sortedKeys(s.tokens) {
		if owner, _, _ := strings.Cut(id, "!"); owner == userid {
			out = append(out, s.tokens[id])
		}
	}
	return out
}

// listUsers lists the users that the caller may change or see, and always the
// caller's own.
func listUsers(c *call) (any, error) {
	out := []any{}
	for _, id := range sortedKeys(c.users) {
		u := c.users[id]
		if id != c.caller.User && !c.maySeeUser(u) || c.params["enabled"] != nil && c.flag("enabled") == u.Disabled {
			continue
		}
		item := u.fields()
		_, realm, _ := strings.Cut(id, "@")
		item["userid"] = id
		if typ := c.realmType(realm); typ != "" {
			item["realm-type"] = typ
		}
		if c.flag("full") {
			item["groups"], item["tokens"] = strings.Join(u.Groups, ","), nil
			var tokens []any
			for _, t := range c.tokensOf(id) {
				token := t.fields()
				token["tokenid"] = t.name()
				tokens = append(tokens, token)
			}
			if tokens != nil {
				item["tokens"] = tokens
			}
		}
		out = append(out, item)
	}
	return out, nil
}

// maySeeUser reports whether the caller administers users, or those of a group that
// the user is in.
func (c *call) maySeeUser(u User) bool {
	paths := []string{"/access/groups"}
	for _, group := range u.Groups {
		paths = append(paths, "/access/groups/"+group)
	}
	return slices.ContainsFunc(paths, func(path string) bool {
		return c.may(path, "User.Modify") || c.may(path, "Sys.Audit")
	})
}

// theUser returns the user that the call names.
func (c *call) theUser() (User, error) {
	u, ok := c.users[c.str("userid")]
	if !ok {
		return u, die("no such user ('%s')", c.str("userid"))
	}
	return u, nil
}

func getUser(c *call) (any, error) {
	u, err := c.theUser()
	if err != nil {
		return nil, err
	}
	out := u.fields()
	out["groups"], out["tokens"] = append([]string{}, u.Groups...), nil
	tokens := map[string]any{}
	for _, t := range c.tokensOf(u.ID) {
		tokens[t.name()] = t.fields()
	}
	if len(tokens) > 0 {
		out["tokens"] = tokens
	}
	return out, nil
}

func createUser(c *call) (any, error) {
	const words = "create user failed: "
	id := c.str("userid")
	if _, ok := c.users[id]; ok {
		return nil, die("%suser '%s' already exists", words, id)
	}
	_, realm, _ := strings.Cut(id, "@")
	if typ := c.realmType(realm); c.params["password"] != nil && typ == "" {
		return nil, die("%sauth domain '%s' does not exist", words, realm)
	} else if c.params["password"] != nil && typ != "pam" && typ != "pve" {
		return nil, die("%scan't set password on auth type '%s'", words, typ)
	}
	u, err := c.changed(User{ID: id})
	if err != nil {
		return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
	}
	u.Password = c.str("password")
	c.users[id] = u
	clear(c.privCache)
	return nil, nil
}

// putUser changes a user. The groups that are given take the place of those before,
// unless they are to be added.
func putUser(c *call) (any, error) {
	const words = "update user failed: "
	u, err := c.theUser()
	if err != nil {
		return nil, err
	}
	if u, err = c.changed(u); err != nil {
		return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
	}
	c.users[u.ID] = u
	clear(c.privCache)
	return nil, nil
}

// changed is a user with what the call says.
func (c *call) changed(u User) (User, error) {
	if c.params["enable"] != nil {
		u.Disabled = !c.flag("enable")
	}
	u.Expire = int64(c.number("expire", int(u.Expire)))
	for key, field := range map[string]*string{
		"comment": &u.Comment, "email": &u.Email, "firstname": &u.FirstName, "keys": &u.Keys, "lastname": &u.LastName,
	} {
		if c.params[key] != nil {
			*field = c.str(key)
		}
	}
	if c.params["groups"] == nil {
		return u, nil
	}
	groups := slices.Clone(u.Groups)
	if !c.flag("append") {
		groups = nil
	}
	for _, group := range apischema.SplitList(c.str("groups")) {
		if c.groupNamed(group) == nil {
			return u, die("no such group '%s'", group)
		}
		groups = append(groups, group)
	}
	slices.Sort(groups)
	u.Groups = slices.Compact(groups)
	return u, nil
}

// deleteUser deletes a user with its tokens, and what either was granted.
func deleteUser(c *call) (any, error) {
	id := c.str("userid")
	for _, t := range c.tokensOf(id) {
		delete(c.tokens, t.ID)
		c.revoke(t.ID)
	}
	delete(c.users, id)
	c.revoke(id)
	return nil, nil
}

// revoke takes away all that a user, token or group was granted.
func (s *state) revoke(who string) {
	for path, list := range s.acl {
		s.acl[path] = slices.DeleteFunc(slices.Clone(list), func(a ACL) bool { return a.Who == who })
		if len(s.acl[path]) == 0 {
			delete(s.acl, path)
		}
	}
	clear(s.privCache)
}

func listTokens(c *call) (any, error) {
	u, err := c.theUser()
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, t := range c.tokensOf(u.ID) {
		item := t.fields()
		item["tokenid"] = t.name()
		out = append(out, item)
	}
	return out, nil
}

// theToken returns the token that the call names.
func (c *call) theToken() (Token, error) {
	if _, err := c.theUser(); err != nil {
		return Token{}, err
	}
	t, ok := c.tokens[c.str("userid")+"!"+c.str("tokenid")]
	if !ok {
		return t, die("no such token '%s' for user '%s'", c.str("tokenid"), c.str("userid"))
	}
	return t, nil
}

func getToken(c *call) (any, error) {
	t, err := c.theToken()
	if err != nil {
		return nil, err
	}
	return t.fields(), nil
}

// createToken is the only one to tell a token's secret.
func createToken(c *call) (any, error) {
	if _, err := c.theUser(); err != nil {
		return nil, err
	}
	if _, err := c.theToken(); err == nil {
		return nil, badParam("tokenid", "Token already exists.")
	}
	t := Token{
		ID: c.str("userid") + "!" + c.str("tokenid"), Secret: c.uuid("token"), Comment: c.str("comment"),
		PrivSep: c.params["privsep"] == nil || c.flag("privsep"), Expire: int64(c.number("expire", 0)),
	}
	c.tokens[t.ID] = t
	clear(c.privCache)
	info := map[string]any{"privsep": 1}
	for _, key := range []string{"comment", "expire", "privsep"} {
		if value := c.params[key]; value != nil {
			info[key] = value
		}
	}
	return map[string]any{"info": info, "value": t.Secret, "full-tokenid": t.ID}, nil
}

func putToken(c *call) (any, error) {
	t, err := c.theToken()
	if err != nil {
		return nil, err
	}
	if c.params["privsep"] != nil {
		t.PrivSep = c.flag("privsep")
	}
	t.Expire = int64(c.number("expire", int(t.Expire)))
	if c.params["comment"] != nil && (c.str("comment") != "" || c.node.version.major >= 9) {
		t.Comment = c.str("comment")
	}
	for _, key := range apischema.SplitList(c.str("delete")) {
		if key != "comment" {
			return nil, die("updating token info failed: 400 Parameter verification failed.\ndelete: unknown option '%s'", key)
		}
		t.Comment = ""
	}
	out := t.fields()
	if c.flag("regenerate") {
		t.Secret = c.uuid("token")
		out["value"], out["full-tokenid"] = t.Secret, t.ID
	}
	c.tokens[t.ID] = t
	clear(c.privCache)
	return out, nil
}

func deleteToken(c *call) (any, error) {
	t, err := c.theToken()
	if err != nil {
		return nil, err
	}
	delete(c.tokens, t.ID)
	c.revoke(t.ID)
	return nil, nil
}

// expired reports whether a time that ends an account or a token has come; 0 never
// does.
func expired(at int64, now time.Time) bool { return at != 0 && now.Unix() >= at }
