package render

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"pve-mcp/pve/lazyregexp"
)

// Mask stands for a secret, as PVE itself writes it.
const Mask = "**********"

// secrets are what is masked in text that people write: each expression has the secret
// as its last group, or is one as a whole. Text in small letters that has none of the words
// has no such secret, which is told much sooner than by the expression.
var secrets = []struct {
	words []string
	re    *lazyregexp.Regexp
}{
	{[]string{"private key"}, lazyregexp.New(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)},
	{[]string{"passw", "passphrase", "pwd", "secret", "token", "key"}, lazyregexp.New(`(?i)(?:password|passwd|passphrase|\bpwd|secret|token|api[_-]?key|access[_-]?key)[a-z0-9_]*["']?\s*[:=]\s*["']?([^\s"',;]+)`)},
	{[]string{"!"}, lazyregexp.New(`![A-Za-z][A-Za-z0-9._-]*=([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})`)}, // of a PVE token
	{[]string{"akia", "asia"}, lazyregexp.New(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{[]string{"gh", "glpat-", "xox", "sk-"}, lazyregexp.New(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,})`)},
	{[]string{"eyj"}, lazyregexp.New(`\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*`)}, // a JSON Web Token
	{[]string{"@"}, lazyregexp.New(`(?i)://[^\s/:@]+:([^\s/@]+)@`)},                                  // a password in a URL
	{[]string{"pvemcp_"}, lazyregexp.New(`\bpvemcp_[A-Za-z0-9_-]{20,}`)},                             // a bearer token of our own
	{[]string{"bearer"}, lazyregexp.New(`(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{16,})`)},
}

// Notes is Lines for notes of people, in which what looks like a password, a token or a
// key is masked.
func Notes(s string, limit int) string { return Lines(MaskSecrets(s), limit) }

// MaskSecrets masks what looks like a password, a token or a key.
func MaskSecrets(s string) string {
	small := strings.ReplaceAll(strings.ToLower(s), "ſ", "s") // as (?i) has it
	for _, secret := range secrets {
		if !slices.ContainsFunc(secret.words, func(word string) bool { return strings.Contains(small, word) }) {
			continue
		}
		s = secret.re.ReplaceAllStringFunc(s, func(match string) string {
			groups := secret.re.FindStringSubmatchIndex(match)
			if len(groups) < 4 || groups[2] < 0 {
				return Mask
			}
			return match[:groups[2]] + Mask + match[groups[3]:]
		})
	}
	return s
}

// SSHKeys shows authorized keys without the keys: type, SHA-256 fingerprint as ssh-keygen
// writes it, and comment of each.
func SSHKeys(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		i := 0 // the type, after options
		for i < len(fields)-1 && !strings.HasPrefix(fields[i], "ssh-") && !strings.HasPrefix(fields[i], "ecdsa-") && !strings.HasPrefix(fields[i], "sk-") {
			i++
		}
		if i+1 >= len(fields) {
			out = append(out, Mask)
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(fields[i+1])
		if err != nil {
			out = append(out, Mask)
			continue
		}
		sum := sha256.Sum256(blob)
		shown := []string{Text(fields[i], 40), "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])}
		if i+2 < len(fields) {
			shown = append(shown, Text(strings.Join(fields[i+2:], " "), 80))
		}
		out = append(out, strings.Join(shown, " "))
	}
	return strings.Join(out, "\n")
}
