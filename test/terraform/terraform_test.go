// Package terraform lets Terraform and bpg's provider for PVE work on pve-mcp sim. What they
// make has to read back as they asked for it, so that a plan has nothing left to change.
package terraform

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// providerFolder is the variable that names the folder of the provider's program.
const providerFolder = "PVE_MCP_TERRAFORM_PROVIDER"

func TestTerraform(t *testing.T) {
	provider := os.Getenv(providerFolder)
	if provider == "" {
		t.Skipf("1 client not tried: %s names no folder with terraform-provider-proxmox, bpg's provider", providerFolder)
	}
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("1 client not tried: there is no terraform")
	}
	program := filepath.Join(t.TempDir(), "pve-mcp")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/pve-mcp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, version := range []string{"8.4.21", "9.2.11"} {
		t.Run(version, func(t *testing.T) {
			newWorkspace(t, provider, simproc.Serve(t, exec.CommandContext(t.Context(), program,
				"sim", "--listen", "127.0.0.1:0", "--pve", version, "--speed", "30"))).cycle(t)
		})
	}
}

// workspace is a folder in which Terraform works on one simulated cluster.
type workspace struct {
	dir string
	env []string
}

func newWorkspace(t *testing.T, provider string, cluster []string) workspace {
	t.Helper()
	w := workspace{dir: t.TempDir()}
	config, err := os.ReadFile("main.tf")
	if err != nil {
		t.Fatal(err)
	}
	settings := "provider_installation {\n  dev_overrides {\n    \"bpg/proxmox\" = \"" + provider + "\"\n  }\n  direct {}\n}\n"
	for name, text := range map[string]string{"main.tf": string(config), "settings.tfrc": settings} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "settings.tfrc"),
		"PROXMOX_VE_USERNAME=root@pam", "PROXMOX_VE_PASSWORD=simulated", "PROXMOX_VE_INSECURE=true")
	for _, variable := range cluster {
		if host, ok := strings.CutPrefix(variable, "PVE_HOST="); ok {
			w.env = append(w.env, "PROXMOX_VE_ENDPOINT="+host)
		}
	}
	return w
}

// cycle makes everything of main.tf, changes it and destroys it.
func (w workspace) cycle(t *testing.T) {
	for _, stage := range []string{"stage=1", "stage=2"} {
		w.terraform(t, "apply", "-auto-approve", "-var", stage)
		w.terraform(t, "plan", "-detailed-exitcode", "-var", stage) // exits with 2 if something is left to change
	}
	w.terraform(t, "destroy", "-auto-approve", "-var", "stage=2")
	if left := w.terraform(t, "state", "list"); left != "" {
		t.Errorf("still there: %s", left)
	}
}

// terraform runs one of its commands, which has to succeed, and returns what it prints.
func (w workspace) terraform(t *testing.T, command string, args ...string) string {
	t.Helper()
	if command != "state" {
		args = append(args, "-no-color", "-input=false")
	}
	cmd := exec.CommandContext(t.Context(), "terraform", append([]string{command}, args...)...)
	cmd.Dir, cmd.Env = w.dir, w.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
		t.Fatalf("terraform %s %v: %v\n%s%s", command, args, err, out.String(), errs.String())
	}
	return out.String()
}
