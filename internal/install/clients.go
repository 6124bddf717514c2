// Package install knows the MCP clients of the field: where each keeps its servers, in
// which form, and how one is added there and taken out again.
package install

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Client is an MCP client: everything about it is said here.
type Client struct {
	ID    string // on the command line
	Title string
	// Next is what its user does for a change to count, as a sentence.
	Next string
	// Note is what else its page says, as sentences; "" for nothing.
	Note string

	container string // the member of the file that has the servers, by name
	typed     bool   // a server says "type": "stdio"
	custom    bool   // a server says "source": "custom"
	strict    bool   // the file is plain JSON: the client reads no comments
	tabs      bool   // how a new file is indented
	toml      bool
	user      func(s System) string // the user's file
	project   string                // the file of a project, below its folder; "" for none
	remote    remote
}

// remote is how a client says a server that it reaches over Streamable HTTP.
type remote struct {
	// instead is what its user does if the file takes no URL, as sentences; "" if it
	// does.
	instead string
	typed   bool // a server says "type": "http"
	// variable is how the value of a header refers to the variable %s of the client's
	// environment, and tokenEnv the member that names the variable of the bearer token:
	// at most one is set. With neither, the file has the token itself.
	variable, tokenEnv string
	login              string // what its user does to log in with OAuth, as a sentence
}

// All returns the clients.
func All() []Client {
	return []Client{claudeCode(), claudeDesktop(), cursor(), vsCode(), codex(), gemini(), zed()}
}

// code.claude.com/docs/en/mcp: user scope is the top-level mcpServers of ~/.claude.json, or of
// .claude.json in CLAUDE_CONFIG_DIR (anthropics/claude-code#48448); project scope is .mcp.json. The
// file is edited here, not by claude mcp add, which a user of the IDE or the desktop app may not
// have, and which neither makes a backup nor undoes itself.
func claudeCode() Client {
	return Client{
		ID: "claude-code", Title: "Claude Code", Next: "Restart claude; /mcp shows the server.",
		Note:      "With --project, it asks before it starts a server that it finds in a project.",
		container: "mcpServers", typed: true, strict: true, project: ".mcp.json",
		// Both files are expanded (microsoft.github.io/apm/reference/mcp-variable-compatibility).
		remote: remote{typed: true, variable: "${%s}", login: "To log in, choose the server in /mcp."},
		user: func(s System) string {
			if dir := s.env("CLAUDE_CONFIG_DIR"); dir != "" {
				return filepath.Join(dir, ".claude.json")
			}
			return filepath.Join(s.home(), ".claude.json")
		},
	}
}

// modelcontextprotocol.io/docs/develop/connect-local-servers: Application Support and %APPDATA%. Since
// 2026 Windows has it as a package, which reads and writes a folder of its own instead
// (anthropics/claude-code#25579, #26073).
func claudeDesktop() Client {
	return Client{
		ID: "claude-desktop", Title: "Claude Desktop", Next: "Quit Claude Desktop completely, and start it again.",
		Note:      `On Windows the file is in %LOCALAPPDATA%\Packages\Claude_*\LocalCache\Roaming\Claude if that folder exists.`,
		container: "mcpServers", strict: true,
		// support.claude.com, article 11503834: it reads no URL from this file.
		remote: remote{instead: "Claude Desktop reads no URL from its file. If the server is on the internet, with a public certificate and OAuth, add its URL as a custom " +
			"connector under Settings, Connectors. Otherwise let Claude Desktop start its own pve-mcp, without --url, or the bridge mcp-remote of npm."},
		user: func(s System) string {
			if s.OS == "windows" {
				packages, _ := filepath.Glob(filepath.Join(s.env("LOCALAPPDATA"), "Packages", "Claude_*", "LocalCache", "Roaming", "Claude"))
				if len(packages) > 0 {
					return filepath.Join(packages[0], "claude_desktop_config.json")
				}
			}
			return filepath.Join(s.applicationData(), "Claude", "claude_desktop_config.json")
		},
	}
}

// cursor.com/docs/mcp: ~/.cursor/mcp.json on every system, .cursor/mcp.json in a project.
func cursor() Client {
	return Client{
		ID: "cursor", Title: "Cursor", Next: "Restart Cursor; its settings list the server under MCP.",
		container: "mcpServers", project: ".cursor/mcp.json",
		remote: remote{variable: "${env:%s}", login: "To log in, choose the server in Cursor's settings, under MCP."},
		user:   func(s System) string { return filepath.Join(s.home(), ".cursor", "mcp.json") },
	}
}

// code.visualstudio.com/docs/agents/reference/mcp-configuration: servers, in mcp.json of the user's
// profile or of the workspace's .vscode; docs/configure/settings: where the profile is.
func vsCode() Client {
	return Client{
		ID: "vscode", Title: "VS Code", Next: "Run MCP: List Servers from the command palette, and start the server.",
		Note:      "The file is that of the default profile.",
		container: "servers", typed: true, tabs: true, project: ".vscode/mcp.json",
		remote: remote{typed: true, variable: "${env:%s}", login: "VS Code asks to log in when it starts the server."},
		user:   func(s System) string { return filepath.Join(s.applicationData(), "Code", "User", "mcp.json") },
	}
}

