// Package config reads the settings of a process: from flags, from the environment,
// and, with care, from a file .env in the working directory, which may come from
// anywhere.
package config

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/images"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/seal"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Config is a validated configuration.
type Config struct {
	Hosts        []string      // base URLs
	Token        proxmox.Token // the zero value if callers bring theirs and the server has none
	VerifySSL    bool
	Roots        *x509.CertPool // nil for the system's
	Fingerprints map[string]proxmox.Fingerprint
	Timeout      time.Duration
	Policy       policy.Policy
	SealKeys     seal.Keys // empty if none is set
	TaskWait     time.Duration
	AnswerBytes  int // at most
	Parallel     int // guests at a time, at most
	Toolsets     []string
	Tools        []string // single ones; those to leave out begin with -
	// SecretsDir is the folder for secrets that PVE makes, "" for none.
	SecretsDir string
	// FilesDir is the folder in which tools save files, and read them, "" for none.
	FilesDir     string
	Images       images.Catalog // those of PVE_MCP_IMAGES_FILE too
	AuditLog     files.Name     // the zero value for none
	ConsentStore Store
	Log          Log
	HTTP         HTTP
	// SecretFile is PVE_TOKEN_SECRET_FILE, the zero value if it is not set.
	SecretFile files.Name
	// SecretFrom says where the token's secret comes from: the key of a setting, keyring,
	// or "" for none.
	SecretFrom string
	// Given are the settings that were set, by key, without secrets; names of files are
	// absolute.
	Given map[string]string
	// Warnings are for the human: what was ignored, and what is unwise.
	Warnings []string

	caFile     files.Name
	imagesFile files.Name
	pins       []proxmox.Fingerprint
}

// Sources are where settings come from.
type Sources struct {
	Flags   map[string]string // by environment key; only those that were given
	Environ []string          // as of os.Environ
	Dir     string            // the working directory, where .env may be; "" for none
	// NoCluster leaves out the settings of the connection.
	NoCluster bool
	// NoSecret is for who keeps the token's secret: none need be there yet.
	NoSecret bool
	// CallersTokens lets the token be absent if each caller brings its own.
	CallersTokens bool
	// Keyring finds the secret of a token if none is set, which is read when it is
	// first needed. nil, or its error, says that there is no keyring.
	Keyring Keyring
}

// Keyring returns how to read the secret of a token that is for these hosts alone.
type Keyring func(token string, hosts []string) (read func() (string, error), err error)

// Load reads and checks all settings. Each line of its error names one setting and
// shows a correct one.
func Load(src Sources) (*Config, error) {
	env := environment(src.Environ)
	file, warnings, err := readDotEnv(src.Dir)
	problems := append(unknown(env), unknown(file)...)
	if err != nil {
		problems = append(problems, err)
	}
	values, from, fromFile, ignored := combine(src.Flags, env, file)
	c := &Config{Warnings: append(warnings, ignored...)}
	for _, s := range settings {
		v := cmp.Or(values[s.Key], s.Default)
		if v == "" || src.NoCluster && s.connection {
			continue
		}
		if err := c.take(s, v, src.Dir, from[s.Key]); err != nil {
			problems = append(problems, problem(s, err))
		}
	}
	c.Given = given(values, src.Dir)
	problems = append(problems, c.ConsentStore.check()...)
	if !c.imagesFile.IsZero() {
		if c.Images, err = images.Read(c.imagesFile); err != nil {
			problems = append(problems, badSetting(imagesKey, err))
		}
	}
	if !src.NoCluster {
		tokenless := src.CallersTokens && c.HTTP.OwnTokens == "required" && c.noToken(values)
		problems = append(problems, c.finish(values, tokenless)...)
		if !src.NoSecret && !tokenless {
			problems = append(problems, c.findSecret(values, src.Keyring, fromFile)...)
		}
	}
	if len(problems) > 0 {
		for _, w := range c.Warnings { // one may be why something is missing
			problems = append(problems, errors.New(w))
		}
		return nil, errors.Join(problems...)
	}
	return c, nil
}

