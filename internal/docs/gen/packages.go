package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra/doc"

	"github.com/pve-mcp/pve-mcp/internal/cli"
)

// forPackages writes what a package installs besides the program: a man page of each
// command and tool into man1, and into completions a file for each shell, under the name
// that it has where the shell looks for it. Their date is that of SOURCE_DATE_EPOCH, if it is set.
func forPackages(dir string) error {
	man, completions := filepath.Join(dir, "man1"), filepath.Join(dir, "completions")
	for _, d := range []string{man, completions} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	root := cli.Commands()
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	header := &doc.GenManHeader{Section: "1", Source: "pve-mcp", Manual: "pve-mcp"}
	if err := doc.GenManTree(root, header, man); err != nil {
		return err
	}
	for name, write := range map[string]func(file string) error{
		"pve-mcp":      func(file string) error { return root.GenBashCompletionFileV2(file, true) },
		"_pve-mcp":     root.GenZshCompletionFile,
		"pve-mcp.fish": func(file string) error { return root.GenFishCompletionFile(file, true) },
		"pve-mcp.ps1":  root.GenPowerShellCompletionFileWithDesc,
	} {
		if err := write(filepath.Join(completions, name)); err != nil {
			return err
		}
	}
	return nil
}
