package config

import (
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Setting is one setting, with everything that the program knows about it.
type Setting struct {
	Key     string // environment variable
	Flag    string // of the command line; "" if other users must not see the value there
	Doc     string // one sentence, without a full stop
	Example string
	Default string // "" for none

	// connection settings say which cluster is called as whom; they come from one
	// source.
	connection bool
	// loosens reports whether a value makes the server less safe; any other value,
	// including a mistyped one, may come from anywhere. It is nil for a setting that has
	// nothing to do with safety.
	loosens func(value string) bool
	// limits marks a setting that makes the server safer when it is set: .env may set it
	// if nothing else does.
	limits bool
	// notFromDotEnv marks a setting that .env never sets, because text of other people is
	// written to the place that it names.
	notFromDotEnv bool
	// file is where the name of a file is kept; nil for other settings.
	file func(c *Config) *files.Name
	// set reads the value of other settings. Its error says what is wrong with it.
	set func(c *Config, value string) error
}

// IsConnection reports whether the setting says which cluster is called as whom.
func (s Setting) IsConnection() bool { return s.connection }

// Group is what a setting is about.
type Group string

// The groups of settings, in the order in which they are explained.
const (
	Connection Group = "Connection"
	Safety     Group = "Safety"
	Tools      Group = "Tools"
	Logging    Group = "Log"
	HTTPServer Group = "HTTP server (pve-mcp http)"
)

// Groups returns the groups of settings.
func Groups() []Group { return []Group{Connection, Safety, Tools, Logging, HTTPServer} }

// Group returns what the setting is about.
func (s Setting) Group() Group {
	name, own := strings.CutPrefix(s.Key, "PVE_MCP_")
	word, _, _ := strings.Cut(name, "_")
	switch {
	case !own:
		return Connection
	case slices.Contains([]string{"HTTP", "OAUTH", "OWN", "TRUSTED", "LEGACY", "REPLICA", "TLS"}, word):
		return HTTPServer
	case word == "LOG", word == "AUDIT":
		return Logging
	case word == "TOOLSETS", word == "TOOLS", word == "TASK", word == "ANSWER", word == "IMAGES":
		return Tools
	}
	return Safety
}

// IsFile reports whether the setting names a file.
func (s Setting) IsFile() bool { return s.file != nil }

// IsBool reports whether the setting is switched on or off.
func (s Setting) IsBool() bool { return s.Default == "true" || s.Default == "false" }

// The keys of settings that are checked when their source is known.
const (
	secretKey     = "PVE_TOKEN_SECRET"
	secretFileKey = "PVE_TOKEN_SECRET_FILE"
	consentSecret = "PVE_MCP_CONSENT_STORE_PASSWORD"
	consentFile   = "PVE_MCP_CONSENT_STORE_PASSWORD_FILE"
	LogFile       = "PVE_MCP_LOG_FILE"
	LogLevel      = "PVE_MCP_LOG_LEVEL"
	TaskWait      = "PVE_MCP_TASK_WAIT"
	Toolsets      = "PVE_MCP_TOOLSETS"
	imagesKey     = "PVE_MCP_IMAGES_FILE"
)

// Settings returns all settings, in the order in which they are explained.
func Settings() []Setting { return slices.Clone(settings) }

var settings = []Setting{
	{
		Key: "PVE_HOST", Flag: "host", Example: "pve.example.lan", connection: true,
		Doc: "host or URL of a node, or several of one cluster, separated by commas; the port is 8006 unless it is given",
		set: func(c *Config, v string) (err error) { c.Hosts, err = parseHosts(v); return },
	},
	{
		Key: "PVE_TOKEN_ID", Flag: "token-id", Example: "ops@pve!mcp", connection: true,
		Doc: "id of the API token: USER@REALM!NAME",
		set: func(c *Config, v string) error { c.Token.ID = v; return proxmox.CheckTokenID(v) },
	},
	{
		Key: secretKey, Example: "12345678-1234-1234-1234-123456789abc", connection: true,
		Doc: "secret of the API token; if neither this nor a file is set, it is read from the keyring, where pve-mcp secret set keeps it; it has no flag, because other users can read a command line",
		set: func(c *Config, v string) error { c.Token.Secret = proxmox.NewSecret(v); return c.Token.Secret.Check() },
	},
	{
		Key: secretFileKey, Flag: "token-secret-file", Example: "/etc/pve-mcp/secret", connection: true,
		Doc:  "file with the secret of the API token, instead of PVE_TOKEN_SECRET",
		file: func(c *Config) *files.Name { return &c.SecretFile },
	},
	{
		Key: "PVE_VERIFY_SSL", Flag: "verify-ssl", Example: "true", Default: "true", connection: true,
		Doc: "whether certificates are checked; pin a self-signed one with PVE_FINGERPRINT instead of turning this off",
		set: func(c *Config, v string) (err error) { c.VerifySSL, err = parseBool(v); return },
	},
	{
		Key: "PVE_CA_FILE", Flag: "ca-file", Example: "/etc/pve-mcp/pve-root-ca.pem", connection: true,
		Doc:  "file with the certificates of the CAs to trust, in PEM form; on a node it is /etc/pve/pve-root-ca.pem",
		file: func(c *Config) *files.Name { return &c.caFile },
	},
	{
		Key: "PVE_FINGERPRINT", Flag: "fingerprint", connection: true,
		Example: "AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB",
		Doc:     "SHA-256 fingerprint of the certificate, or of its CA; one for each host, separated by commas",
		set:     func(c *Config, v string) (err error) { c.pins, err = parsePins(v); return },
	},
	{
		Key: "PVE_TIMEOUT", Flag: "pve-timeout", Example: "40s", Default: "40s",
		Doc: "how long to wait for an answer; calls that PVE itself may hold for 30 s get at least 35 s",
		set: func(c *Config, v string) (err error) {
			c.Timeout, err = parseDuration(v, time.Second, 10*time.Minute)
			return
		},
	},
	{
		Key: "PVE_MCP_READ_ONLY", Flag: "read-only", Example: "true", Default: "false",
		Doc:     "offer only tools that read, and let only GET requests leave the process",
		loosens: func(v string) bool { on, err := parseBool(v); return err == nil && !on },
		set:     func(c *Config, v string) (err error) { c.Policy.ReadOnly, err = parseBool(v); return },
	},
	{
		Key: "PVE_MCP_DESTRUCTIVE", Flag: "destructive", Example: "false", Default: "true",
		Doc:     "offer tools that lose data or state for good; false also refuses such calls of other tools. Commands in guests have their own setting, PVE_MCP_ENABLE_EXEC",
		loosens: func(v string) bool { on, err := parseBool(v); return err == nil && on },
		set: func(c *Config, v string) error {
			on, err := parseBool(v)
			c.Policy.KeepData = !on
			return err
		},
	},
	{
		Key: "PVE_MCP_ENABLE_EXEC", Flag: "enable-exec", Example: "false", Default: "false",
		Doc:     "offer pve_vm_exec, which runs commands in VMs and containers, and the tools for files in them",
		loosens: func(v string) bool { on, err := parseBool(v); return err == nil && on },
		set:     func(c *Config, v string) (err error) { c.Policy.Exec, err = parseBool(v); return },
	},
	{
		Key: "PVE_MCP_ENABLE_ACCESS", Flag: "enable-access", Example: "false", Default: "false",
		Doc:     "let pve_api_change change users, groups, tokens, roles, permissions and realms: always with a human's consent, and never this server's own user or token",
		loosens: func(v string) bool { on, err := parseBool(v); return err == nil && on },
		set:     func(c *Config, v string) (err error) { c.Policy.Access, err = parseBool(v); return },
	},
	{
		Key: "PVE_MCP_SECRETS_DIR", Flag: "secrets-dir", Example: "/var/lib/pve-mcp/secrets",
		Doc:           "folder for secrets that PVE makes, such as that of a new API token: each goes to a new file that only its owner can read, and never to the model; without it nothing is sent that makes one",
		notFromDotEnv: true,
		set:           func(c *Config, v string) (err error) { c.SecretsDir, err = parseFolder(v); return },
	},
	{
		Key: "PVE_MCP_FILES", Flag: "files", Example: "/var/lib/pve-mcp/files",
		Doc:           "folder of this machine in which tools save files of guests, and from which they read what they write into guests (local_path); without it they do neither, and pve-mcp http does not take it",
		notFromDotEnv: true,
		set:           func(c *Config, v string) (err error) { c.FilesDir, err = parseFolder(v); return },
	},
	{
		Key: "PVE_MCP_CONFIRM", Flag: "confirm-by", Example: "auto", Default: "auto",
		Doc:     "whose consent a destructive call needs: auto (the human's if the client can ask, otherwise confirm: true), param (confirm: true), human",
		loosens: func(v string) bool { return v != string(policy.Human) },
		set:     func(c *Config, v string) (err error) { c.Policy.Confirm, err = policy.ParseConfirm(v); return },
	},
	{
		Key: "PVE_MCP_PROTECT", Flag: "protect", Example: "100-199,tag:prod,pool:web,storage:nfs", limits: true,
		Doc: "what is never changed: guests, by vmid, range, tag or pool, with what they depend on; other things by name, with storage:, job:, node: or pool:",
		set: func(c *Config, v string) (err error) { c.Policy.Protect, err = policy.ParseRules(v); return },
	},
	{
		Key: "PVE_MCP_ALLOW", Flag: "allow", Example: "900-999,pool:lab", limits: true,
		Doc: "the only things that are changed, named as in PVE_MCP_PROTECT; all others are as if protected",
		set: func(c *Config, v string) (err error) { c.Policy.Allow, err = policy.ParseRules(v); return },
	},
	{
		Key: "PVE_MCP_EXEC_ALLOW", Flag: "exec-allow", Example: "/usr/bin/uptime; /usr/bin/systemctl status *", limits: true,
		Doc: "the only commands that pve_vm_exec runs, separated by semicolons: an absolute path and patterns for the arguments, ** for the rest, and < at the end if it may have standard input. An argument that begins with - needs a pattern that begins with it: -* for one, -** for the rest; an argument with .. in its path needs one with .. too. No shell is used then",
		set: func(c *Config, v string) (err error) { c.Policy.ExecAllow, err = policy.ParseCommands(v); return },
	},
	{
		Key: "PVE_MCP_FILES_ALLOW", Flag: "files-allow", Example: "/etc/nginx/**; /var/log/*.log", limits: true,
		Doc: "the only paths in guests that pve_read_file, pve_write_file and pve_list_files use, separated by semicolons: absolute, each element a pattern, /** at the end for a folder and all below it. A link counts as what it leads to. Without it every path, or with PVE_MCP_EXEC_ALLOW none",
		set: func(c *Config, v string) (err error) { c.Policy.FilesAllow, err = policy.ParseFiles(v); return },
	},
	{
		Key: "PVE_MCP_DOWNLOAD_FROM", Flag: "download-from", Example: "*.debian.org, cloud-images.ubuntu.com, nas.lan", limits: true,
		Doc: "the only hosts from which nodes fetch images, ISOs and templates, as patterns between commas; without it every public host, and no host of a private network. It judges the name in the call: the node follows redirects, and resolves the name, without this server, so a firewall has to keep nodes from what they must not reach. A pattern that ends with a wildcard, such as 10.0.0.*, matches addresses and short names only",
		set: func(c *Config, v string) (err error) { c.Policy.DownloadFrom, err = policy.ParseHosts(v); return },
	},
	{
		Key: "PVE_MCP_FETCH", Flag: "fetch", Example: "true", Default: "false",
		Doc:     "let this process itself read the checksums of known cloud images from their publishers, over HTTPS; it fetches nothing else",
		loosens: func(v string) bool { on, err := parseBool(v); return err == nil && on },
		set:     func(c *Config, v string) (err error) { c.Policy.Fetch, err = parseBool(v); return },
	},
	{
		Key: "PVE_MCP_SEAL_KEY", Example: "a-text-of-at-least-32-characters-that-nobody-knows",
		Doc: "keys for what clients hand back and for the chain of the audit log, newest first, separated by commas; without it, a key derived from the token's secret seals what clients hand back, and the chain has no key",
		set: func(c *Config, v string) (err error) { c.SealKeys, err = parseKeys(v); return },
	},
	{
		Key: "PVE_MCP_CONSENT_STORE", Flag: "consent-store", Example: "rediss://redis.example.org:6379",
		Doc:           "where replicas remember which answers of humans were used: a folder that they share, or a Redis-compatible server, redis://HOST:PORT or with TLS rediss://; without it an answer counts only in the process that asked",
		notFromDotEnv: true,
		set: func(c *Config, v string) (err error) {
			c.ConsentStore.Folder, c.ConsentStore.Redis, err = parseStore(v)
			return
		},
	},
	{
		Key: consentSecret, Example: "a-password",
		Doc:           "password of that server; it has no flag, because other users can read a command line",
		notFromDotEnv: true,
		set:           func(c *Config, v string) error { c.ConsentStore.Secret = proxmox.NewSecret(v); return nil },
	},
	{
		Key: consentFile, Flag: "consent-store-password-file", Example: "/etc/pve-mcp/consent-store-password",
		Doc:  "file with that password, read for each answer, instead of PVE_MCP_CONSENT_STORE_PASSWORD",
		file: func(c *Config) *files.Name { return &c.ConsentStore.SecretFile },
	},
	{
		Key: "PVE_MCP_AUDIT_LOG", Flag: "audit-log", Example: "/var/log/pve-mcp/audit.log",
		Doc:     "file that gets a line before and after every call that could change something; a call that cannot be recorded is not sent",
		loosens: func(string) bool { return true }, // it must not replace the file that another source names
		file:    func(c *Config) *files.Name { return &c.AuditLog },
	},
	{
		Key: LogLevel, Flag: "log-level", Example: "info", Default: "info",
		Doc: "the least that is logged: debug (with every request to PVE), info, warn or error",
		set: func(c *Config, v string) (err error) { c.Log.Level, err = parseLevel(v); return },
	},
	{
		Key: "PVE_MCP_LOG_FORMAT", Flag: "log-format", Example: "text", Default: "text",
		Doc: "form of the log on stderr and in PVE_MCP_LOG_FILE: text or json",
		set: func(c *Config, v string) (err error) { c.Log.JSON, err = parseFormat(v); return },
	},
	{
		Key: LogFile, Flag: "log-file", Example: "/var/log/pve-mcp/pve-mcp.log", notFromDotEnv: true,
		Doc:  "file to which the log is appended, in addition to stderr",
		file: func(c *Config) *files.Name { return &c.Log.File },
	},
	{
		Key: Toolsets, Flag: "toolsets", Example: "standard", Default: "core",
		Doc: "which tools to offer: core, standard (core and what most people want), all, or names of toolsets, separated by commas",
		set: func(c *Config, v string) (err error) { c.Toolsets, err = parseNames(v); return },
	},
	{
		Key: "PVE_MCP_TOOLS", Flag: "tools", Example: "pve_stop_task,-pve_delete_guest",
		Doc: "names of single tools to offer in addition, separated by commas; a name after a minus sign is left out, and no other tool does it either",
		set: func(c *Config, v string) (err error) { c.Tools, err = parseTools(v); return },
	},
	{
		Key: imagesKey, Flag: "images-file", Example: "/etc/pve-mcp/images.json",
		Doc:     "file with cloud images of your own, which pve_create_vm and pve_download then know by name; one with the name of a known image takes its place (docs/images.md)",
		loosens: func(string) bool { return true }, // a name must not mean what somebody else has put there
		file:    func(c *Config) *files.Name { return &c.imagesFile },
	},
	{
		Key: TaskWait, Flag: "task-wait", Example: "20s", Default: "20s",
		Doc: "how long a change waits for its task before it answers that the task is running; pve-mcp call waits to the end unless this is set",
		set: func(c *Config, v string) (err error) {
			c.TaskWait, err = parseDuration(v, 0, time.Hour)
			return
		},
	},
	{
		Key: "PVE_MCP_ANSWER_BYTES", Flag: "answer-bytes", Example: "100000", Default: "25000",
		Doc: "how many bytes an answer has at most; a list ends before that, and says how to get the rest",
		set: func(c *Config, v string) (err error) { c.AnswerBytes, err = parseCount(v, 2_000, 10_000_000); return },
	},
	{
		Key: "PVE_MCP_PARALLEL", Flag: "parallel-guests", Example: "5", Default: "3",
		Doc: "how many guests a change of many guests works on at a time at most; backups are one at a time on each node",
		set: func(c *Config, v string) (err error) { c.Parallel, err = parseCount(v, 1, 16); return },
	},
	{
		Key: "PVE_MCP_HTTP_LISTEN", Flag: "listen", Example: "0.0.0.0:8443", Default: "127.0.0.1:8080",
		Doc: "address and port of pve-mcp http; if other machines can reach it, callers must authenticate",
		set: func(c *Config, v string) (err error) { c.HTTP.Listen, err = parseListen(v); return },
	},
	{
		Key: "PVE_MCP_HTTP_TOKENS", Flag: "http-tokens", Example: "/etc/pve-mcp/tokens.json",
		Doc:  "file with the bearer tokens of the callers of pve-mcp http, kept by pve-mcp token and read again when it changes",
		file: func(c *Config) *files.Name { return &c.HTTP.Tokens },
	},
	{
		Key: "PVE_MCP_HTTP_HOSTS", Flag: "http-hosts", Example: "mcp.example.org",
		Doc: "names by which clients call pve-mcp http, separated by commas, in addition to localhost and addresses",
		set: func(c *Config, v string) (err error) { c.HTTP.Hosts, err = parseDNSNames(v); return },
	},
	{
		Key: "PVE_MCP_HTTP_ORIGINS", Flag: "http-origins", Example: "https://chat.example.org",
		Doc: "origins whose web pages may call pve-mcp http (CORS), separated by commas",
		set: func(c *Config, v string) (err error) { c.HTTP.Origins, err = parseOrigins(v); return },
	},
	{
		Key: "PVE_MCP_HTTP_RATE", Flag: "http-rate", Example: "50", Default: "50",
		Doc: "how many requests a second each caller of pve-mcp http may make, in bursts of twice as many; 0 for any number",
		set: func(c *Config, v string) (err error) { c.HTTP.Rate, err = parseRate(v); return },
	},
	{
		Key: "PVE_MCP_HTTP_DRAIN", Flag: "http-drain", Example: "30s", Default: "30s",
		Doc: "how long requests under way may go on after pve-mcp http gets the signal to stop",
		set: func(c *Config, v string) (err error) { c.HTTP.Drain, err = parseDuration(v, 0, time.Hour); return },
	},
	{
		Key: "PVE_MCP_HTTP_METRICS", Flag: "http-metrics", Example: "127.0.0.1:9090",
		Doc: "address and port where pve-mcp http shows its metrics to everyone; callers that authenticate also find them at /metrics",
		set: func(c *Config, v string) (err error) { c.HTTP.Metrics, err = parseListen(v); return },
	},
	{
		Key: "PVE_MCP_OAUTH_ISSUER", Flag: "oauth-issuer", Example: "https://idp.example.org",
		Doc: "authorization server whose access tokens the callers of pve-mcp http may show, found by OpenID discovery",
		set: func(c *Config, v string) (err error) { c.HTTP.Issuer, err = parseURL(v); return },
	},
	{
		Key: "PVE_MCP_OAUTH_AUDIENCE", Flag: "oauth-audience", Example: "pve-mcp",
		Doc: "audience that such tokens must have, if it is not the URL of the server",
		set: func(c *Config, v string) (err error) { c.HTTP.Audience, err = parseAudience(v); return },
	},
	{
		Key: "PVE_MCP_OAUTH_TYP", Flag: "oauth-typ", Example: "jwt", Default: "at+jwt",
		Doc: "type that the header of such tokens must name: at+jwt (RFC 9068), or jwt for identity providers that cannot send it; a token must then have scopes and no claim of an ID token",
		set: func(c *Config, v string) (err error) { c.HTTP.AnyJWT, err = parseTyp(v); return },
	},
	{
		Key: "PVE_MCP_OAUTH_NAME_CLAIM", Flag: "oauth-name-claim", Example: "preferred_username",
		Doc: "claim of such tokens with the caller's name in logs and the audit log, beside its sub, which alone identifies the caller",
		set: func(c *Config, v string) (err error) { c.HTTP.NameClaim, err = parseClaim(v); return },
	},
	{
		Key: "PVE_MCP_OAUTH_SCOPE_CLAIM", Flag: "oauth-scope-claim", Example: "groups",
		Doc: "claim of such tokens whose values give scopes by PVE_MCP_OAUTH_CLAIM_SCOPES, in addition to those of the token; a.b is the claim b in a",
		set: func(c *Config, v string) (err error) { c.HTTP.ScopeClaim, err = parseClaim(v); return },
	},
	{
		Key: "PVE_MCP_OAUTH_CLAIM_SCOPES", Flag: "oauth-claim-scopes", Example: "pve-ops=pve:write,pve-admins=pve:destroy",
		Doc: "scopes that values of that claim give, separated by commas; a value may be listed several times",
		set: func(c *Config, v string) (err error) { c.HTTP.ClaimScopes, err = parseClaimScopes(v); return },
	},
	{
		Key: "PVE_MCP_HTTP_URL", Flag: "http-url", Example: "https://mcp.example.org/mcp",
		Doc: "URL by which clients know pve-mcp http: their tokens are for it, and its host is one of PVE_MCP_HTTP_HOSTS",
		set: func(c *Config, v string) (err error) { c.HTTP.URL, err = parseURL(v); return },
	},
	{
		Key: "PVE_MCP_OWN_TOKENS", Flag: "own-tokens", Example: "required", Default: "off",
		Doc: "whether callers of pve-mcp http bring their own PVE token in the header X-PVE-Token, which does not replace authentication: off, optional or required",
		set: func(c *Config, v string) (err error) { c.HTTP.OwnTokens, err = parseOwnTokens(v); return },
	},
	{
		Key: "PVE_MCP_TRUSTED_PROXIES", Flag: "trusted-proxies", Example: "127.0.0.1,10.0.0.0/24",
		Doc: "addresses of proxies with TLS, separated by commas: pve-mcp http believes their X-Forwarded-For, and takes callers' PVE tokens from them",
		set: func(c *Config, v string) (err error) { c.HTTP.Proxies, err = parsePrefixes(v); return },
	},
	{
		Key: "PVE_MCP_LEGACY", Flag: "legacy", Example: "sessions", Default: "sessions",
		Doc: "how pve-mcp http serves clients of versions before 2026-07-28: sessions, or stateless: any replica can answer, and no human can be asked",
		set: func(c *Config, v string) (err error) { c.HTTP.SessionsOff, err = parseLegacy(v); return },
	},
	{
		Key: "PVE_MCP_REPLICA", Flag: "replica", Example: "a",
		Doc: "name of this pve-mcp http among its replicas; the ids of its sessions begin with it, so that a proxy can route by them",
		set: func(c *Config, v string) (err error) { c.HTTP.Replica, err = parseReplica(v); return },
	},
	{
		Key: "PVE_MCP_TLS_CERT", Flag: "tls-cert", Example: "/etc/pve-mcp/tls.crt",
		Doc:  "file with the certificate of pve-mcp http and its intermediate certificates, in PEM form, read again when it changes",
		file: func(c *Config) *files.Name { return &c.HTTP.Cert },
	},
	{
		Key: "PVE_MCP_TLS_KEY", Flag: "tls-key", Example: "/etc/pve-mcp/tls.key",
		Doc:  "file with the key of that certificate",
		file: func(c *Config) *files.Name { return &c.HTTP.Key },
	},
}
