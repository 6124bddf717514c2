package render

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Mask replaces a secret, as PVE itself writes it.
const Mask = "**********"

const (
	uuid = `[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`
	// secretName is the name of a secret: cipassword is one, and DB_PASS.
	secretName = `(?:[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|private|encryption|client|hmac)[_-]?key)[\w.-]*|` +
		`(?:[\w.-]*[_.-]|db|my|pg|sql|ftp|root|user|admin|smtp|mail|redis)?(?:pass|pwd|passcode))`
	// secretValue is what stands after it, in quotes or up to a space. A comma or a full
	// stop at the end is that of a sentence.
	secretValue = `(?:"([^"]*)"?|'([^']*)'?|([^\s"']*[^\s"',;.]))`
)

// secret is what is masked in text: the groups of the expression, or what it matches as a
// whole where it has none.
type secret struct {
	// words are in every text in small letters that has such a secret, one of them: that
	// is much faster than the expression.
	words []string
	re    *lazyregexp.Regexp
	// but, if it is not nil, matches text in the place of a secret that is not one.
	but *lazyregexp.Regexp
}

var secrets = []secret{
	{[]string{"private key"}, lazyregexp.New(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), nil},
	// PVE's tickets and CSRF tokens, and its token secrets: ops@pve!mcp=UUID, or the id and
	// the UUID beside each other.
	{[]string{"pve:"}, lazyregexp.New(`\bPVE:[^\s:]+:[0-9A-F]{8}::[^\s"']+`), nil},
	{[]string{"!"}, lazyregexp.New(`![A-Za-z][\w.-]*["']?[\s:=,]+["']?(` + uuid + `)`), nil},
	// A UUID after an =, but that of smbios1, which is called uuid.
	{[]string{"="}, lazyregexp.New(`(?:^|[^d]|(?:^|[^i])d|(?:^|[^u])id|(?:^|[^u])uid)=\s*["']?(` + uuid + `)`), nil},
	{[]string{"authorization"}, lazyregexp.New(`(?i)\bauthorization["']?\s*[:=]\s*["']?(?:[a-z]+[ \t]+)?([^\s"',]+)`), nil},
	{[]string{"cookie"}, lazyregexp.New(`(?i)\b(?:set-)?cookie["']?\s*:\s*([^\r\n"']+)`), nil},
	{[]string{"bearer"}, lazyregexp.New(`(?i)\bbearer\s+([\w+/.=~-]{8,})`), nil},
	{named, lazyregexp.New(`(?i)\b` + secretName + `["']?\s*[:=]\s*` + secretValue), nil},
	{named, lazyregexp.New(`(?i)(?:^|\s)--?` + secretName + `\s+` + secretValue), nil},
	{named, lazyregexp.New(`(?i)\b` + secretName + `\s+(?:is|was|will be)\s*:?\s+` + secretValue), notSaidRE},
	{[]string{"-u", "user"}, lazyregexp.New(`(?:^|\s)(?:-[uU]|--(?:proxy-)?user)[\s=]*["']?[^\s:"'=]+:([^\s"']+)`), idRE},
	{[]string{"sshpass"}, lazyregexp.New(`\bsshpass\s+-p\s*` + secretValue), nil},
	{[]string{"mysql", "mariadb"}, lazyregexp.New(`\b(?:mysql|mariadb)\S*[^\n;|&]*?\s-p(\S+)`), nil},
	{[]string{"@"}, lazyregexp.New(`(?i)://[^\s/:@]*:([^\s/@]+)@`), nil},                         // a password in a URL
	{[]string{"sig"}, lazyregexp.New(`(?i)[?&](?:sig|(?:[\w-]+-)?signature)=([^\s"'&#]+)`), nil}, // what makes a URL a key
	{[]string{"$"}, lazyregexp.New(`\$(?:1|2[abxy]|5|6|7|y|gy)\$[\w./$=,-]{8,}`), nil},           // what crypt(3) makes of one
	{[]string{"akia", "asia"}, lazyregexp.New(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`), nil},
	{[]string{"gh", "github_", "glpat-", "xox", "sk-"},
		lazyregexp.New(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,})`), nil},
	{[]string{"eyj"}, lazyregexp.New(`\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*`), nil}, // a JSON Web Token
	{[]string{"pvemcp_"}, lazyregexp.New(`\bpvemcp_[A-Za-z0-9_-]{20,}`), nil},                             // a bearer token of our own
}

var (
	// named are in the name of every secret.
	named = []string{"pass", "pwd", "secret", "token", "credential", "key"}
	// notSaidRE matches what is said of a password that is not told.
	notSaidRE = lazyregexp.New(`(?i)^(?:an?|the|this|that|on|in|at|by|to|for|from|with|as|not|no|now|also|always|never|only|still|too|so|one|it|is|was|been|being|` +
		`stored|kept|set|unset|used|needed|required|wrong|invalid|incorrect|expired|empty|missing|changed|known|unknown|written|given|same|your|our|my|` +
		`optional|broken|correct|valid|weak|shorter|longer|default|generated|printed|shown|hidden|revoked|lost|ok|here|there)$`)
	idRE = lazyregexp.New(`^\d+$`) // of a group: docker run -u 1000:1000

	secretNameRE = lazyregexp.New(`(?i)^` + secretName + `$`)
)

// NamesSecret reports whether a key, a variable or the long flag of a command is called
// as what has a secret.
func NamesSecret(name string) bool { return secretNameRE.MatchString(strings.TrimLeft(name, "-")) }

// Notes is Lines for notes of people, in which what looks like a password, a token or a
// key is masked.
func Notes(s string, limit int) string { return cut(MaskSecrets(clean(s)), limit) }

// Said is Text for what people, tasks and PVE say, in which what looks like a password, a
// token or a key is masked.
func Said(s string, limit int) string { return cut(MaskSecrets(line(s)), limit) }

// MaskSecrets masks what looks like a password, a token or a key.
func MaskSecrets(s string) string {
	small := strings.ReplaceAll(strings.ToLower(s), "ſ", "s") // as (?i) has it
	for _, secret := range secrets {
		if slices.ContainsFunc(secret.words, func(word string) bool { return strings.Contains(small, word) }) {
			s = secret.re.ReplaceAllStringFunc(s, secret.mask)
		}
	}
	return s
}

// mask masks what the expression has matched.
func (secret secret) mask(match string) string {
	groups := secret.re.FindStringSubmatchIndex(match)
	if len(groups) == 2 {
		return Mask
	}
	for i := 2; i < len(groups); i += 2 {
		from, to := groups[i], groups[i+1]
		if from < 0 || secret.but != nil && secret.but.MatchString(match[from:to]) {
			continue
		}
		return match[:from] + Mask + match[to:]
	}
	return match
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
