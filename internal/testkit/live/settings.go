// Package live lets the tools' stories run against a real node: on guests of their own, in
// a range of ids that is theirs alone. It checks before it begins, fences in what is
// written, and cleans up.
package live

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Setting is a variable of the environment that a live run reads beside those of pve-mcp
// itself: everything about it is said here.
type Setting struct {
	Key      string
	Doc      string // one sentence, without a full stop
	Example  string
	Optional string // what happens without it, "" if it has to be set
	Fills    string // the placeholder of stories for it, "" for none

	set   func(s *Settings, value string) error
	gives func(s Settings) string // the value of the placeholder
}

// meant is the key of the setting that says that changes are wanted.
const meant = "PVE_LIVE_I_MEAN_IT"

// Table are all settings of a live run, in the order in which they are explained.
func Table() []Setting {
	return []Setting{
		{
			Key: meant, Example: "yes", Doc: "says that guests may be made, changed and destroyed on the node",
			set: func(_ *Settings, v string) error {
				if v != "yes" {
					return errors.New("it is not yes")
				}
				return nil
			},
		},
		{
			Key: "PVE_LIVE_VMIDS", Example: "9000-9019", Doc: "the scratch range: 2 to 100 ids that no guest, disk or backup has",
			set: func(s *Settings, v string) (err error) { s.IDs, err = parseRange(v); return },
		},
		{
			Key: "PVE_LIVE_STORAGE", Example: "local-zfs",
			Doc:   "storage for disks, with snapshots of VMs; what it cannot do for containers is left out",
			set:   func(s *Settings, v string) error { s.Storage = v; return nil },
			Fills: "storage", gives: func(s Settings) string { return s.Storage },
		},
		{
			Key: "PVE_LIVE_BACKUPS", Example: "local", Doc: "storage for backups", Optional: "stories with backups are left out",
			set:   func(s *Settings, v string) error { s.Backups = v; return nil },
			Fills: "backups", gives: func(s Settings) string { return s.Backups },
		},
		{
			Key: "PVE_LIVE_TEMPLATE", Example: "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz", Doc: "volume of a container template",
			Optional: "stories of containers are left out",
			set:      func(s *Settings, v string) (err error) { s.Template, err = pve.ParseVolID(v); return },
			Fills:    "template", gives: func(s Settings) string { return volume(s.Template) },
		},
		{
			Key: "PVE_LIVE_ISO", Example: "local:iso/debian-12.11.0-amd64-netinst.iso", Doc: "volume of an ISO image", Optional: "stories with a CD are left out",
			set:   func(s *Settings, v string) (err error) { s.ISO, err = pve.ParseVolID(v); return },
			Fills: "iso", gives: func(s Settings) string { return volume(s.ISO) },
		},
		{
			Key: "PVE_LIVE_NODE", Example: "pve", Doc: "name of the node", Optional: "it is the one that answers",
			set:   func(s *Settings, v string) error { s.Node = v; return nil },
			Fills: "node", gives: func(s Settings) string { return s.Node },
		},
		{
			Key: "PVE_LIVE_KVM", Example: "no", Doc: "no on a node without hardware virtualisation, where each VM that is made gets kvm: 0",
			Optional: "it is yes",
			set: func(s *Settings, v string) error {
				if v != "yes" && v != "no" {
					return errors.New("it is neither yes nor no")
				}
				s.Emulated = v == "no"
				return nil
			},
		},
	}
}

// volume writes a volume, none as "".
func volume(v pve.VolID) string {
	if v == (pve.VolID{}) {
		return ""
	}
	return v.String()
}

// Range are the ids from the first to the last.
type Range struct{ First, Last pve.VMID }

// Has reports whether an id is in the range.
func (r Range) Has(id pve.VMID) bool { return r.First <= id && id <= r.Last }

// Len returns how many ids there are.
func (r Range) Len() int { return int(r.Last-r.First) + 1 }

func (r Range) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

func parseRange(v string) (Range, error) {
	rules, err := policy.ParseRules(v)
	if err != nil || len(rules) != 1 || rules[0].Low == 0 {
		return Range{}, errors.New("it is no range of ids")
	}
	r := Range{pve.VMID(rules[0].Low), pve.VMID(rules[0].High)}
	if r.Len() < 2 || r.Len() > 100 {
		return Range{}, fmt.Errorf("%d ids are not between 2 and 100", r.Len())
	}
	return r, nil
}

// Settings are those of a live run.
type Settings struct {
	IDs           Range
	Node          string
	Storage       string
	Backups       string
	Template, ISO pve.VolID
	Emulated      bool           // VMs run without hardware virtualisation
	Config        *config.Config // of pve-mcp itself
}

// ErrNoNode says that no node is given, so that there is nothing to run against.
var ErrNoNode = errors.New("no PVE node in the environment: PVE_HOST is not set")

// Load reads the settings of a live run from the environment alone, as of os.Environ. Each
// line of its error is about one setting; without a node it is [ErrNoNode].
func Load(environ []string) (Settings, error) {
	values := map[string]string{}
	for _, line := range environ {
		key, value, _ := strings.Cut(line, "=")
		values[key] = strings.TrimSpace(value)
	}
	if values["PVE_HOST"] == "" {
		return Settings{}, ErrNoNode
	}
	var s Settings
	var problems []error
	for _, setting := range Table() {
		v := values[setting.Key]
		if v == "" && setting.Optional != "" {
			continue
		}
		err := errors.New("it is not set")
		if v != "" {
			err = setting.set(&s, v)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w (%s); for example %[1]s=%[4]s", setting.Key, err, setting.Doc, setting.Example))
		}
	}
	var err error
	if s.Config, err = config.Load(config.Sources{Environ: environ}); err != nil {
		problems = append(problems, err)
	} else if s.Config.Policy.ReadOnly {
		problems = append(problems, errors.New("PVE_MCP_READ_ONLY: a live run changes things"))
	}
	return s, errors.Join(problems...)
}

// Value is what a setting gives to stories, by the name of its placeholder, and the key of
// that setting. A value that is not set is "".
func (s Settings) Value(placeholder string) (value, key string) {
	for _, setting := range Table() {
		if setting.gives != nil && setting.Fills == placeholder {
			return setting.gives(s), setting.Key
		}
	}
	return "", ""
}
