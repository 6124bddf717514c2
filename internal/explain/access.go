package explain

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// rootOnly is what to do where PVE wants root@pam itself, whom no token is.
const rootOnly = "PVE keeps this from every API token: root@pam does it in the web interface, or on the node."

// Separated explains why a token may do less than its user.
const Separated = "The token has privilege separation: it may do what both it and its user may, so that a role has to be given to both."

// unknown explains why PVE does not let a token in, as far as it says so: since 8.4 it
// does not.
func (x Explainer) unknown(e *proxmox.Error) Explanation {
	user, name, _ := strings.Cut(x.TokenID, "!")
	again := fmt.Sprintf("PVE shows a secret only once; for a new one: pveum user token remove %s %s, pveum user token add %s %s, and its roles again.", user, name, user, name)
	next := fmt.Sprintf("This PVE does not say why. On a node, pveum user token list %s shows whether %s is there and has expired, and pveum user list whether the user is enabled. "+
		"If all that is well, the secret is wrong. %s", user, name, again)
	for _, reason := range []struct{ says, next string }{
		{"no such user", "Check PVE_TOKEN_ID (USER@REALM!NAME); pveum user list on a node shows the users."},
		{"is disabled", "Enable the user: pveum user modify " + user + " --enable 1"},
		{"no such token", "Check PVE_TOKEN_ID; pveum user token list " + user + " on a node shows the tokens."},
		{"access expired", fmt.Sprintf("Let it live on: pveum user token modify %s %s --expire 0, or a time in seconds since 1970.", user, name)},
		{"account expired", "Let the user live on: pveum user modify " + user + " --expire 0"},
		{"invalid token value", "The secret is wrong: check PVE_TOKEN_SECRET. " + again},
	} {
		if strings.Contains(e.Message, reason.says) {
			next = reason.next
			break
		}
	}
	return Explanation{fmt.Sprintf("PVE does not accept the token %s: %s", x.TokenID, withFullStop(e.Message)), next}
}

// roles are the built-in roles to grant for a privilege, the same in PVE 8 and 9.
var roles = map[string]string{
	"VM.Audit": "PVEAuditor", "Sys.Audit": "PVEAuditor", "Datastore.Audit": "PVEAuditor", "Pool.Audit": "PVEAuditor",
	"VM.GuestAgent.Audit": "PVEAuditor", "VM.PowerMgmt": "PVEVMUser", "VM.Backup": "PVEVMUser", "VM.Console": "PVEVMUser",
	"Datastore.AllocateSpace": "PVEDatastoreUser", "VM.Snapshot": "PVEVMAdmin",
	"VM.Migrate": "PVEVMAdmin", "VM.Clone": "PVETemplateUser", "VM.Allocate": "PVEVMAdmin", "VM.Config.Disk": "PVEVMAdmin",
}

func (x Explainer) denied(e *proxmox.Error) Explanation {
	path, privs, _ := e.Denied()
	if len(privs) == 0 {
		what := fmt.Sprintf("The token %s may not do this: %s", x.TokenID, withFullStop(e.Message))
		if strings.Contains(e.Message, "root@pam") || strings.Contains(e.Message, "need proper ticket") {
			return Explanation{what, rootOnly}
		}
		return Explanation{what, "PVE does not say which privilege is missing."}
	}
	what, role, making := x.lacks(path, privs)
	user, _, _ := strings.Cut(x.TokenID, "!")
	return Explanation{what + ".", fmt.Sprintf("Grant it: %spveum acl modify %s --roles %s --users %s; for a token with privilege separation again with --tokens '%s'. %s",
		making, path, role, user, x.TokenID, Replaces)}
}

// Separate explains a privilege that the token's user has, and the token has not.
func (x Explainer) Separate(path string, privs []string) Explanation {
	what, role, making := x.lacks(path, privs)
	return Explanation{what + ", which its user has.", fmt.Sprintf("%s Here: %spveum acl modify %s --roles %s --tokens '%s'. %s", Separated, making, path, role, x.TokenID, Replaces)}
}

// Replaces is PVE's rule for an entry on a path.
const Replaces = "Roles on this path replace those from the paths above: name these too."

// lacks says which privilege is missing. It returns a role that has it, and the command
// that creates that role if needed.
func (x Explainer) lacks(path string, privs []string) (what, role, making string) {
	what = fmt.Sprintf("The token %s lacks %s on %s", x.TokenID, strings.Join(privs, " or "), path)
	if role, known := roles[privs[0]]; known {
		return what, role, ""
	}
	return what, "mcp-extra", "pveum role add mcp-extra --privs " + privs[0] + "; "
}
