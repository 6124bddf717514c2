package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path"
)

// platform is the name that manifests have for a system.
func platform(system string) (name string, err error) {
	switch system {
	case "linux", "darwin":
		return system, nil
	case "windows":
		return "win32", nil
	}
	return "", fmt.Errorf("--os %q: bundles are for linux, darwin and windows", system)
}

// bundle writes a bundle with a program of one system. The same input gives the same bytes.
func bundle(system, version, binary, out string) error {
	manifest, program, err := manifestFor(system, version)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	if err := add(z, "manifest.json", 0o644, manifest); err != nil {
		return err
	}
	for _, file := range []struct {
		name, from string
		mode       os.FileMode
	}{{program, binary, 0o755}, {"LICENSE", "LICENSE", 0o644}} {
		data, err := os.ReadFile(file.from)
		if err != nil {
			return err
		}
		if err := add(z, file.name, file.mode, data); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// manifestFor is packaging/mcpb/manifest.json for one system and version, and where in the
// bundle the program is.
func manifestFor(system, version string) (text []byte, program string, err error) {
	name, err := platform(system)
	if err != nil {
		return nil, "", err
	}
	data, err := os.ReadFile("packaging/mcpb/manifest.json")
	if err != nil {
		return nil, "", err
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, "", fmt.Errorf("packaging/mcpb/manifest.json: %w", err)
	}
	server := m["server"].(map[string]any)
	program = server["entry_point"].(string)
	if system == "windows" {
		program += ".exe"
	}
	m["version"] = version
	m["compatibility"] = map[string]any{"platforms": []string{name}}
	server["entry_point"] = program
	server["mcp_config"].(map[string]any)["command"] = path.Join("${__dirname}", program)
	text, err = json.MarshalIndent(m, "", "  ")
	return text, program, err
}

func add(z *zip.Writer, name string, mode os.FileMode, data []byte) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(mode)
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
