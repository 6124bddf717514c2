package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Store is where replicas remember which answers of humans were used. The zero value is
// none.
type Store struct {
	Folder string   // "" for none
	Redis  *url.URL // nil for none

	// Secret is the password of that server, or in SecretFile.
	Secret     proxmox.Secret
	SecretFile files.Name
}

// parseStore reads the name of a folder or the URL of a server. Its error never has the
// value, in which there may be a password.
func parseStore(v string) (folder string, redis *url.URL, err error) {
	if !strings.Contains(v, "://") {
		if maybeSecret(v) {
			return "", nil, errors.New("the value looks like a secret, not like the name of a folder")
		}
		return v, nil, nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", nil, errors.New("it is neither a folder nor a URL such as rediss://redis.example.org:6379/0")
	}
	if _, has := u.User.Password(); has {
		return "", nil, fmt.Errorf("a password does not belong in the URL, which is shown; set %s or %s", consentSecret, consentFile)
	}
	return "", u, nil
}

// check refuses two passwords.
func (s Store) check() []error {
	if s.Secret.IsZero() || s.SecretFile.IsZero() {
		return nil
	}
	return []error{fmt.Errorf("%s: it is set, and so is %s; one is enough", consentSecret, consentFile)}
}

// Password returns the password of the server, or "". A file is read anew each time.
func (s Store) Password() (string, error) {
	if s.SecretFile.IsZero() {
		return s.Secret.Reveal(), nil
	}
	data, err := s.SecretFile.Read()
	return strings.TrimSpace(string(data)), err
}