// take reads the value of a setting.
func (c *Config) take(s Setting, v, dir string, from Origin) (err error) {
	if s.file == nil {
		return s.set(c, v)
	}
	*s.file(c), err = fileName(dir, v, from)
	return err
}

// Simulated reads the settings of a process whose cluster is simulated: from flags
// alone, and none about a connection. The tools that most people want are offered.
func Simulated(flags map[string]string) (*Config, error) {
	for _, s := range settings {
		if s.connection && flags[s.Key] != "" {
			return nil, fmt.Errorf("--%s does not go with --demo, whose cluster is simulated", s.Flag)
		}
	}
	if flags[Toolsets] == "" {
		flags = maps.Clone(flags)
		if flags == nil {
			flags = map[string]string{}
		}
		flags[Toolsets] = "standard"
	}
	return Load(Sources{Flags: flags, NoCluster: true})
}

// problem is one line about one setting.
func problem(s Setting, err error) error {
	if maybeSecret(err.Error()) {
		err = errors.New("the value (not shown: it may be a secret) is not valid")
	}
	return fmt.Errorf("%s: %w; for example %s=%s", s.Key, err, s.Key, s.Example)
}

// environment returns our part of the environment. Clients hand on variables that
// are not set as empty ones.
func environment(environ []string) map[string]string {
	values := map[string]string{}
	for _, line := range environ {
		key, value, _ := strings.Cut(line, "=")
		if value = strings.TrimSpace(value); strings.HasPrefix(key, "PVE_") && value != "" {
			values[key] = value
		}
	}
	return values
}

// unknown complains of settings in our own name space that do not exist: a typo in
// one that limits the server must not go unnoticed.
func unknown(values map[string]string) []error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		isSetting := slices.ContainsFunc(settings, func(s Setting) bool { return s.Key == key })
		if strings.HasPrefix(key, "PVE_MCP_") && !isSetting {
			problems = append(problems, fmt.Errorf("%s: there is no such setting; pve-mcp --help lists them", key))
		}
	}
	return problems
}

// combine lets a flag win over the environment, and adds the file. Host, TLS and
// token come from one source, so that a file can never point somebody's token at
// another host or switch verification off for it: if the environment has any
// PVE_* variable, or a flag is about the connection, the file may only make the
// server safer.
func combine(flags, env, file map[string]string) (values map[string]string, from map[string]Origin, fromFile bool, warnings []string) {
	values, from = maps.Clone(env), map[string]Origin{}
	for key := range env {
		from[key] = FromEnvironment
	}
	for key, v := range flags {
		if v = strings.TrimSpace(v); v != "" { // as for a variable, empty is not given
			values[key], from[key] = v, FromFlag
		}
	}
	taken := len(env) > 0
	for _, s := range settings {
		taken = taken || s.connection && flags[s.Key] != ""
	}
	var ignored []string
	for _, s := range settings {
		v, given := file[s.Key]
		if given && s.notFromDotEnv {
			warnings = append(warnings, fmt.Sprintf(".env: ignored %s, which it may not set; set it in the environment, or with --%s", s.Key, s.Flag))
			continue
		}
		tight := given && (s.loosens != nil && !s.loosens(v) || s.limits && values[s.Key] == "")
		switch {
		case tight, given && !taken && values[s.Key] == "":
			values[s.Key], from[s.Key] = v, FromDotEnv
		case given && taken:
			ignored = append(ignored, s.Key)
		}
	}
	if len(ignored) > 0 {
		warnings = append(warnings, fmt.Sprintf(".env: ignored %s, because flags or the environment configure this server", strings.Join(ignored, ", ")))
	}
	return values, from, !taken && len(file) > 0, warnings
}

