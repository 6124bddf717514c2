package explain_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

func TestExplain(t *testing.T) {
	x := explain.Explainer{TokenID: "ops@pve!mcp"}
	said := func(status int, msg string) *proxmox.Error {
		return &proxmox.Error{Method: "GET", Path: "/nodes/pve1/qemu/100/config", Status: status, Message: msg}
	}
	other := func(status int, e proxmox.ForeignError) *proxmox.ForeignError {
		e.Method, e.Path, e.Status, e.Shape = "GET", "/version", status, "a web page"
		return &e
	}
	cert := &x509.Certificate{
		Raw: []byte("not a real one"), Subject: pkix.Name{CommonName: "pve1.lan"}, Issuer: pkix.Name{CommonName: "Proxmox Virtual\u202e Environment"},
		DNSNames: []string{"pve1", "pve1.lan"}, NotAfter: time.Date(2028, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	shown := `a certificate of "pve1.lan" for pve1 and pve1.lan, signed by "Proxmox Virtual Environment", valid from 0001-01-01T00:00:00Z ` +
		"to 2028-01-02T03:04:05Z, with the SHA-256 fingerprint " + proxmox.FingerprintOf(cert).String() + "."
	for _, tt := range []struct {
		name       string
		err        error
		what, next string // parts of it
	}{
		{"privilege", said(403, "Permission check failed (/vms/100, VM.PowerMgmt)"),
			"The token ops@pve!mcp lacks VM.PowerMgmt on /vms/100.",
			"pveum acl modify /vms/100 --roles PVEVMUser --users ops@pve; for a token with privilege separation again with --tokens 'ops@pve!mcp'."},
		{"alternatives", said(403, "Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)"),
			"lacks Datastore.Audit or Datastore.AllocateSpace on /storage/local.", "--roles PVEAuditor"},
		{"privilege of no small role", said(403, "Permission check failed (/nodes/pve1, Sys.Modify)"),
			"lacks Sys.Modify", "pveum role add mcp-extra --privs Sys.Modify; pveum acl modify /nodes/pve1 --roles mcp-extra"},
		{"privilege not named", said(403, "Permission check failed"), "may not do this", "does not say which privilege"},
		{"root only", said(403, "Permission check failed (user != root@pam)"), "may not do this: Permission check failed (user != root@pam).", "every API token"},
		{"a secret", said(500, "command 'curl -u bob:hunter2 https://x' failed, the password is hunter2"),
			"command 'curl -u bob:********** https://x' failed, the password is **********.", ""},
		{"a secret in a parameter", &proxmox.Error{Status: 400, Params: map[string]string{"cipassword": "value 'password=hunter2' is refused"}},
			"value 'password=**********' is refused.", "Correct what it names"},
		{"groups that are rules", said(500, "cannot index groups: ha groups have been migrated to rules"), "PVE refused: cannot index groups: ha groups have been migrated to rules.", "Use a rule in place of the group"},
		{"a guest that HA does not manage", said(500, "create ha rule failed: cannot use unmanaged resource(s) vm:900."), "PVE refused: create ha rule failed: cannot use unmanaged resource(s) vm:900.", "A rule names guests that HA manages"},
		{"locked", said(500, "VM is locked (backup)"), "VM is locked (backup).", "PVE sets this lock while a guest is backed up. Wait for the task"},
		{"suspended", said(500, "VM is locked (suspended)"), "VM is locked (suspended).", "resume it first"},
		{"no such snapshot", said(500, "snapshot 'monday' does not exist"), "PVE refused: snapshot 'monday' does not exist.", "pve_list_snapshots"},
		{"changed meanwhile", said(500, "checksum mismatch (file change by other user?)"), "file change by other user?).", "then try again"},
		{"changed meanwhile, CT", said(500, "detected modified configuration - file changed by other user? Try again."), "Try again.", "as it is now"},
		{"agent", said(500, "QEMU guest agent is not running"), "PVE refused: QEMU guest agent is not running.", "qemu-guest-agent"},
		{"token", said(401, "Authentication failed!"), "does not accept the token ops@pve!mcp: Authentication failed!", "pveum user token list ops@pve"},
		{"node down", said(595, "No route to host"), "could not get an answer from the node for /nodes/pve1/qemu/100/config: No route to host (595).", "other nodes"},
		{"proxy", other(503, proxmox.ForeignError{Reason: "Service Unavailable"}), "Something before PVE answered GET /version in its place: 503 Service Unavailable, a web page.", "Look at the proxy"},
		{"login of a proxy", other(401, proxmox.ForeignError{Reason: "Unauthorized", Login: "Basic"}), "401 Unauthorized, a web page, which wants a login (Basic).", "The token was not judged: a proxy wants a login"},
		{"page of a proxy", other(403, proxmox.ForeignError{Reason: "Forbidden"}), "403 Forbidden, a web page.", "The token was not judged."},
		{"another service", other(404, proxmox.ForeignError{Reason: "Not Found"}), "404 Not Found, a web page.", "another service"},
		{"gone", said(500, "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist"), "PVE says: Configuration file", "look again"},
		{"no reason", said(408, ""), "PVE refused GET /nodes/pve1/qemu/100/config with the status 408, and gives no reason.", ""},
		{"refusal", said(500, "can't remove VM 100 - protection mode enabled"), "PVE refused: can't remove VM 100 - protection mode enabled.", ""},
		{"parameters", &proxmox.Error{Status: 400, Message: "Parameter verification failed.", Params: map[string]string{"b": "too big\n", "a": "missing"}},
			"PVE refused the parameters: a: missing; b: too big.", "call again"},
		{"not offered", said(501, "Method 'GET /x' not implemented"), "does not offer GET /nodes/pve1/qemu/100/config", "version"},
		{"redirect", other(301, proxmox.ForeignError{Reason: "Moved Permanently", Location: "https://x"}), "GET /version is answered with a redirect: 301 Moved Permanently, a web page, to https://x", "Give PVE_HOST the final URL"},
		{"unknown outcome", &proxmox.LostError{Method: "POST", Path: "/x", Err: errors.New("EOF")}, "Whether PVE carried out POST /x is unknown", "before you try again"},
		{"lost read", &proxmox.LostError{Method: "GET", Path: "/x", Err: errors.New("EOF")}, "no usable answer: EOF", "try again"},
		{"not connected", &proxmox.ConnectError{Endpoint: "https://pve:8006", Err: errors.New("connection refused")}, "No connection to https://pve:8006: connection refused.", "8006"},
		{"name", &proxmox.ConnectError{Err: &net.DNSError{Name: "pve.nowhere", Err: "no such host"}}, "The name pve.nowhere cannot be resolved.", "PVE_HOST"},
		{"untrusted", &proxmox.ConnectError{Err: &tls.CertificateVerificationError{
			UnverifiedCertificates: []*x509.Certificate{cert}, Err: errors.New("x509: certificate signed by unknown authority")}},
			"not trusted: x509: certificate signed by unknown authority. It presented " + shown, "PVE_FINGERPRINT=" + proxmox.FingerprintOf(cert).String()},
		{"pin", &proxmox.ConnectError{Err: &proxmox.PinError{Presented: []*x509.Certificate{cert}}}, "another certificate than the pinned one: " + shown, "PVE_FINGERPRINT"},
		{"no TLS", &proxmox.ConnectError{Endpoint: "https://pve:80", Err: http.ErrSchemeMismatch}, "No connection to https://pve:80: http: server gave HTTP response to HTTPS client.", "does not speak TLS"},
		{"cancelled", &proxmox.ConnectError{Err: context.Canceled}, "cancelled", ""},
		{"policy", fmt.Errorf("x: %w", &policy.RefusedError{Reason: "this server is read-only"}), "Nothing was sent: this server is read-only.", ""},
		{"own words", &explain.Explanation{What: "Two and two.", Next: "Add."}, "Two and two.", "Add."},
		{"anything", errors.New("strange things"), "Strange things.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := x.Explain(tt.err)
			if !strings.Contains(e.What, tt.what) || !strings.Contains(e.Next, tt.next) || (tt.next == "") != (e.Next == "") {
				t.Errorf("got %q, %q\nwant %q, %q", e.What, e.Next, tt.what, tt.next)
			}
		})
	}
}

// A role that is recommended has the privilege, in each version that knows it.
func TestRecommendedRoles(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.0.11"} {
		api, err := apischema.Load(int(version[0] - '0'))
		if err != nil {
			t.Fatal(err)
		}
		for priv, role := range explain.Roles {
			m := pvesim.Lab()
			m.PVE = version
			m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "none@pve", Role: role}, pvesim.ACL{Path: "/", Who: "none@pve!mcp", Role: role})
			sim, err := pvesim.NewSim(m, pvesim.Options{})
			if err != nil {
				t.Fatal(err)
			}
			token := m.Token("none@pve!mcp")
			client, err := pve.New(proxmox.Options{
				Endpoints: []string{sim.URL()}, Transport: sim.Transport(),
				Token: proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
			})
			if err != nil {
				t.Fatal(err)
			}
			perms, err := client.Permissions(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if asked := asks(api, priv); asked != perms.Has("/", priv) {
				t.Errorf("PVE %s: asked for %s: %v; %s has it: %v", version, priv, asked, role, perms.Has("/", priv))
			}
		}
	}
}

// asks reports whether any endpoint of a version asks for a privilege.
func asks(api *apischema.API, priv string) bool {
	data, err := json.Marshal(api.Endpoints())
	if err != nil {
		panic(err)
	}
	return strings.Contains(string(data), `"`+priv+`"`)
}
