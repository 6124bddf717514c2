package pvesim

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// file is the guest's configuration as PVE writes it.
func (g *guest) file() string {
	var b strings.Builder
	section(&b, "", g.Config)
	if len(g.pending)+len(g.dropped) > 0 {
		b.WriteString("\n[PENDING]\n")
		for _, key := range slices.Sorted(maps.Keys(g.dropped)) {
			fmt.Fprintf(&b, "delete: %s\n", key)
		}
		section(&b, "", g.pending)
	}
	for _, snap := range g.snaps {
		fmt.Fprintf(&b, "\n[%s]\n", snap.Name)
		section(&b, snap.Description, snap.Config)
		fmt.Fprintf(&b, "parent: %s\nsnaptime: %d\nvmstate: %s\n", snap.Parent, snap.taken.Unix(), snap.VMState)
	}
	return b.String()
}

func section(b *strings.Builder, description string, config map[string]string) {
	for line := range strings.Lines(description + config["description"]) {
		b.WriteString("#" + strings.TrimSuffix(line, "\n") + "\n")
	}
	for _, k := range slices.Sorted(maps.Keys(config)) {
		if k != "description" {
			fmt.Fprintf(b, "%s: %s\n", k, config[k])
		}
	}
}

// configDigest is the SHA-1 of the configuration as a file.
func (g *guest) configDigest() string {
	sum := sha1.Sum([]byte(g.file()))
	return hex.EncodeToString(sum[:])
}

// planned is the configuration with its pending changes.
func (g *guest) planned() map[string]string {
	config := maps.Clone(g.Config)
	for key := range g.dropped {
		delete(config, key)
	}
	maps.Copy(config, g.pending)
	return config
}

// typed gives a value of a configuration its JSON type, which is that of the
// parameter: memory is a number for a container and a string for a VM.
func (c *call) typed(g *guest, key, value string) any {
	if key == "cipassword" {
		return "**********"
	}
	s := c.api().Param(c.api().Endpoint("PUT", "/nodes/{node}/"+g.Kind+"/{vmid}/config"), key)
	if s == nil || s.Type == "string" || s.Type == "number" { // whose fractions stay as they were written
		return value
	}
	if n, err := strconv.ParseFloat(value, 64); err == nil {
		return n
	}
	return value
}

func (c *call) typedAll(g *guest, config map[string]string) map[string]any {
	out := map[string]any{}
	for key, value := range config {
		out[key] = c.typed(g, key, value)
	}
	return out
}

func guestConfig(c *call, g *guest) (any, error) {
	if c.str("snapshot") != "" && c.flag("current") {
		const both = "cannot use 'snapshot' parameter with 'current'"
		return nil, &apischema.ParamError{Errors: map[string]string{"snapshot": both, "current": both}}
	}
	config := g.planned()
	if c.flag("current") {
		config = g.Config
	}
	if name := c.str("snapshot"); name != "" {
		snap, err := g.snapshot(name)
		if err != nil {
			return nil, err
		}
		out := c.snapshotFields(g, snap)
		out["digest"] = g.configDigest()
		return out, nil
	}
	out := c.typedAll(g, config)
	out["digest"] = g.configDigest()
	return out, nil
}

func guestPending(c *call, g *guest) (any, error) {
	out := []any{map[string]any{"key": "digest", "value": g.configDigest()}}
	keys := maps.Clone(g.Config)
	maps.Copy(keys, g.pending)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		item := map[string]any{"key": key}
		if value, ok := g.Config[key]; ok {
			item["value"] = c.typed(g, key, value)
		}
		if value, ok := g.pending[key]; ok {
			item["pending"] = c.typed(g, key, value)
		}
		if force, ok := g.dropped[key]; ok {
			item["delete"] = 1 + bit(force)
		}
		out = append(out, item)
	}
	return out, nil
}

// checkDigest refuses a change of a configuration that is not the one that the
// caller has seen.
func (c *call) checkDigest(g *guest, refusal string) error {
	if digest := c.str("digest"); digest != "" && digest != g.configDigest() {
		return die("%s", refusal)
	}
	return nil
}

// What PVE says if the digest is another: VMs' own code, and the rest.
const (
	otherChecksum = "checksum mismatch (file change by other user?)"
	otherDigest   = "detected modified configuration - file changed by other user? Try again."
)

// unlocked refuses if the guest has a lock.
func (g *guest) unlocked() error {
	if lock := g.Config["lock"]; lock != "" {
		return die("%s is locked (%s)", g.noun(), lock)
	}
	return nil
}

// unprotected refuses if the guest is protected from what is to be done.
func (g *guest) unprotected(format string, args ...any) error {
	if g.Config["protection"] == "1" {
		return die(format+" - protection mode enabled", args...)
	}
	return nil
}
