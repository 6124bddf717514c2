package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// failure is a story of something that went wrong.
type failure struct {
	kind  string // the first word of its file's name
	title string
	cause string
	said  string // what the tool answered
}

// kinds are what can go wrong, in the order of the page.
var kinds = []struct{ name, title string }{
	{"connection", "Connection to PVE"}, {"access", "Token and privileges"}, {"cluster", "Nodes and cluster"}, {"guest", "Guests"},
	{"agent", "The guest agent"}, {"storage", "Storages"}, {"task", "Tasks"},
}

// troubleshootingPage is made from the stories of failures, whose answers are what the
// program really said.
func troubleshootingPage(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "testdata", "failures", "*.txtar"))
	if err != nil {
		return "", err
	}
	byKind := map[string][]failure{}
	for _, file := range files {
		f, err := readFailure(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		byKind[f.kind] = append(byKind[f.kind], f)
	}
	var b strings.Builder
	b.WriteString("# Troubleshooting\n\n" + generated)
	b.WriteString("`pve-mcp doctor` checks the configuration, the connection to PVE, the token and its privileges, and says how to fix what is wrong.\n" +
		"It changes nothing; `--json` is for scripts. Below are the answers of tools when something goes wrong, for people and models.\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "\n## %s\n", k.title)
		for _, f := range byKind[k.name] {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s\n", f.title, f.said, f.cause)
		}
		delete(byKind, k.name)
	}
	if len(byKind) > 0 {
		return "", fmt.Errorf("failures of unknown kinds: %v", byKind)
	}
	return b.String(), nil
}

func readFailure(file string) (failure, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return failure{}, err
	}
	kind, _, _ := strings.Cut(filepath.Base(file), "-")
	var about []string
	for line := range strings.Lines(string(data)) {
		text, isComment := strings.CutPrefix(line, "#")
		if !isComment {
			break
		}
		about = append(about, strings.TrimSpace(text))
	}
	_, answer, ok := strings.Cut(string(data), "-- model --\n")
	answer, _, end := strings.Cut(answer, "\n(isError")
	if !ok || !end || len(about) < 3 {
		return failure{}, fmt.Errorf("no story with a title, a cause and an answer")
	}
	return failure{kind: kind, title: about[0], cause: strings.Join(about[2:], "\n"), said: quote(answer)}, nil
}

// quote shows what was said; of a structured answer the sentences that are for a reader.
func quote(answer string) string {
	var said struct {
		Message, Next string
		Notes         []string
	}
	if json.Unmarshal([]byte(answer), &said) == nil {
		lines := slices.DeleteFunc(append([]string{said.Message, said.Next}, said.Notes...), func(s string) bool { return s == "" })
		answer = cmp.Or(strings.Join(lines, "\n>\n> "), answer)
	}
	return "> " + answer
}
