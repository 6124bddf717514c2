package proxmox_test

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// What PVE takes for the id of a token, and makes as its secret: PVE::AccessControl and
// UUID.pm.
var (
	idForm     = regexp.MustCompile(`^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+$`)
	secretForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func TestTokenForms(t *testing.T) {
	ids := []string{
		"", "!", "@!", "ops@pve!mcp", "ops@pve", "ops!mcp", "@pve!mcp", "ops@!mcp", "ops@pve!", "a@b@pve!mcp", "a!b@pve!mcp", "a@pve!b!mcp",
		"ops@pve!mcp ", " ops@pve!mcp", "o ps@pve!mcp", "o:ps@pve!mcp", "o/ps@pve!mcp", "ops@pve!mcp\n", "ops@p!m", "ops@pv!mc", "ops@9pve!mcp", "ops@pve!9mcp",
		"ops@p.v-e_1!m.c-p_2", "öps@pve!mcp", "ops@pve!möp", "ops@pve!mcp/x", "o\u00a0ps@pve!mcp", "o\vps@pve!mcp",
	}
	secrets := []string{
		"", "12345678-1234-1234-1234-123456789abc", "12345678-1234-1234-1234-123456789ABC", "12345678-1234-1234-1234-123456789ab", "12345678-1234-1234-1234-123456789abcd",
		"12345678-1234-1234-12341-23456789abc", "1234567g-1234-1234-1234-123456789abc", "12345678x1234-1234-1234-123456789abc", "12345678-1234-1234-1234-123456789abc\n",
	}
	r := rand.New(rand.NewPCG(1, 2))
	bent := func(s string) string { // one character is another one
		const others = "!@:/ \n-_.aZ0é"
		at, with := r.IntN(len(s)), r.IntN(len(others))
		return s[:at] + others[with:with+1] + s[at+1:]
	}
	for range 2000 {
		ids = append(ids, bent(bent("a.b@pve-1!m_c")))
		secrets = append(secrets, bent("12345678-90ab-CDEF-1234-123456789abc"))
	}
	for _, id := range ids {
		if got, want := proxmox.CheckTokenID(id) == nil, idForm.MatchString(id); got != want {
			t.Errorf("the id %q: %v, want %v", id, got, want)
		}
	}
	for _, s := range secrets {
		if got, want := proxmox.NewSecret(s).Check() == nil, secretForm.MatchString(s); got != want {
			t.Errorf("the secret %q: %v, want %v", s, got, want)
		}
	}
}
