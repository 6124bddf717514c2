package newguest

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// CheckSSHKeys returns an error about the argument ssh_keys if a key is not a whole public
// key, as one line of a file such as id_ed25519.pub.
func CheckSSHKeys(keys []string) error {
	for _, k := range keys {
		k = strings.TrimSpace(k)
		if strings.Contains(k, "PRIVATE KEY") {
			return tool.BadArgument("ssh_keys", "has a private key; give the public one, which begins with ssh-ed25519 or ssh-rsa. Nothing was sent")
		}
		if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(k)); err != nil || len(rest) > 0 || strings.Contains(k, "\n") {
			return tool.BadArgument("ssh_keys", fmt.Sprintf("has %q; give whole public keys, such as \"ssh-ed25519 AAAAC3Nza… anna@laptop\"", render.Text(k, 40)))
		}
	}
	return nil
}
