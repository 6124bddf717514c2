package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// withoutSecrets returns the arguments of a call as an object without its secrets. For
// text that is not JSON, only the length is recorded, because no secrets can be found in
// it.
func withoutSecrets(args json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(args)) == 0 {
		return json.RawMessage("{}")
	}
	value, _, ok := decode(args)
	if !ok {
		value = fmt.Sprintf("%s (%d bytes that are no JSON)", render.Mask, len(args))
	}
	return bounded(masked("", value))
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
		return render.MaskSecrets(render.SSHKeys(text))
	case name == "stdin", isSSHKeys(name), render.NamesSecret(name), isKey(name):
		return render.Mask
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, e := range v {
			out[render.MaskSecrets(key)] = masked(strings.ToLower(key), e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = masked("", e)
			out[i] = maskedAfter(at(v, i-1), e, out[i])
		}
		return out
	case string:
		if !strings.HasPrefix(strings.TrimSpace(v), "{") && !strings.HasPrefix(strings.TrimSpace(v), "[") {
			return render.MaskSecrets(v)
		}
		inner, rest, ok := decode([]byte(v)) // an object may be given as text, too
		if !ok {
			return render.MaskSecrets(v)
		}
		return string(exactjson.Encode(masked("", inner))) + render.MaskSecrets(string(rest))
	}
	return value
}

// maskedAfter is the argument of a command after another one, which may say that it is a
// secret or has one.
func maskedAfter(before, value, shown any) any {
	flag, isFlag := before.(string)
	text, isText := value.(string)
	switch {
	case isFlag && strings.HasPrefix(flag, "-") && render.NamesSecret(flag):
		return render.Mask
	case isFlag && isText && strings.HasPrefix(flag, "-"): // -u user:password
		if after, ok := strings.CutPrefix(render.MaskSecrets(flag+" "+text), flag+" "); ok && after != text {
			return after
		}
	}
	return shown
}

func at(list []any, i int) any {
	if i < 0 {
		return nil
	}
	return list[i]
}

// isKey reports whether a parameter of PVE has this name that is a secret, although its name
// does not say so.
func isKey(name string) bool {
	return slices.Contains([]string{"key", "keys", "keyring", "data"}, name)
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
