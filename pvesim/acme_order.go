package pvesim

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/testca"
)

// acmeDomain is a domain of a node and the plugin that proves that it has it.
type acmeDomain struct{ name, plugin string }

// acmeDomains are the domains of which the node is to have a certificate, and the account that
// orders it.
func (c *call) acmeDomains() (domains []acmeDomain, account string, err error) {
	options := map[string]string{}
	if set := c.section(c.nodeFile(), "", ""); set != nil {
		options = set.Options
	}
	add := func(name, plugin string) error {
		name = strings.ToLower(name)
		if slices.ContainsFunc(domains, func(d acmeDomain) bool { return d.name == name }) {
			return die("duplicate domain '%s' in ACME config properties", name)
		}
		if plugin != "standalone" && c.section(acmePluginsFile, "", plugin) == nil {
			return die("plugin '%s' for domain '%s' not found!", plugin, name)
		}
		domains = append(domains, acmeDomain{name, plugin})
		return nil
	}
	for name := range strings.SplitSeq(propstring.Get(options["acme"], "domains"), ";") {
		if name != "" {
			err = cmp.Or(err, add(name, "standalone"))
		}
	}
	for i := range 6 {
		if text := options[fmt.Sprint("acmedomain", i)]; text != "" {
			name := cmp.Or(propstring.Get(text, ""), propstring.Get(text, "domain"))
			err = cmp.Or(err, add(name, cmp.Or(propstring.Get(text, "plugin"), "standalone")))
		}
	}
	if err == nil && len(domains) == 0 {
		err = die("ACME domain list in node configuration is missing!")
	}
	return domains, cmp.Or(propstring.Get(options["acme"], "account"), "default"), err
}

// acmeTask starts a task about the node's certificate that needs the account.
func (c *call) acmeTask(typ, account string, work func(j *journal) error) (any, error) {
	return c.fork(c.now, c.node, c.caller.User, typ, "", 0, func(now time.Time) outcome {
		if c.section(acmeAccountsFile, "", account) == nil {
			return failed(0, "ACME account config file '%s' does not exist.", account)
		}
		j := &journal{began: now}
		j.say("Loading ACME account details")
		if err := work(j); err != nil {
			return j.fail(err)
		}
		j.pass(time.Second)
		return j.done(nil)
	}), nil
}

// orderCertificate orders the node's first certificate, as if its domains were what they are
// said to be.
func orderCertificate(c *call) (any, error) {
	if c.customCertificate() != nil && !c.flag("force") {
		return nil, badParam("force", "Custom certificate exists but 'force' is not set.")
	}
	domains, account, err := c.acmeDomains()
	if err != nil {
		return nil, err
	}
	return c.acmeTask("acmenewcert", account, func(j *journal) error { return c.obtainCertificate(j, domains) })
}

// renewCertificate orders another certificate if the present one ends soon.
func renewCertificate(c *call) (any, error) {
	custom := c.customCertificate()
	if custom == nil {
		return nil, die("No current (custom) certificate found, please order a new certificate!")
	}
	if !c.flag("force") && !endsWithin(custom.Options["certificates"], c.now, 30*day) {
		return nil, badParam("force", "Certificate does not expire within the next 30 days, and 'force' is not set.")
	}
	domains, account, err := c.acmeDomains()
	if err != nil {
		return nil, err
	}
	return c.acmeTask("acmerenew", account, func(j *journal) error {
		if err := c.obtainCertificate(j, domains); err != nil {
			return err
		}
		j.say("Revoking old certificate")
		return nil
	})
}

// revokeCertificate revokes the certificate, and goes back to the node's own.
func revokeCertificate(c *call) (any, error) {
	_, account, err := c.acmeDomains()
	if err != nil {
		return nil, err
	}
	if c.customCertificate() == nil {
		return nil, die("can't open '/etc/pve/nodes/%s/pveproxy-ssl.pem' - No such file or directory", c.node.Name)
	}
	return c.acmeTask("acmerevoke", account, func(j *journal) error {
		j.say("Revoking old certificate")
		j.pass(time.Second)
		j.say("Deleting certificate files")
		j.say("Restarting pveproxy to revert to self-signed certificates")
		delete(c.files, c.nodeSettings("pveproxy-ssl"))
		return nil
	})
}

