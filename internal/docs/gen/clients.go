package main

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/install"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

const clientsIntro = `One command adds pve-mcp to a client:

    pve-mcp install CLIENT --host pve.example.lan --token-id 'ops@pve!mcp'

It asks the host for its certificate first. If the certificate is not trusted, such as the self-signed one of a node, it shows the
fingerprint and pins it if you agree. It reports whatever would keep the server from working: a host that does not answer, a token that
PVE refuses.

It asks for the token's secret, unless it has it, keeps it in the keyring of the operating system, and adds the current settings
to the client's file. Everything else in the file stays, with comments and layout, and a backup is made beside it. Running it again
changes nothing. With other settings it changes the entry; settings that are not about the connection stay unless they are given again.
` + "`pve-mcp uninstall CLIENT`" + ` removes the entry again: directly after ` + "`install`" + ` the file is byte for byte as it was before. ` + "`--print`" + ` shows the entry and
changes nothing. ` + "`--name`" + ` gives the server another name than ` + "`pve`" + `, for a second cluster, and ` + "`--project`" + ` uses the file of the project
in the working directory, if the client has one. ` + "`pve-mcp --demo install CLIENT`" + ` needs no settings: its cluster is simulated.

A client can also call a pve-mcp that runs elsewhere, with ` + "`--url`" + `: [how each of them connects](http.md#connect-a-client).

## The secret

No client's file and no list of arguments has it.

    pve-mcp secret set --host pve.example.lan --token-id 'ops@pve!mcp'
    pve-mcp secret list
    pve-mcp secret delete --host pve.example.lan --token-id 'ops@pve!mcp'

` + "`secret set`" + ` asks on the terminal, or reads stdin. The keyring is the Keychain on macOS, the Credential Manager on Windows, and on
Linux any service of org.freedesktop.secrets, such as GNOME's keyring or KWallet. A secret belongs to the hosts of ` + "`PVE_HOST`" + ` together, and is
never sent to another host. It is read when the first request needs it, so a locked keyring does not delay the start.

If there is no keyring, as on a server without a desktop, use a file: with ` + "`--token-secret-file FILE`" + `, all these commands
keep the secret in that file, with mode 0600, and the client's entry has the name of the file.

## By hand

Any client that takes a command and its environment works. Keep the secret with ` + "`secret set`" + `, as above; then for Claude Code

    claude mcp add pve --scope user --env PVE_HOST=pve.example.lan --env PVE_TOKEN_ID='ops@pve!mcp' --env PVE_MCP_TOOLSETS=standard -- pve-mcp

and for others the entries below. To change more [settings](settings.md), add their variables.
`

// clientsPage has a section for each client.
func clientsPage() string {
	var b strings.Builder
	b.WriteString("# Clients\n\n" + generated + clientsIntro)
	server := install.Server{Command: "/usr/local/bin/pve-mcp", Env: map[string]string{"PVE_HOST": "pve.example.lan", "PVE_TOKEN_ID": "ops@pve!mcp", config.Toolsets: toolset.Standard}}
	for _, c := range install.All() {
		fmt.Fprintf(&b, "\n## %s\n\n    pve-mcp install %s --host pve.example.lan --token-id 'ops@pve!mcp'\n\n", c.Title, c.ID)
		b.WriteString("| where | file |\n|---|---|\n")
		for _, system := range []struct{ os, name string }{{"linux", "Linux"}, {"darwin", "macOS"}, {"windows", "Windows"}} {
			fmt.Fprintf(&b, "| %s | `%s` |\n", system.name, userFile(c, system.os))
		}
		if file := c.ProjectFile(""); file != "" {
			fmt.Fprintf(&b, "| a project | `%s` |\n", filepath.ToSlash(file))
		}
		text, err := c.Show("pve", server)
		if err != nil {
			panic(err) // the server is the one above
		}
		b.WriteString("\nWhat it adds, apart from the pinned fingerprint and the secret's file, if there are any:\n\n")
		b.WriteString(fence(c, text))
		b.WriteString("\n" + strings.TrimSpace(c.Next+" "+c.Note) + "\n")
	}
	return b.String()
}

// fence shows a text of a client's file.
func fence(c install.Client, text []byte) string {
	return fmt.Sprintf("```%s\n%s\n```\n", strings.TrimPrefix(path.Ext(userFile(c, "linux")), "."), strings.TrimSpace(string(text)))
}

// remoteClients has an example for each client that speaks HTTP.
func remoteClients() string {
	const url, variable = "https://mcp.example.org/mcp", "PVE_MCP_BEARER"
	var b strings.Builder
	for _, c := range install.All() {
		fmt.Fprintf(&b, "\n### %s\n\n", c.Title)
		if c.NoRemote() != "" {
			b.WriteString(c.NoRemote() + "\n")
			continue
		}
		flag, server := "--token-env "+variable, c.Remote(url, variable, "")
		if !c.TokenByVariable() {
			flag, server = "--token-stdin < token", c.Remote(url, "", "TOKEN")
		}
		text, err := c.Show("pve", server)
		if err != nil {
			panic(err) // the server is the one above
		}
		fmt.Fprintf(&b, "    pve-mcp install %s --url %s %s\n\n", c.ID, url, flag)
		fmt.Fprintf(&b, "adds to `%s`:\n\n%s\n", userFile(c, "linux"), fence(c, text))
		if !c.TokenByVariable() {
			fmt.Fprintf(&b, "%s reads no variables there, so the file has the token itself, and only you can read it. Without\n"+
				"`< token` the command asks for it.\n\n", c.Title)
		}
		fmt.Fprintf(&b, "With OAuth:\n\n    pve-mcp install %s --url %s\n\nadds only the URL. %s\n", c.ID, url, c.Login())
	}
	return b.String()
}

// userFile is the user's file with the variables that it depends on.
func userFile(c install.Client, system string) string {
	file := filepath.ToSlash(c.UserFile(install.System{OS: system, Env: func(key string) string {
		return map[string]string{"HOME": "~", "USERPROFILE": "%USERPROFILE%", "APPDATA": "%APPDATA%"}[key]
	}}))
	if system == "windows" {
		return strings.ReplaceAll(file, "/", `\`)
	}
	return file
}
