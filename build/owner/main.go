// Owner makes the repository that of another account on GitHub: it changes the module's
// path in go.mod files, imports, scripts and docs, and the publisher in server.json.
//
//	go run ./build/owner ACCOUNT
//
// It lists the files that it has changed. Called again, it changes nothing.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "owner:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("name one account on GitHub, such as: go run ./build/owner some-one")
	}
	account := regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
	if !account.MatchString(args[0]) || len(args[0]) > 39 {
		return fmt.Errorf("%q is no account on GitHub: letters, digits and single hyphens between them, at most 39", args[0])
	}
	changed, err := setOwner(".", args[0])
	for _, name := range changed {
		fmt.Println(name)
	}
	return err
}

// generated are folders with nothing of the repository's own.
var generated = []string{".git", "bin", "dist", "node_modules"}

// setOwner changes the files below a folder and returns the names of those that differ. If
// it fails, files may have been changed: it can be called again.
func setOwner(root, owner string) (changed []string, err error) {
	change, err := changes(root, owner)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && slices.Contains(generated, d.Name()):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		old, err := os.ReadFile(name)
		if err != nil || bytes.IndexByte(old, 0) >= 0 {
			return err
		}
		text, err := change(name, old)
		if err != nil || bytes.Equal(text, old) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		changed = append(changed, name)
		return os.WriteFile(name, text, info.Mode().Perm())
	})
	return changed, err
}

// changes returns the function that changes the text of a file.
func changes(root, owner string) (func(name string, text []byte) ([]byte, error), error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("%w: start it in the repository's root", err)
	}
	found := regexp.MustCompile(`(?m)^module (github\.com/[^/\s]+/([^/\s]+))$`).FindSubmatch(mod)
	if found == nil {
		return nil, errors.New("go.mod: the module's path is not github.com/ACCOUNT/NAME")
	}
	entry := filepath.Join(root, "server.json")
	publisher, err := publisherOf(entry)
	if err != nil {
		return nil, err
	}
	repository := string(found[2])
	path := regexp.MustCompile(regexp.QuoteMeta(string(found[1])) + `([^A-Za-z0-9_.-]|\.[^A-Za-z0-9]|$)`)
	published := regexp.MustCompile(`(github\.com/|io\.github\.|ghcr\.io/)` + regexp.QuoteMeta(publisher) + `/`)
	return func(name string, text []byte) ([]byte, error) {
		out := path.ReplaceAll(text, []byte("github.com/"+owner+"/"+repository+"${1}"))
		if name == entry {
			out = published.ReplaceAll(out, []byte("${1}"+owner+"/"))
		}
		if strings.HasSuffix(name, ".go") && !bytes.Equal(out, text) {
			return format.Source(out) // imports may sort differently
		}
		return out, nil
	}, nil
}

// publisherOf returns the account that the entry for the MCP Registry is of.
func publisherOf(entry string) (string, error) {
	text, err := os.ReadFile(entry)
	if err != nil {
		return "", err
	}
	var server struct{ Name string }
	if err := json.Unmarshal(text, &server); err != nil {
		return "", fmt.Errorf("%s: %w", entry, err)
	}
	space, _, _ := strings.Cut(server.Name, "/")
	publisher, ok := strings.CutPrefix(space, "io.github.")
	if !ok {
		return "", fmt.Errorf("%s: the name is %q, not io.github.ACCOUNT/NAME", entry, server.Name)
	}
	return publisher, nil
}
