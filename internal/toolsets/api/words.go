package api

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed words.txt
var wordsFile string

// purpose describes what an endpoint is for, in plain words.
type purpose struct {
	text  string
	words string // that people use for it
}

// purposes are those of all endpoints that we know, by method and path.
var purposes = sync.OnceValue(func() map[string]purpose {
	out := map[string]purpose{}
	var special []string
	for line := range strings.Lines(wordsFile) {
		line = strings.TrimSpace(line)
		key, rest, ok := strings.Cut(line, " = ")
		switch {
		case !ok || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(key, "/"):
			for method, text := range verbs(key, before(rest)) {
				addPurpose(out, method+" "+key, purpose{text, after(rest)})
			}
		default:
			special = append(special, line)
		}
	}
	for _, line := range special { // which count more than what is said of all methods
		key, rest, _ := strings.Cut(line, " = ")
		addPurpose(out, key, purpose{before(rest), after(rest)})
	}
	return out
})

func before(rest string) string { text, _, _ := strings.Cut(rest, " | "); return text }

func after(rest string) string { _, words, _ := strings.Cut(rest, " | "); return words }

func addPurpose(out map[string]purpose, key string, p purpose) {
	for _, each := range bothKinds(key) {
		out[each] = p
	}
}

// bothKinds returns the two keys that a key with qemu|lxc is short for.
func bothKinds(key string) []string {
	vm, ct := strings.Replace(key, "qemu|lxc", "qemu", 1), strings.Replace(key, "qemu|lxc", "lxc", 1)
	if vm == ct {
		return []string{key}
	}
	return []string{vm, ct}
}

// verbs makes sentences of a noun, by method.
func verbs(path, noun string) map[string]string {
	if strings.HasPrefix(noun, "parts of") || !strings.Contains(noun, "(s)") && !strings.Contains(noun, "(es)") && !strings.HasSuffix(path, "}") {
		return map[string]string{"GET": "List " + noun, "PUT": "Change " + noun, "POST": "Make " + noun, "DELETE": "Delete " + noun}
	}
	one := strings.NewReplacer("(s)", "", "(es)", "").Replace(noun)
	many := strings.NewReplacer("(s)", "s", "(es)", "es").Replace(noun)
	list := "List " + many
	if one == many {
		list = "Show the " + one
	}
	return map[string]string{"GET": list, "POST": "Make " + article(one), "PUT": "Change the " + one, "DELETE": "Delete the " + one}
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeioIAEO") || strings.HasPrefix(noun, "HA ") || strings.HasPrefix(noun, "SDN") || strings.HasPrefix(noun, "SMTP") {
		return "an " + noun
	}
	return "a " + noun
}
