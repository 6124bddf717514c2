package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pve-mcp/internal/render"
	"pve-mcp/pve/lazyregexp"
)

// secretWord is part of the names of secrets.
const secretWord = `[\w.-]*(?:passw(?:or)?d|passphrase|passwd|secret|token|api[_-]?key|private[_-]?key|credential)[\w.-]*`

// secretKeyRE matches the names of arguments, and of keys in them, whose values are
// secrets: cipassword is one.
var secretKeyRE = lazyregexp.New(`(?i)^` + secretWord + `$`)

// secretFlagRE matches an argument of a command that the next one is the secret of.
var secretFlagRE = lazyregexp.New(`(?i)^--?` + secretWord + `$`)

const uuid = `[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`

// patterns find secrets in text that are none in the notes of people; what with leaves is
// the rest. A name that precedes a secret is kept.
var patterns = []struct {
	find *lazyregexp.Regexp
	with string
}{
	// PVE's token secrets: ops@pve!mcp=UUID, or the id and the UUID beside each other.
	{lazyregexp.New(`(![A-Za-z][\w.-]*["']?[\s:=,]+["']?)` + uuid), "${1}" + render.Mask},
	// A UUID after an =, but that of smbios1, which is called uuid.
	{lazyregexp.New(`((?:^|[^d]|(?:^|[^i])d|(?:^|[^u])id|(?:^|[^u])uid)=\s*["']?)` + uuid), "${1}" + render.Mask},
	// PVE's tickets and CSRF tokens.
	{lazyregexp.New(`\bPVE:[^\s:]+:[0-9A-F]{8}::[^\s"']+`), render.Mask},
	{lazyregexp.New(`(?i)(\b` + secretWord + `["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s"']+)`), "${1}" + render.Mask},
	{lazyregexp.New(`(?i)((?:^|\s)--?` + secretWord + `\s+)(?:"[^"]*"|'[^']*'|[^\s"']+)`), "${1}" + render.Mask},
	{lazyregexp.New(`(?i)(\bbearer\s+)[\w+/.=~-]{8,}`), "${1}" + render.Mask},
	// What crypt(3) makes of a password.
	{lazyregexp.New(`\$(?:1|2[abxy]|5|6|7|y|gy)\$[\w./$=,-]{8,}`), render.Mask},
}

// maskText masks the secrets in a text.
func maskText(s string) string {
	for _, p := range patterns {
		s = p.find.ReplaceAllString(s, p.with)
	}
	return render.MaskSecrets(s)
}

// withoutSecrets returns the arguments of a call as an object without its secrets. Of
// what is no JSON only the length is told, since nothing can be found in it.
func withoutSecrets(args json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(args)) == 0 {
		return json.RawMessage("{}")
	}
	value, _, ok := decode(args)
	if !ok {
		value = fmt.Sprintf("%s (%d bytes that are no JSON)", render.Mask, len(args))
	}
	return encode(masked("", value))
}

// masked is a value without its secrets, under the name that it has.
func masked(name string, value any) any {
	text, isText := value.(string)
	switch {
	case value == nil:
		return nil
	case name == "stdin" && isText:
		return fmt.Sprintf("%s (%d bytes)", render.Mask, len(text))
	case isSSHKeys(name) && isText:
		if plain, err := url.PathUnescape(text); err == nil { // as PVE takes them
			text = plain
		}
		return maskText(render.SSHKeys(text))
	case name == "stdin", isSSHKeys(name), secretKeyRE.MatchString(name):
		return render.Mask
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, e := range v {
			out[maskText(key)] = masked(strings.ToLower(key), e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = masked("", e)
			if before, ok := at(v, i-1).(string); ok && secretFlagRE.MatchString(before) {
				out[i] = render.Mask
			}
		}
		return out
	case string:
		if !strings.HasPrefix(strings.TrimSpace(v), "{") && !strings.HasPrefix(strings.TrimSpace(v), "[") {
			return maskText(v)
		}
		inner, rest, ok := decode([]byte(v)) // an object may be given as text, too
		if !ok {
			return maskText(v)
		}
		return string(encode(masked("", inner))) + maskText(string(rest))
	}
	return value
}

func at(list []any, i int) any {
	if i < 0 {
		return nil
	}
	return list[i]
}

func isSSHKeys(name string) bool {
	return slices.Contains([]string{"sshkeys", "ssh-public-keys", "ssh_public_keys"}, name)
}

// decode reads a value of JSON, with its numbers as they are written, and returns what
// follows it.
func decode(data []byte) (value any, rest []byte, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err := dec.Decode(&value)
	return value, data[dec.InputOffset():], err == nil
}

// encode writes what decode has read.
func encode(value any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(err) // it came out of JSON
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
