package find

import (
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// wanted is what is looked for, read from the arguments.
type wanted struct {
	prefix  netip.Prefix // of the addresses; of one bit length for a single one
	mac     string       // 12 hexadecimal digits
	iso     pattern
	volume  pattern
	storage string
	bridge  pattern
	vlan    int64
	device  string
	config  []setting
	notes   pattern
	noAgent bool
}

// setting is a key of a configuration and what its value is to be.
type setting struct {
	key, value pattern
	not        bool
	text       string // of the key, as it was given
}

// secretKeys are keys whose values are neither compared nor shown.
var secretKeys = []string{"cipassword", "sshkeys", "ssh-public-keys", "password", "env"}

func parse(in in) (w wanted, err error) {
	w = wanted{
		iso: patternOf(in.ISO), volume: patternOf(in.Volume), storage: in.Storage, bridge: patternOf(in.Bridge), vlan: int64(in.VLAN),
		device: strings.ToLower(strings.TrimSpace(in.Device)), noAgent: in.NoAgent,
	}
	if in.Notes != "" {
		w.notes = patternOf("*" + strings.Trim(in.Notes, "*") + "*")
	}
	if w.prefix, err = parseIP(in.IP); err != nil {
		return w, err
	}
	if w.mac, err = parseMAC(in.MAC); err != nil {
		return w, err
	}
	for key, value := range in.Config {
		if slices.Contains(secretKeys, strings.ToLower(key)) {
			return w, explain.Refusal("", "The value of %s is a secret: it is neither compared nor shown.", key)
		}
		bare, not := strings.CutPrefix(value, "!")
		w.config = append(w.config, setting{patternOf(key), patternOf(bare), not, key})
	}
	slices.SortFunc(w.config, func(a, b setting) int { return strings.Compare(a.text, b.text) })
	if w.isEmpty() && !in.Addresses {
		return w, explain.Refusal(`Such as ip: "10.0.0.5", iso: "debian-12*", vlan: 30, storage: "nfs", config: {"cpu":"kvm64*"}, or addresses: true.`,
			"Nothing was given to look for.")
	}
	return w, nil
}

// isEmpty reports whether nothing is looked for, so that every guest will do.
func (w wanted) isEmpty() bool {
	return !w.prefix.IsValid() && w.mac == "" && w.iso.isEmpty() && w.volume.isEmpty() && w.storage == "" && w.bridge.isEmpty() && w.vlan == 0 &&
		w.device == "" && len(w.config) == 0 && w.notes.isEmpty() && !w.noAgent
}

// inSnapshots reports whether the configurations of snapshots count: what they name is in use.
func (w wanted) inSnapshots() bool {
	return !w.iso.isEmpty() || !w.volume.isEmpty() || w.storage != ""
}

// networked reports whether an interface is to have more than a MAC address.
func (w wanted) networked() bool { return !w.bridge.isEmpty() || w.vlan != 0 }

func parseIP(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, explain.Refusal("Such as 10.0.0.5, fd00::5 or 10.0.0.0/24.", "ip: %q is neither an IP address nor a network.", render.Text(text, 60))
	}
	if p.Masked() != p {
		return p, explain.Refusal("Give "+p.Addr().String()+" for the guest that has it, or "+p.Masked().String()+" for all in its network.",
			"ip: %s is an address in a network, and may mean either.", p)
	}
	return p, nil
}

// parseMAC reads a MAC address as twelve digits, whatever is between them.
func parseMAC(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if mac := plainMAC(text); mac != "" {
		return mac, nil
	}
	return "", explain.Refusal("Such as BC:24:11:5A:00:01, bc-24-11-5a-00-01 or bc24.115a.0001.", "mac: %q is no MAC address.", render.Text(text, 60))
}

// plainMAC is a MAC address as twelve digits, "" if it is none.
func plainMAC(text string) string {
	digits := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(text))
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != 6 {
		return ""
	}
	return digits
}

// pattern is a text in which * matches anything. It does not tell upper from lower case.
type pattern struct {
	text string
	re   *regexp.Regexp
}

func patternOf(text string) pattern {
	if text = strings.TrimSpace(text); text == "" {
		return pattern{}
	}
	return pattern{text, regexp.MustCompile(`(?is)^` + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, `.*`) + `$`)}
}

func (p pattern) isEmpty() bool { return p.re == nil }

// isExact reports whether the pattern means one text.
func (p pattern) isExact() bool { return !p.isEmpty() && !strings.Contains(p.text, "*") }

func (p pattern) matches(text string) bool { return p.re != nil && p.re.MatchString(text) }
