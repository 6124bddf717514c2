package pvesim

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/testca"
)

// nodeSettingRoutes are the endpoints of what is set for single nodes.
func nodeSettingRoutes() routes {
	return routes{
		"GET /nodes/{node}/apt/repositories":       {serve: getRepositories},
		"POST /nodes/{node}/apt/repositories":      {serve: switchRepository},
		"PUT /nodes/{node}/apt/repositories":       {serve: addRepository},
		"GET /nodes/{node}/certificates/acme":      {serve: index("name")},
		"GET /nodes/{node}/certificates/info":      {serve: listCertificates},
		"POST /nodes/{node}/certificates/custom":   {serve: uploadCertificate},
		"DELETE /nodes/{node}/certificates/custom": {serve: deleteCertificate},
		"GET /nodes/{node}/dns":                    {serve: getDNS},
		"PUT /nodes/{node}/dns":                    {serve: putDNS},
		"GET /nodes/{node}/hosts":                  {serve: getHosts},
		"POST /nodes/{node}/hosts":                 {serve: postHosts},
		"GET /nodes/{node}/time":                   {serve: getNodeTime},
		"PUT /nodes/{node}/time":                   {serve: putNodeTime},
	}
}

// nodeSettings are those of a node that are not in PVE's own files, by what they are about.
func (c *call) nodeSettings(about string) string { return "nodes/" + c.node.Name + "/" + about }

// nodeDNS is the name server that nodes ask.
const nodeDNS = "10.255.255.53"

// dns are the name servers of a node and the domain in which it looks for names.
func (s *state) dns(node string) map[string]string {
	if set := s.section("nodes/"+node+"/dns", "", ""); set != nil {
		return set.Options
	}
	return map[string]string{"dns1": nodeDNS}
}

// nameServers are those that a node asks, in their order.
func (s *state) nameServers(node string) []string {
	var out []string
	set := s.dns(node)
	for _, key := range []string{"dns1", "dns2", "dns3"} {
		if set[key] != "" {
			out = append(out, set[key])
		}
	}
	return out
}

func getDNS(c *call) (any, error) {
	out := map[string]any{}
	for key, value := range c.dns(c.node.Name) {
		out[key] = value
	}
	return out, nil
}

// putDNS replaces all name servers: what is not named goes.
func putDNS(c *call) (any, error) {
	s := Section{Options: map[string]string{}}
	if search := c.str("search"); search != "" {
		s.Options["search"] = search
	}
	seen := map[string]bool{"": true, "0.0.0.0": true}
	for _, key := range []string{"dns1", "dns2", "dns3"} {
		if server := c.str(key); !seen[server] {
			seen[server] = true
			s.Options[fmt.Sprint("dns", len(seen)-2)] = server
		}
	}
	c.files[c.nodeSettings("dns")] = []Section{s}
	return nil, nil
}

// hostsText is the file with the names of a node.
func (c *call) hostsText() string {
	if set := c.section(c.nodeSettings("hosts"), "", ""); set != nil {
		return set.Options["data"]
	}
	return fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", c.node.IP, c.node.Name)
}

func getHosts(c *call) (any, error) {
	text := c.hostsText()
	return map[string]any{"data": text, "digest": sha1Hex(text)}, nil
}

var hostName = lazyregexp.New(`^[.\-a-zA-Z0-9]+$`)

func postHosts(c *call) (any, error) {
	if err := c.checkDigestOf(sha1Hex(c.hostsText())); err != nil {
		return nil, err
	}
	text := c.str("data")
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if _, err := netip.ParseAddr(words[0]); err != nil {
			return nil, badParam("data", "Invalid IP '%s'", words[0])
		}
		for _, name := range words[1:] {
			if !hostName.MatchString(name) {
				return nil, badParam("data", "Invalid Hostname '%s'", name)
			}
		}
	}
	c.files[c.nodeSettings("hosts")] = []Section{{Options: map[string]string{"data": text}}}
	return nil, nil
}

// zone is the time zone of the node that answers. The names are those that this machine
// knows.
func (c *call) zone() *time.Location {
	if set := c.section(c.nodeSettings("time"), "", ""); set != nil {
		if zone, err := time.LoadLocation(set.Options["timezone"]); err == nil {
			return zone
		}
	}
	return time.UTC
}

func getNodeTime(c *call) (any, error) {
	at := c.node.time(c.now)
	_, ahead := at.In(c.zone()).Zone()
	return map[string]any{"time": at.Unix(), "localtime": at.Unix() + int64(ahead), "timezone": c.zone().String()}, nil
}

func putNodeTime(c *call) (any, error) {
	name := c.str("timezone")
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return nil, badParam("timezone", "No such timezone")
	}
	c.files[c.nodeSettings("time")] = []Section{{Options: map[string]string{"timezone": name}}}
	return nil, nil
}

// customCertificate is a node's own certificate for its web server, that somebody has
// uploaded.
func (c *call) customCertificate() *Section { return c.section(c.nodeSettings("pveproxy-ssl"), "", "") }

// uploadCertificate keeps a certificate and its key, and shows it. The simulator's server
// keeps its own, which clients have pinned.
func uploadCertificate(c *call) (any, error) {
	old, key := c.customCertificate(), c.str("key")
	switch {
	case old == nil && key == "":
		return nil, badParam("key", "Attempted to upload custom certificate without (existing) key.")
	case old != nil && !c.flag("force"):
		return nil, die("Custom certificate file exists but force flag is not set.\n")
	case key == "":
		key = old.Options["key"]
	}
	certificate := c.str("certificates")
	if _, err := tls.X509KeyPair([]byte(certificate), []byte(key)); err != nil {
		return nil, die("Setting certificate files failed - key does not match the certificate (chain) ()\n")
	}
	c.files[c.nodeSettings("pveproxy-ssl")] = []Section{{Options: map[string]string{"certificates": certificate, "key": key}}}
	return c.describeCustom()
}

func (c *call) describeCustom() (map[string]any, error) {
	out, err := testca.DescribePEM(c.customCertificate().Options["certificates"])
	if err == nil {
		out["filename"] = "pveproxy-ssl.pem"
	}
	return out, err
}

func deleteCertificate(c *call) (any, error) {
	delete(c.files, c.nodeSettings("pveproxy-ssl"))
	return nil, nil
}
