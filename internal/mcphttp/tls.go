package mcphttp

import (
	"crypto/tls"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// TLS returns the configuration of a listener with a certificate from two files, which
// are read again when one of them changes. While they do not fit together, as between two
// writes, the certificate stays as it was.
func TLS(certFile, keyFile files.Name) (*tls.Config, error) {
	c := &certificate{cert: certFile, key: keyFile}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

type certificate struct {
	cert, key files.Name

	mu   sync.Mutex
	seen [2]time.Time     // when the files were changed; guarded by mu
	pair *tls.Certificate // guarded by mu
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seen [2]time.Time
	for i, name := range []files.Name{c.cert, c.key} {
		if info, err := name.Stat(); err == nil {
			seen[i] = info.ModTime()
		}
	}
	if c.pair != nil && seen == c.seen {
		return c.pair, nil
	}
	pair, err := files.KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.pair, c.seen = &pair, seen
	case c.pair == nil:
		return nil, err
	}
	return c.pair, nil
}
