package apischema

import (
	"encoding/json"
	"fmt"
)

// Endpoint is one method on one path of the API.
type Endpoint struct {
	Method string `json:"method"`
	// Path is the template, such as /nodes/{node}/qemu/{vmid}/config.
	Path string `json:"path"`
	// Params are the parameters by name, those of the path included. An indexed
	// parameter has one entry, such as net[n].
	Params map[string]*Schema `json:"params,omitempty"`
	// Closed endpoints refuse parameters that are not in Params.
	Closed bool `json:"closed,omitempty"`
	// Permissions is nil if only root@pam with a ticket may call.
	Permissions *Permissions `json:"permissions,omitempty"`
	// Returns describes the data of a successful answer; nil if PVE does not say.
	Returns *Schema `json:"returns,omitempty"`
	// Protected endpoints are handled by the privileged daemon.
	Protected bool `json:"protected,omitempty"`
	// ProxyTo names the parameter with the node that handles the call, or is "".
	ProxyTo string `json:"proxyto,omitempty"`
	// NoToken endpoints want a ticket: an API token is refused.
	NoToken bool `json:"notoken,omitempty"`
}

// Schema describes one value, as PVE::JSONSchema does.
type Schema struct {
	Type       string             `json:"type,omitempty"`
	Optional   bool               `json:"optional,omitempty"`
	Format     *Format            `json:"format,omitempty"`
	Pattern    string             `json:"pattern,omitempty"` // a Perl regular expression
	Enum       []string           `json:"enum,omitempty"`
	Minimum    *float64           `json:"minimum,omitempty"`
	Maximum    *float64           `json:"maximum,omitempty"`
	MinLength  *int               `json:"minLength,omitempty"`
	MaxLength  *int               `json:"maxLength,omitempty"`
	Default    json.RawMessage    `json:"default,omitempty"`
	Requires   string             `json:"requires,omitempty"`
	Alias      string             `json:"alias,omitempty"`
	KeyAlias   string             `json:"keyAlias,omitempty"`
	DefaultKey bool               `json:"default_key,omitempty"`
	Items      *Schema            `json:"items,omitempty"`
	Properties map[string]*Schema `json:"properties,omitempty"`
	Closed     bool               `json:"closed,omitempty"`
}

// Format is a string's format: a name, or the keys of a property string.
type Format struct {
	Name string
	Keys map[string]*Schema
}

// UnmarshalJSON accepts a name or an object of keys.
func (f *Format) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &f.Name)
	}
	return json.Unmarshal(data, &f.Keys)
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f Format) MarshalJSON() ([]byte, error) {
	if f.Keys != nil {
		return json.Marshal(f.Keys)
	}
	return json.Marshal(f.Name)
}

// Permissions say who may call an endpoint.
type Permissions struct {
	// User is "all" (any authenticated user; the code behind the endpoint may
	// check more, or filter), "world" (everybody), or "".
	User  string `json:"user,omitempty"`
	Check *Check `json:"check,omitempty"`
}

// Check is a permission check, or a part of one. PVE writes it as a list such as
// ["perm", "/vms/{vmid}", ["VM.Audit"], "any", 1].
type Check struct {
	Op           string   // and, or, perm, perm-modify, userid-group, userid-param
	Subs         []*Check // of and, or
	Path         string   // of perm, perm-modify: a template
	Privs        []string // of perm, userid-group
	Any          bool     // of perm: one of Privs is enough
	RequireParam string   // of perm: refused if this parameter is absent
	Subject      string   // of userid-param: self, Realm.AllocateUser
	GroupsParam  string   // of userid-group: create, update, or ""
}

// UnmarshalJSON reads PVE's list form.
func (c *Check) UnmarshalJSON(data []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) < 2 {
		return fmt.Errorf("permission check %s: too short", data)
	}
	if err := json.Unmarshal(list[0], &c.Op); err != nil {
		return err
	}
	rest := list[1:]
	switch c.Op {
	case "and", "or":
		return json.Unmarshal(join(rest), &c.Subs)
	case "perm":
		if len(rest) < 2 {
			return fmt.Errorf("permission check %s: no privileges", data)
		}
		if err := json.Unmarshal(rest[0], &c.Path); err != nil {
			return err
		}
		if err := json.Unmarshal(rest[1], &c.Privs); err != nil {
			return err
		}
		return c.options(rest[2:])
	case "perm-modify":
		return json.Unmarshal(rest[0], &c.Path)
	case "userid-param":
		return json.Unmarshal(rest[0], &c.Subject)
	case "userid-group":
		if err := json.Unmarshal(rest[0], &c.Privs); err != nil {
			return err
		}
		return c.options(rest[1:])
	}
	return fmt.Errorf("permission check %s: unknown kind %q", data, c.Op)
}

func (c *Check) options(list []json.RawMessage) error {
	if len(list)%2 != 0 {
		return fmt.Errorf("permission check %s: an option without a value", c.Op)
	}
	for i := 0; i < len(list); i += 2 {
		var key string
		if err := json.Unmarshal(list[i], &key); err != nil {
			return err
		}
		var err error
		switch key {
		case "any":
			var flag int
			err = json.Unmarshal(list[i+1], &flag)
			c.Any = flag != 0
		case "require_param":
			err = json.Unmarshal(list[i+1], &c.RequireParam)
		case "groups_param":
			err = json.Unmarshal(list[i+1], &c.GroupsParam)
		default:
			err = fmt.Errorf("permission check %s: unknown option %q", c.Op, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON writes PVE's list form.
func (c *Check) MarshalJSON() ([]byte, error) {
	list := []any{c.Op}
	switch c.Op {
	case "and", "or":
		for _, s := range c.Subs {
			list = append(list, s)
		}
	case "perm":
		list = append(list, c.Path, c.Privs)
	case "perm-modify":
		list = append(list, c.Path)
	case "userid-param":
		list = append(list, c.Subject)
	case "userid-group":
		list = append(list, c.Privs)
	}
	if c.Any {
		list = append(list, "any", 1)
	}
	if c.RequireParam != "" {
		list = append(list, "require_param", c.RequireParam)
	}
	if c.GroupsParam != "" {
		list = append(list, "groups_param", c.GroupsParam)
	}
	return json.Marshal(list)
}

func join(list []json.RawMessage) []byte {
	out, _ := json.Marshal(list) // raw messages that were just decoded encode
	return out
}