// learn.chatgpt.com/docs/extend/mcp and openai/codex, codex-rs/config/src/mcp_types.rs: tables
// mcp_servers.NAME in config.toml of CODEX_HOME, ~/.codex unless it is set; in a trusted project
// .codex/config.toml.
func codex() Client {
	return Client{
		ID: "codex", Title: "Codex", Next: "Restart codex; /mcp shows the server.",
		Note:      "Its command line, its IDE extension and its app share the file. A project's file counts if the project is trusted.",
		container: "mcp_servers", toml: true, project: ".codex/config.toml",
		remote: remote{tokenEnv: "bearer_token_env_var", login: "To log in, run codex mcp login with the server's name."},
		user: func(s System) string {
			if dir := s.env("CODEX_HOME"); dir != "" {
				return filepath.Join(dir, "config.toml")
			}
			return filepath.Join(s.home(), ".codex", "config.toml")
		},
	}
}

// geminicli.com/docs/tools/mcp-server and docs/reference/configuration: mcpServers in
// ~/.gemini/settings.json on every system, .gemini/settings.json in a project; comments are read.
func gemini() Client {
	return Client{
		ID: "gemini", Title: "Gemini CLI", Next: "Restart gemini; /mcp shows the server.",
		Note:      "It starts no server, not even the user's own, in a folder that is not trusted.",
		container: "mcpServers", project: ".gemini/settings.json",
		// google-gemini/gemini-cli, packages/core/src/config/config.ts: httpUrl is the older form.
		remote: remote{typed: true, variable: "${%s}", login: "To log in, run /mcp auth with the server's name."},
		user:   func(s System) string { return filepath.Join(s.home(), ".gemini", "settings.json") },
	}
}

// zed.dev/docs/ai/mcp; zed-industries/zed, crates/paths/src/paths.rs: ~/.config/zed on macOS too. The
// source was needed until 2025, and is ignored since.
func zed() Client {
	return Client{
		ID: "zed", Title: "Zed", Next: "Zed reads the change at once; the agent panel's settings show the server.",
		container: "context_servers", custom: true, project: ".zed/settings.json",
		// zed-industries/zed#60459: a header is sent as it is in the file.
		remote: remote{login: "Zed asks to log in, in the agent panel's settings."},
		user: func(s System) string {
			switch dir := s.env("FLATPAK_XDG_CONFIG_HOME"); {
			case s.OS == "windows":
				return filepath.Join(s.applicationData(), "Zed", "settings.json")
			case s.OS == "darwin":
				return filepath.Join(s.home(), ".config", "zed", "settings.json")
			case dir != "":
				return filepath.Join(dir, "zed", "settings.json")
			}
			return filepath.Join(s.applicationData(), "zed", "settings.json")
		},
	}
}

// Find returns the client with an id.
func Find(id string) (Client, bool) {
	all := All()
	i := slices.IndexFunc(all, func(c Client) bool { return c.ID == id })
	if i < 0 {
		return Client{}, false
	}
	return all[i], true
}

// IDs are the ids of the clients.
func IDs() []string {
	var ids []string
	for _, c := range All() {
		ids = append(ids, c.ID)
	}
	return ids
}

// UserFile is the file of the user's own servers.
func (c Client) UserFile(s System) string { return c.user(s) }

// ProjectFile is the file of a project's servers, "" if the client knows none.
func (c Client) ProjectFile(dir string) string {
	if c.project == "" {
		return ""
	}
	return filepath.Join(dir, filepath.FromSlash(c.project))
}

// System is the system that a client runs on.
type System struct {
	OS   string              // as runtime.GOOS
	Env  func(string) string // of the user
	Home string              // the home folder if the environment does not say
}

func (s System) env(key string) string { return s.Env(key) }

func (s System) home() string {
	key := "HOME"
	if s.OS == "windows" {
		key = "USERPROFILE"
	}
	if dir := s.env(key); dir != "" {
		return dir
	}
	return s.Home
}

// applicationData is where programs with windows keep their settings: what Electron
// calls appData.
func (s System) applicationData() string {
	key, usual := "XDG_CONFIG_HOME", ".config"
	switch s.OS {
	case "darwin":
		return filepath.Join(s.home(), "Library", "Application Support")
	case "windows":
		key, usual = "APPDATA", filepath.Join("AppData", "Roaming")
	}
	if dir := s.env(key); dir != "" {
		return dir
	}
	return filepath.Join(s.home(), usual)
}

// Server is the entry of a server in a client's file: how to start it, or its URL.
type Server struct {
	Command string
	Args    []string
	Env     map[string]string

	URL string // of a remote one; "" for one that the client starts
	// Headers go with each request to it, and TokenEnv names the variable that has the
	// bearer token, if the client's file says it so.
	Headers  map[string]string
	TokenEnv string
}

// Authorization is the header that has the bearer token.
const Authorization = "Authorization"

// Login is what a user does to log in to a remote server, as a sentence.
func (c Client) Login() string { return c.remote.login }

// TokenByVariable reports whether the client takes the bearer token of a remote server
// from its environment, so that no file has it.
func (c Client) TokenByVariable() bool { return c.remote.variable != "" || c.remote.tokenEnv != "" }

// NoRemote is what a user does if the client's file takes no URL, as sentences; "" if
// it does.
func (c Client) NoRemote() string { return c.remote.instead }

// Remote is a server at a URL. Its bearer token is in a variable of the client's
// environment, or given itself, or neither.
func (c Client) Remote(url, variable, token string) Server {
	s := Server{URL: url}
	switch {
	case variable != "" && c.remote.tokenEnv != "":
		s.TokenEnv = variable
	case variable != "":
		s.Headers = map[string]string{Authorization: "Bearer " + fmt.Sprintf(c.remote.variable, variable)}
	case token != "":
		s.Headers = map[string]string{Authorization: "Bearer " + token}
	}
	return s
}

var nameRE = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// ValidName reports whether every client takes a name for a server.
func ValidName(name string) bool { return nameRE.MatchString(name) }
