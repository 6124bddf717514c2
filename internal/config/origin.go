package config

import "cmp"

// Origin is where the value of a setting comes from.
type Origin string

// The origins.
const (
	FromFlag        Origin = "flag"
	FromEnvironment Origin = "environment"
	FromDotEnv      Origin = ".env"
	FromFile        Origin = "file" // that another setting names
	FromKeyring     Origin = "keyring"
	FromDefault     Origin = "default"
)

// Given is a setting that has a value.
type Given struct {
	Key  string
	From Origin
	// Value is "" if it may be a secret; of a setting from a file it is the name of
	// the file.
	Value string
}

// Origins lists the settings that have a value, with where that comes from, in the order
// of [Settings]. It does not check them, so that a wrong value can be reported too.
func Origins(src Sources) []Given {
	env := environment(src.Environ)
	file, _, _ := readDotEnv(src.Dir) // Load complains of it
	values, from, _, _ := combine(src.Flags, env, file)
	var out []Given
	for _, s := range settings {
		g := Given{Key: s.Key, From: cmp.Or(from[s.Key], FromDefault), Value: cmp.Or(values[s.Key], s.Default)}
		if g.Value == "" && s.Key == "PVE_TOKEN_SECRET" {
			g.From, g.Value = FromFile, values["PVE_TOKEN_SECRET_FILE"]
		}
		switch {
		case g.Value == "":
			continue
		case g.From != FromFile && s.Flag == "", maybeSecret(g.Value):
			g.Value = ""
		}
		out = append(out, g)
	}
	return out
}
