package pvesim

import (
	"maps"
	"strings"
)

// realmsFile has the realms, but not their secrets.
const realmsFile = "domains.cfg"

// directoryOptions are those of realms that are kept by a directory.
const directoryOptions = "bind_dn capath case-sensitive cert certkey check-connection comment default filter group_classes group_dn group_filter group_name_attr mode " +
	"password port secure server2 sslversion sync-defaults-options sync_attributes tfa user_classes verify"

// realms are where users log in.
func realms() sectionKind {
	return sectionKind{
		path: "/access/domains", file: realmsFile, key: "realm",
		needed: map[string]string{"ad": "domain server1", "ldap": "base_dn server1 user_attr", "openid": "client-id issuer-url", "pam": "", "pve": ""},
		optional: map[string]string{
			"ad": directoryOptions + " base_dn user_attr", "ldap": directoryOptions,
			"openid": "acr-values audiences autocreate client-key comment default groups-autocreate groups-claim groups-overwrite prompt query-userinfo scopes username-claim",
			"pam":    "comment default tfa", "pve": "comment default tfa",
		},
		hidden: []string{"password", "check-connection"},
		builtin: []Section{
			{ID: "pam", Type: "pam", Options: map[string]string{"comment": "Linux PAM standard authentication"}},
			{ID: "pve", Type: "pve", Options: map[string]string{"comment": "Proxmox VE authentication server"}},
		},
		unknown: func(id string) error { return die("domain '%s' does not exist", id) },
		gone:    func(id string) error { return die("domain '%s' does not exist", id) },
		taken:   func(id string) error { return die("domain '%s' already exists", id) },
		absent:  func(id string) error { return die("authentication domain '%s' does not exist", id) },
		inOne:   true,
		fields:  shownInListOfRealms,
		check:   checkRealm,
	}
}

// realmRoutes are the endpoints of realms. What changes one says what has failed.
func realmRoutes() routes {
	out := realms().routes()
	for method, words := range map[string]string{"POST ": "add auth server failed: ", "PUT ": "update auth server failed: ", "DELETE ": "delete auth server failed: "} {
		for path, route := range out {
			if serve := route.serve; strings.HasPrefix(path, method) {
				route.serve = func(c *call) (any, error) {
					data, err := serve(c)
					if err != nil {
						err = die("%s%s", words, strings.TrimSpace(err.Error()))
					}
					return data, err
				}
				out[path] = route
			}
		}
	}
	out["POST /access/domains/{realm}/sync"] = route{serve: syncRealm}
	return out
}

func shownInListOfRealms(_ *call, all map[string]any) map[string]any {
	out := map[string]any{"realm": all["realm"], "type": all["type"]}
	for _, name := range []string{"comment", "default"} {
		if value, ok := all[name]; ok && value != 0 {
			out[name] = value
		}
	}
	if text, ok := all["tfa"].(string); ok {
		kind, _, _ := strings.Cut(strings.TrimPrefix(text, "type="), ",")
		out["tfa"] = kind
	}
	return out
}

// checkRealm refuses realms of PVE's own types, and leaves one default.
func checkRealm(c *call, s Section, create bool) error {
	if create && (s.Type == "pam" || s.Type == "pve") {
		return die("unable to create builtin type '%s'", s.Type)
	}
	if c.params["check-connection"] != nil && s.Type != "ldap" && s.Type != "ad" {
		return die("'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'")
	}
	if s.Options["default"] == "1" {
		for i, other := range c.files[realmsFile] {
			if other.ID != s.ID {
				c.files[realmsFile][i].Options = maps.Clone(other.Options)
				delete(c.files[realmsFile][i].Options, "default")
			}
		}
	}
	return nil
}

// realmType is the type of a realm, "" if there is no such realm.
func (s *state) realmType(realm string) string {
	if realm == "pam" || realm == "pve" {
		return realm
	}
	if found := s.section(realmsFile, "", realm); found != nil {
		return found.Type
	}
	return ""
}
