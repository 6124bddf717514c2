package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// server is server.json: the entry in the MCP Registry. What has no field here is kept.
type server struct {
	Name    string
	Version string
	all     map[string]any
}

// account is how GitHub lets accounts be called. Before somebody publishes, server.json
// has another name.
const account = `^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`

func readServer(file string) (*server, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &server{}
	if err := errors.Join(json.Unmarshal(data, s), json.Unmarshal(data, &s.all)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// publisher is the account on GitHub that the name of the server is of. Of a snapshot it may
// be nobody's.
func (s *server) publisher(snapshot bool) (string, error) {
	space, _, _ := strings.Cut(s.Name, "/")
	name, ok := strings.CutPrefix(space, "io.github.")
	if !ok {
		return "", fmt.Errorf("server.json: the name is %s, not io.github.ACCOUNT/pve-mcp", s.Name)
	}
	if real, err := regexp.MatchString(account, name); !snapshot && !real {
		return "", errors.Join(err, fmt.Errorf("server.json: %s is no account on GitHub: put the one that publishes in its place, in all of the file", name))
	}
	return strings.ToLower(name), nil
}

// release makes it the entry of the release in dist, with the image's tag, and each bundle
// with its digest and where it can be fetched.
func (s *server) release(dist string) error {
	text, err := os.ReadFile(filepath.Join(dist, "metadata.json"))
	if err != nil {
		return err
	}
	var made struct{ Version, Tag string }
	if err := json.Unmarshal(text, &made); err != nil {
		return fmt.Errorf("metadata.json: %w", err)
	}
	bundles, err := filepath.Glob(filepath.Join(dist, "*.mcpb"))
	if err != nil || len(bundles) == 0 {
		return errors.Join(err, fmt.Errorf("there are no bundles in %s", dist))
	}
	packages := s.all["packages"].([]any)
	image := packages[0].(map[string]any)
	image["identifier"] = strings.ToLower(strings.TrimSuffix(image["identifier"].(string), s.Version) + made.Version)
	at := s.all["repository"].(map[string]any)["url"].(string) + "/releases/download/" + made.Tag + "/"
	for _, file := range bundles {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		packages = append(packages, map[string]any{
			"registryType": "mcpb",
			"identifier":   at + filepath.Base(file),
			"fileSha256":   fmt.Sprintf("%x", sha256.Sum256(data)),
			"transport":    map[string]any{"type": "stdio"},
		})
	}
	s.all["version"], s.all["packages"] = made.Version, packages
	return nil
}

func (s *server) write(file string) error {
	text, err := json.MarshalIndent(s.all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
