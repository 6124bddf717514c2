package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// mostText is how many characters of a text are shown.
const mostText = 4000

// cleaner masks secrets in PVE's answers, and cleans what guests and people have written.
type cleaner struct {
	// secret says that the guard's table expects secrets in the answer.
	secret bool
	masked map[string]bool // the names of what was masked
}

// ids are names that look like those of secrets, but are not.
var ids = []string{"tokenid", "full-tokenid", "tokens", "generate-password", "ask-password"}

// secretKeys hold secrets in answers in which the guard's table expects some, in addition to
// names that say so.
var secretKeys = []string{"key", "client-key", "data", "header", "headers", "otel-headers", "keyring", "secret", "serverid"}

// keyRE matches a key of Ceph in its configuration.
var keyRE = lazyregexp.New(`(?m)(\bkey"?\s*[:=]\s*"?)[A-Za-z0-9+/]{20,}=*`)

func (c cleaner) clean(key string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[render.Text(k, 200)] = c.clean(k, inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = c.clean(key, inner)
		}
		return out
	case string:
		return c.text(key, v)
	case json.Number:
		if c.isSecret(key) && len(v) > 1 {
			return c.mask(key)
		}
	}
	return value
}

func (c cleaner) text(key, s string) string {
	switch {
	case s == "":
		return ""
	case key == "sshkeys" || key == "ssh-public-keys":
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
		return render.SSHKeys(s)
	case c.secret && key == "url":
		return c.host(s)
	case c.isSecret(key):
		return c.mask(key)
	}
	shown := s
	if c.secret {
		shown = keyRE.ReplaceAllString(shown, "${1}"+render.Mask)
	}
	shown = render.Notes(shown, mostText)
	if strings.Contains(shown, render.Mask) && !strings.Contains(s, render.Mask) {
		c.masked[key] = true
	}
	return shown
}

// host shows only the host of an address that may itself be a secret.
func (c cleaner) host(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return c.mask("url")
	}
	c.masked["url"] = true
	return u.Scheme + "://" + u.Host + "/" + render.Mask
}

func (c cleaner) isSecret(key string) bool {
	if slices.Contains(ids, key) {
		return false
	}
	return render.NamesSecret(key) || key == "keyring" || c.secret && slices.Contains(secretKeys, key)
}

func (c cleaner) mask(key string) string {
	c.masked[key] = true
	return render.Mask
}

// names are the fields in which something was masked.
func (c cleaner) names() []string { return slices.Sorted(maps.Keys(c.masked)) }

// fit makes data small enough: it keeps the first elements of lists and the start of texts, and
// says in their place what was left out.
func fit(data any, most int) (small any, cut bool) {
	if size(data) <= most {
		return data, false
	}
	for elements, text := 64, 2000; ; elements, text = max(1, elements/2), max(20, text/2) {
		small = shrink(data, elements, text)
		if size(small) <= most || elements == 1 && text == 20 {
			return small, true
		}
	}
}

func size(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return len(data)
}

func shrink(v any, elements, text int) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if len(out) == 4*elements {
				out["…"] = fmt.Sprintf("%d more fields", len(v)-len(out))
				break
			}
			out[key] = shrink(v[key], elements, text)
		}
		return out
	case []any:
		var out []any
		for _, e := range v[:min(len(v), elements)] {
			out = append(out, shrink(e, elements, text))
		}
		if over := len(v) - len(out); over > 0 {
			out = append(out, fmt.Sprintf("… %d more", over))
		}
		return out
	case string:
		return render.Lines(v, text)
	}
	return v
}