// obtainCertificate proves the domains and keeps the certificate, in PVE's words. The simulator's server
// keeps its own, which clients have pinned.
func (c *call) obtainCertificate(j *journal, domains []acmeDomain) error {
	base := "https://acme-v02.api.letsencrypt.org/acme/"
	j.say("Placing ACME order")
	j.pass(time.Second)
	j.say("Order URL: %sorder/%d", base, hash(c.model.Seed, "order", c.made)%1e9)
	var names []string
	for _, d := range domains {
		names = append(names, d.name)
		j.say("")
		j.say("Getting authorization details from '%sauthz-v3/%d'", base, hash(c.model.Seed, d.name)%1e9)
		j.say("The validation for %s is pending!", d.name)
		if plugin := c.section(acmePluginsFile, "", d.plugin); d.plugin != "standalone" && plugin == nil {
			return die("plugin '%s' for domain '%s' not found!", d.plugin, d.name)
		} else if d.plugin == "standalone" {
			j.say("Setting up webserver")
		}
		j.say("Triggering validation")
		j.say("Sleeping for 5 seconds")
		j.pass(5 * time.Second)
		j.say("Status is 'valid', domain '%s' OK!", d.name)
	}
	j.say("")
	for _, line := range []string{"All domains validated!", "", "Creating CSR", "Checking order status", "Order is ready, finalizing order", "valid!", "", "Downloading certificate"} {
		j.say("%s", line)
	}
	j.pass(5 * time.Second)
	certificate, key, err := testca.IssueFor("R11", names, c.now.UTC())
	if err != nil {
		return err
	}
	j.say("Setting pveproxy certificate and key")
	j.say("Restarting pveproxy")
	c.files[c.nodeSettings("pveproxy-ssl")] = []Section{{Options: map[string]string{"certificates": certificate, "key": key}}}
	return nil
}

// endsWithin reports whether a certificate is good for less than a time.
func endsWithin(certificate string, now time.Time, left time.Duration) bool {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return true
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return err != nil || cert.NotAfter.Before(now.Add(left))
}

// challengePlugins are the services at which PVE can prove that somebody has a domain, with
// their settings: some of those of acme.sh.
var challengePlugins = []struct{ id, name, fields string }{
	{"acmedns", "ACME DNS", "ACMEDNS_BASE_URL ACMEDNS_PASSWORD ACMEDNS_SUBDOMAIN ACMEDNS_USERNAME"},
	{"aws", "Amazon Route53 (AWS)", "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"},
	{"cf", "Cloudflare Managed DNS", "CF_Account_ID CF_Email CF_Key CF_Token CF_Zone_ID"},
	{"dgon", "DigitalOcean DNS", "DO_API_KEY"},
	{"hetzner", "Hetzner", "HETZNER_Token"},
	{"nsupdate", "nsupdate (RFC 2136)", "NSUPDATE_KEY NSUPDATE_SERVER NSUPDATE_ZONE"},
	{"ovh", "OVH", "OVH_AK OVH_AS OVH_CK OVH_END_POINT"},
	{"pdns", "PowerDNS server", "PDNS_ServerId PDNS_Token PDNS_Ttl PDNS_Url"},
}

func listChallenges(*call) (any, error) {
	out := []any{}
	for _, p := range challengePlugins {
		fields := map[string]any{}
		for name := range strings.FieldsSeq(p.fields) {
			fields[name] = map[string]any{"type": "string"}
		}
		out = append(out, map[string]any{"id": p.id, "name": p.name, "type": "dns", "schema": map[string]any{"name": p.name, "fields": fields}})
	}
	return out, nil
}