// finish reads the files and checks what concerns several settings.
func (c *Config) finish(values map[string]string, tokenless bool) []error {
	var problems []error
	bad := func(key string, format string, args ...any) {
		problems = append(problems, badSetting(key, fmt.Errorf(format, args...)))
	}
	if values["PVE_HOST"] == "" {
		bad("PVE_HOST", "not set")
	}
	if values["PVE_TOKEN_ID"] == "" && !tokenless {
		bad("PVE_TOKEN_ID", "not set")
	}
	if !c.caFile.IsZero() {
		if err := c.readCAs(); err != nil {
			bad("PVE_CA_FILE", "%w", err)
		}
	}
	if len(c.pins) > 0 && len(c.Hosts) > 0 {
		if len(c.pins) != len(c.Hosts) {
			bad("PVE_FINGERPRINT", "%d fingerprint(s) for %d host(s)", len(c.pins), len(c.Hosts))
		} else {
			c.pin()
		}
	}
	if !c.VerifySSL && len(c.pins) == 0 {
		c.Warnings = append(c.Warnings, "PVE_VERIFY_SSL=false: anyone between this machine and PVE can read and use the token; pin the certificate with PVE_FINGERPRINT instead")
	}
	return problems
}

// badSetting is one line about the setting with a key.
func badSetting(key string, err error) error {
	return problem(settings[slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })], err)
}

// noToken reports whether nothing about a token is set.
func (c *Config) noToken(values map[string]string) bool {
	return values["PVE_TOKEN_ID"] == "" && values[secretKey] == "" && c.SecretFile.IsZero()
}

// findSecret finds the secret of the token. A file .env gets none from the keyring: it may
// come from anywhere, and must not choose how somebody's token is sent.
func (c *Config) findSecret(values map[string]string, keyring Keyring, fromFile bool) []error {
	bad := func(key string, format string, args ...any) []error {
		return []error{badSetting(key, fmt.Errorf(format, args...))}
	}
	switch hasSecret := values[secretKey] != ""; {
	case hasSecret && !c.SecretFile.IsZero():
		return bad(secretKey, "PVE_TOKEN_SECRET_FILE is set too; set one of them")
	case !c.SecretFile.IsZero():
		c.SecretFrom = secretFileKey
		switch err := c.readSecret(); {
		case errors.Is(err, fs.ErrNotExist):
			return bad(secretFileKey, "%w; pve-mcp secret set makes the file", err)
		case err != nil:
			return bad(secretFileKey, "%w", err)
		}
		return nil
	case hasSecret:
		c.SecretFrom = secretKey
		return nil
	case keyring == nil || fromFile || len(c.Hosts) == 0 || c.Token.ID == "":
		return bad(secretKey, "not set, nor is PVE_TOKEN_SECRET_FILE")
	}
	read, err := keyring(c.Token.ID, c.Hosts)
	if err != nil {
		return bad(secretKey, "not set, nor is PVE_TOKEN_SECRET_FILE, and %w", err)
	}
	c.SecretFrom = "keyring"
	c.Token.Secret = proxmox.LateSecret(func() (string, error) {
		text, err := read()
		if err == nil {
			err = proxmox.NewSecret(text).Check()
		}
		return text, err
	})
	return nil
}

// given returns what was set and may be shown. Files are relative to dir.
func given(values map[string]string, dir string) map[string]string {
	out := map[string]string{}
	for _, s := range settings {
		v := values[s.Key]
		if v == "" || s.Flag == "" {
			continue
		}
		if s.file != nil && !filepath.IsAbs(v) {
			v = filepath.Join(dir, v)
		}
		out[s.Key] = v
	}
	return out
}

func (c *Config) pin() {
	c.Fingerprints = map[string]proxmox.Fingerprint{}
	for i, host := range c.Hosts {
		if u, err := url.Parse(host); err == nil {
			c.Fingerprints[u.Host] = c.pins[i]
		}
	}
}

func (c *Config) readSecret() error {
	data, err := c.SecretFile.Read()
	if err != nil {
		return err
	}
	c.Token.Secret = proxmox.NewSecret(strings.TrimSpace(string(data)))
	return c.Token.Secret.Check()
}

func (c *Config) readCAs() error {
	data, err := c.caFile.Read()
	if err != nil {
		return err
	}
	c.Roots = x509.NewCertPool()
	if !c.Roots.AppendCertsFromPEM(data) {
		return errors.New("the file has no certificate in PEM form")
	}
	return nil
}
