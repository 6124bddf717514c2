package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/seal"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

func parseBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", quoted(v))
}

func parseDuration(v string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if n, bare := strconv.Atoi(v); bare == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration", quoted(v))
	}
	if d < least || d > most {
		return 0, fmt.Errorf("%q is not between %v and %v", v, least, most)
	}
	return d, nil
}

func parseCount(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s is not a whole number from %d to %d", quoted(v), least, most)
	}
	return n, nil
}

func parseKeys(v string) (seal.Keys, error) {
	var keys seal.Keys
	for _, text := range splitList(v) {
		if len(text) < 32 {
			return nil, fmt.Errorf("a key has at least 32 characters, and one has %d", len(text))
		}
		keys = append(keys, []byte(text))
	}
	return keys, nil
}
func parseNames(v string) ([]string, error) {
	names := splitList(v)
	for _, name := range names {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_-") != "" || strings.ContainsAny(name[:1], "_-") {
			return nil, fmt.Errorf("%s is not a name", quoted(name))
		}
	}
	return names, nil
}

// parseTools reads names, each perhaps after a minus sign.
func parseTools(v string) ([]string, error) {
	tools := splitList(v)
	for _, name := range tools {
		if _, err := parseNames(strings.TrimPrefix(name, "-")); err != nil || name == "-" {
			return nil, fmt.Errorf("%s is not the name of a tool", quoted(name))
		}
	}
	return tools, nil
}

func parsePins(v string) ([]proxmox.Fingerprint, error) {
	var pins []proxmox.Fingerprint
	for _, text := range splitList(v) {
		pin, err := proxmox.ParseFingerprint(text)
		if err != nil {
			return nil, err
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

var secretRE = lazyregexp.New(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)

// maybeSecret reports whether the secret of a token may be in a text. Such text is never
// shown, whatever setting it was given to.
func maybeSecret(v string) bool {
	return len(v) >= len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") && secretRE.MatchString(v)
}

// quoted shows a value that is no secret.
func quoted(v string) string {
	if maybeSecret(v) || strings.Contains(v, "@") {
		return "the value (not shown: it may be a secret)"
	}
	return strconv.Quote(v)
}

func splitList(v string) []string {
	parts := strings.Split(v, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" })
}

// parseFolder reads the name of a folder, wherever the process is started.
func parseFolder(v string) (string, error) {
	if !filepath.IsAbs(v) {
		return "", errors.New("it is no absolute path")
	}
	return filepath.Clean(v), nil
}
