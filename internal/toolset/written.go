package toolset

import (
	"embed"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// writtenFolder has the instructions of the usual selections, which go generate has written:
// composing them declares all tools, and a client that starts the program waits for it.
const writtenFolder = "instructions"

//go:embed instructions/*.txt
var written embed.FS

// WrittenInstructions returns what the files of instructions have to be by the declared
// tools, by their paths in this package.
func WrittenInstructions() map[string]string {
	files := map[string]string{}
	for _, choice := range presets() {
		for _, p := range []policy.Policy{{}, {Exec: true}, {KeepData: true}, {Exec: true, KeepData: true}, {ReadOnly: true}} {
			s := Selection{Policy: p, Toolsets: []string{choice}, From: registry().sets}
			files[writtenPath(choice, p)] = Instructions(s)
		}
	}
	return files
}

// presets are the choices that have tools of several toolsets.
func presets() []string { return []string{Core, Standard, Everything} }

// writtenInstructions returns the instructions of a usual selection: a preset, without single
// tools.
func (s Selection) writtenInstructions() (text string, ok bool) {
	choice := Core
	if len(s.Toolsets) > 0 {
		choice = s.Toolsets[0]
	}
	if s.From != nil || len(s.Tools) > 0 || len(s.Toolsets) > 1 || !slices.Contains(presets(), choice) {
		return "", false
	}
	data, err := written.ReadFile(writtenPath(choice, s.Policy))
	return string(data), err == nil
}

// writtenPath is the file of a preset. Instructions differ by what the policy refuses.
func writtenPath(choice string, p policy.Policy) string {
	path := writtenFolder + "/" + choice
	if p.ReadOnly {
		return path + "-read-only.txt"
	}
	if p.Exec {
		path += "-exec"
	}
	if p.KeepData {
		path += "-keep-data"
	}
	return path + ".txt"
}
