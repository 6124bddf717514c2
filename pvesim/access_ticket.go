package pvesim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// How long a ticket is valid, and how far ahead the clock may be by which it was made.
const (
	ticketLife  = 2 * time.Hour
	ticketGrace = 5 * time.Minute
)

// sign makes the signature of a text. PVE's is made with an RSA key, and as long.
func (s *state) sign(text string) string {
	var sum []byte
	for i := range 4 {
		mac := hmac.New(sha512.New, fmt.Append(nil, "ticket", s.model.Seed, i))
		mac.Write([]byte(text))
		sum = mac.Sum(sum)
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// newTicket makes a ticket of a user.
func (c *call) newTicket(user string) string {
	plain := fmt.Sprintf("PVE:%s:%08X", strings.ReplaceAll(user, ":", "%3A"), c.now.Unix())
	return plain + "::" + c.sign(plain)
}

// ticketUser is the user of a valid ticket.
func (c *call) ticketUser(ticket string) (string, bool) {
	plain, signature, _ := strings.Cut(ticket, "::")
	parts := strings.Split(plain, ":")
	if len(parts) != 3 || parts[0] != "PVE" || !hmac.Equal([]byte(signature), []byte(c.sign(plain))) || !c.isFresh(parts[2]) {
		return "", false
	}
	user, err := url.PathUnescape(parts[1])
	return user, err == nil
}

// isFresh reports whether a time, in hexadecimal, is one at which a ticket was made that is
// valid now.
func (c *call) isFresh(stamp string) bool {
	at, err := strconv.ParseInt(stamp, 16, 64)
	age := c.now.Sub(time.Unix(at, 0))
	return err == nil && age > -ticketGrace && age < ticketLife
}

// forgeryToken is what a browser must send with a ticket, and a forged request lacks.
func (c *call) forgeryToken(stamp, user string) string {
	mac := hmac.New(sha256.New, fmt.Append(nil, "csrf", c.model.Seed))
	mac.Write([]byte(stamp + ":" + user))
	return stamp + ":" + base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

func (c *call) knowsForgeryToken(user string) bool {
	given := c.req.Header.Get("CSRFPreventionToken")
	stamp, _, _ := strings.Cut(given, ":")
	return c.isFresh(stamp) && hmac.Equal([]byte(given), []byte(c.forgeryToken(stamp, user)))
}

// createTicket logs a user in, by password or by a ticket that is still valid.
func createTicket(c *call) (any, error) {
	user := c.str("username")
	if realm := c.str("realm"); realm != "" {
		user += "@" + realm
	}
	if err := c.login(user); err != nil { // of which PVE says no more
		return nil, c.after(unauthorizedDelay, &refusal{status: 401, message: "authentication failure\n"})
	}
	out := map[string]any{"username": user, "cap": c.capabilities(user)}
	if c.str("path") == "" {
		out["ticket"] = c.newTicket(user)
		out["CSRFPreventionToken"] = c.forgeryToken(fmt.Sprintf("%08X", c.now.Unix()), user)
	}
	if _, audits := c.privs(user, "/").held["Sys.Audit"]; audits && c.model.Cluster != "" {
		out["clustername"] = c.model.Cluster
	}
	return out, nil
}

// login checks what a user gives to prove itself and, if the call names them, its privileges.
func (c *call) login(user string) error {
	if why := c.userRefusal(user); why != "" {
		return die("%s", why)
	}
	holder, ok := c.ticketUser(c.str("password"))
	verify := c.str("path") != ""
	if !ok || holder != user && (verify || holder != rootUser) {
		if err := c.checkPassword(user, c.str("password")); err != nil {
			return err
		}
	}
	if !verify {
		return nil
	}
	caller := c.caller
	caller.User = user
	caller.Privs = func(path string) map[string]bool { return c.privs(user, path).held }
	return caller.Require(c.str("path"), apischema.SplitList(c.str("privs"))...)
}

// checkPassword refuses a password that is not the user's.
func (c *call) checkPassword(user, password string) error {
	switch u := c.users[user]; {
	case u.Password == "" || u.Password != password:
		return die("invalid credentials")
	}
	return nil
}

// capabilities are the privileges that a user has anywhere, by what they are about.
func (c *call) capabilities(user string) map[string]map[string]int {
	about := map[string][]string{
		"vms": {"VM."}, "access": {"User.", "Group."}, "storage": {"Datastore."}, "nodes": {"Sys."}, "sdn": {"SDN."},
		"dc": {"Sys.Audit", "Sys.Modify", "SDN."}, "mapping": {"Mapping."},
	}
	out := map[string]map[string]int{}
	for area := range about {
		out[area] = map[string]int{}
	}
	paths := slices.AppendSeq([]string{"/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"}, slices.Values(sortedKeys(c.acl)))
	for _, path := range paths {
		area, _, _ := strings.Cut(path[1:], "/")
		areas := []string{area}
		switch area {
		case "":
			areas = []string{"dc"}
		case "pool":
			areas = []string{"vms", "storage"}
		}
		for priv := range c.privs(user, path).held {
			for _, area := range areas {
				belongs := slices.ContainsFunc(about[area], func(prefix string) bool { return strings.HasPrefix(priv, prefix) })
				if about[area] != nil && (belongs || area != "dc" && priv == "Permissions.Modify") {
					out[area][priv] = 1
				}
			}
		}
	}
	return out
}

// getTicket is there for those who have none, and says nothing.
func getTicket(*call) (any, error) { return nil, nil }

// putPassword gives a user another password. Users but root confirm it with their own.
func putPassword(c *call) (any, error) {
	id := c.str("userid")
	u, err := c.theUser()
	if err != nil {
		return nil, err
	}
	_, realm, _ := strings.Cut(id, "@")
	if !c.isRoot() {
		if err := c.confirmed(id, realm); err != nil {
			return nil, err
		}
	}
	switch typ := c.realmType(realm); typ {
	case "pam", "pve":
	case "":
		return nil, die("auth domain '%s' does not exist", realm)
	default:
		return nil, die("can't set password on auth type '%s'", typ)
	}
	u.Password = c.str("password")
	c.users[id] = u
	return nil, nil
}

// confirmed refuses a change of a password that its author may not make, or does not confirm.
func (c *call) confirmed(id, realm string) error {
	const confirmation = "confirmation-password"
	if id == rootUser {
		return &apischema.PermissionError{}
	}
	if c.api().Param(c.ep, confirmation) != nil {
		if c.params[confirmation] == nil {
			return badParam(confirmation, "password is required to modify user")
		}
		if err := c.checkPassword(c.caller.User, c.str(confirmation)); err != nil {
			return err
		}
	}
	if c.caller.User != id && realm == "pam" {
		return &apischema.PermissionError{}
	}
	return nil
}
