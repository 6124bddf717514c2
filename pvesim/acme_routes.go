package pvesim

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// acmePluginsFile and acmeAccountsFile are where plugins and accounts of ACME are kept.
const (
	acmePluginsFile  = "priv/acme/plugins.cfg"
	acmeAccountsFile = "priv/acme"
)

// acmeDirectories are the certificate authorities that PVE offers.
var acmeDirectories = [][2]string{
	{"Let's Encrypt V2", "https://acme-v02.api.letsencrypt.org/directory"},
	{"Let's Encrypt V2 Staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
}

// acmeTerms are the terms of service of the certificate authorities.
const acmeTerms = "https://letsencrypt.org/documents/LE-SA-v1.5-February-24-2025.pdf"

// acmeRoutes are the endpoints of accounts at certificate authorities, and of plugins that
// prove who has a domain.
func acmeRoutes() routes {
	all := routes{
		"GET /cluster/acme":                   {serve: index("name")},
		"GET /cluster/acme/account":           {serve: listAccounts},
		"POST /cluster/acme/account":          {serve: createAccount},
		"GET /cluster/acme/account/{name}":    {serve: getAccount},
		"PUT /cluster/acme/account/{name}":    {serve: putAccount},
		"DELETE /cluster/acme/account/{name}": {serve: deleteAccount},
		"GET /cluster/acme/challenge-schema":  {serve: listChallenges},
		"GET /cluster/acme/directories":       {serve: listDirectories},

		"POST /nodes/{node}/certificates/acme/certificate":   {serve: orderCertificate},
		"PUT /nodes/{node}/certificates/acme/certificate":    {serve: renewCertificate},
		"DELETE /nodes/{node}/certificates/acme/certificate": {serve: revokeCertificate},
		"GET /cluster/acme/meta":                             {serve: getACMEMeta},
		"GET /cluster/acme/tos":                              {serve: getACMETerms},
	}
	maps.Copy(all, acmePlugins().routes())
	return all
}

func acmePlugins() sectionKind {
	return sectionKind{
		path: "/cluster/acme/plugins", file: acmePluginsFile, key: "id", shownKey: "plugin", inList: true, inOne: true,
		needed:   map[string]string{"dns": "api", "standalone": ""},
		optional: map[string]string{"dns": "data nodes disable validation-delay", "standalone": "nodes disable"},
		builtin:  []Section{{ID: "standalone", Type: "standalone"}},
		unknown:  func(id string) error { return die("ACME plugin '%s' not defined", id) },
		gone:     func(id string) error { return die("ACME plugin ID '%s' does not exist", id) },
		taken:    func(id string) error { return die("ACME plugin ID '%s' already exists", id) },
		fields: func(c *call, entry map[string]any) map[string]any {
			if typ := c.str("type"); typ != "" && typ != entry["type"] {
				return nil
			}
			return entry
		},
		check: func(c *call, s Section, _ bool) error { // the data come encoded
			if plain, err := base64.StdEncoding.DecodeString(c.str("data")); err == nil && len(plain) > 0 {
				s.Options["data"] = string(plain)
			}
			return nil
		},
	}
}

func listDirectories(*call) (any, error) {
	out := []any{}
	for _, d := range acmeDirectories {
		out = append(out, map[string]any{"name": d[0], "url": d[1]})
	}
	return out, nil
}

func getACMEMeta(*call) (any, error) {
	return map[string]any{"termsOfService": acmeTerms, "website": "https://letsencrypt.org", "caaIdentities": []any{"letsencrypt.org"}}, nil
}

func getACMETerms(*call) (any, error) { return acmeTerms, nil }

func listAccounts(c *call) (any, error) {
	out := []any{}
	for _, s := range c.files[acmeAccountsFile] {
		out = append(out, map[string]any{"name": s.ID})
	}
	return out, nil
}

// accountName is the account that the call is about.
func (c *call) accountName() string { return cmp.Or(c.str("name"), "default") }

func (c *call) theAccount() (*Section, error) {
	if s := c.section(acmeAccountsFile, "", c.accountName()); s != nil {
		return s, nil
	}
	return nil, badParam("name", "ACME account config file '%s' does not exist.", c.accountName())
}

func getAccount(c *call) (any, error) {
	s, err := c.theAccount()
	if err != nil {
		return nil, err
	}
	contact := []any{}
	for _, address := range apischema.SplitList(s.Options["contact"]) {
		contact = append(contact, "mailto:"+address)
	}
	out := map[string]any{
		"account":   map[string]any{"contact": contact, "createdAt": s.Options["created"], "status": "valid"},
		"directory": s.Options["directory"], "location": s.Options["location"],
	}
	if tos := s.Options["tos_url"]; tos != "" {
		out["tos"] = tos
	}
	return out, nil
}

// createAccount registers an account in a task, as if the certificate authority answered.
func createAccount(c *call) (any, error) {
	name := c.accountName()
	if c.section(acmeAccountsFile, "", name) != nil {
		return nil, badParam("name", "ACME account config file '%s' already exists.", name)
	}
	s := Section{ID: name, Type: "account", Options: map[string]string{
		"contact": c.str("contact"), "directory": cmp.Or(c.str("directory"), acmeDirectories[0][1]), "tos_url": c.str("tos_url"),
		"created": c.now.UTC().Format(time.RFC3339),
	}}
	s.Options["location"] = strings.TrimSuffix(s.Options["directory"], "directory") + fmt.Sprint("acme/acct/", hash(c.model.Seed, name)%1e9)
	return c.fork(c.now, c.receiver, c.caller.User, "acmeregister", "", 0, func(now time.Time) outcome {
		j := &journal{began: now}
		j.say("Generating ACME account key..")
		j.pass(2 * time.Second)
		j.say("Registering ACME account..")
		j.pass(time.Second)
		j.say("Registration successful, account URL: '%s'", s.Options["location"])
		return j.done(func(time.Time) { c.files[acmeAccountsFile] = append(c.files[acmeAccountsFile], s) })
	}), nil
}

func putAccount(c *call) (any, error) {
	s, err := c.theAccount()
	if err != nil {
		return nil, err
	}
	contact, name := c.str("contact"), s.ID
	if contact == "" {
		return c.fork(c.now, c.receiver, c.caller.User, "acmerefresh", "", 0, func(time.Time) outcome { return done(time.Second, nil) }), nil
	}
	return c.fork(c.now, c.receiver, c.caller.User, "acmeupdate", "", 0, func(time.Time) outcome {
		return done(time.Second, func(time.Time) {
			if s := c.section(acmeAccountsFile, "", name); s != nil {
				s.Options["contact"] = contact
			}
		})
	}), nil
}

// deleteAccount deactivates an account, and moves its file away.
func deleteAccount(c *call) (any, error) {
	s, err := c.theAccount()
	if err != nil {
		return nil, err
	}
	name := s.ID
	return c.fork(c.now, c.receiver, c.caller.User, "acmedeactivate", "", 0, func(now time.Time) outcome {
		j := &journal{began: now}
		j.pass(time.Second)
		j.say("Renaming account file from '/etc/pve/priv/acme/%s' to '/etc/pve/priv/acme/_deactivated_%s_0'", name, name)
		return j.done(func(time.Time) { c.removeSection(acmeAccountsFile, "account", name) })
	}), nil
}
