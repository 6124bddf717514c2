package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// genesis is the prev of the first line of all.
var genesis = strings.Repeat("0", 64)

// opening is how every line begins.
const opening = `{"time":"`

var (
	hashRE = lazyregexp.New(`^[0-9a-f]{64}$`)
	// lastRE matches the field at the end of a line, as the package's comment has it.
	lastRE = lazyregexp.New(`,"hash":"([0-9a-f]{64})"\}$`)
)

// hashOf is HMAC-SHA256 with a key, SHA-256 without one.
func hashOf(key, data []byte) string {
	if len(key) == 0 {
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}

// seal writes a line, with its newline, and returns its hash too.
func seal(ln line, key []byte) (text []byte, hash string, err error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ln); err != nil {
		return nil, "", err
	}
	body := visible(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	hash = hashOf(key, body)
	return fmt.Appendf(body[:len(body)-1], ",\"hash\":\"%s\"}\n", hash), hash, nil
}

// visible escapes the characters in JSON that would hide or reverse text of a line on a
// terminal.
func visible(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		switch {
		case !unicode.Is(unicode.Cf, r) && !unicode.IsControl(r):
			out = append(out, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// parse reads a line, without its newline. It does not look at whether the hash fits.
func parse(text []byte) (line, bool) {
	found := lastRE.FindSubmatch(text)
	var ln line
	if found == nil || json.Unmarshal(text, &ln) != nil || !hashRE.MatchString(ln.Prev) {
		return line{}, false
	}
	ln.hash = string(found[1])
	return ln, true
}

// sealed are the bytes of a line that its hash is made of.
func sealed(text []byte) []byte {
	return append(lastRE.ReplaceAll(text, nil), '}')
}
