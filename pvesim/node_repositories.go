package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// standardRepositories are Proxmox's, by their handles.
var standardRepositories = []struct{ handle, name, uri, component, text string }{
	{"enterprise", "Enterprise", "https://enterprise.proxmox.com/debian/pve", "pve-enterprise", "This is the default, stable, and recommended repository."},
	{"no-subscription", "No-Subscription", "http://download.proxmox.com/debian/pve", "pve-no-subscription", "This is the recommended repository for testing and non-production use."},
	{"test", "Test", "http://download.proxmox.com/debian/pve", "pve-test", "This repository contains the latest packages."},
}

// sourcesFile has the repositories of a node whose files are in APT's old format.
const sourcesFile = "/etc/apt/sources.list"

// repository is one of a node.
type repository struct {
	handle, uri string
	file        string
	suites      []any
	components  []any
	enabled     bool
}

// repositoryFile is the file of a repository: Debian's, or one of Proxmox's by its handle. PVE's
// installer has written files in APT's new format since 9. Nodes in containers had no installer.
func (c *call) repositoryFile(handle string) string {
	const dir = "/etc/apt/sources.list.d/"
	isNew := c.node.version.major >= 9
	switch {
	case handle == "" && isNew && !c.node.Contained:
		return dir + "debian.sources"
	case handle == "":
		return sourcesFile
	case handle == "enterprise" && isNew:
		return dir + "pve-enterprise.sources"
	case handle == "enterprise":
		return dir + "pve-enterprise.list"
	case isNew:
		return dir + "proxmox.sources"
	}
	return sourcesFile
}

// repositories are Debian's, and those of Proxmox that the node has, in their order.
func (c *call) repositories() []repository {
	suite, debian := c.node.version.debian(), c.repositoryFile("")
	out := []repository{
		{uri: "http://deb.debian.org/debian", file: debian, suites: []any{suite}, components: []any{"main", "contrib"}, enabled: true},
		{uri: "http://security.debian.org", file: debian, suites: []any{suite + "-security"}, components: []any{"main", "contrib"}, enabled: true},
	}
	handles := []string{cmp.Or(c.node.Repository, "no-subscription")}
	for _, s := range c.sectionsOfType(c.switchedFile(), "added") {
		handles = append(handles, s.ID)
	}
	for _, handle := range handles {
		for _, r := range standardRepositories {
			if r.handle == handle {
				out = append(out, repository{
					handle: handle, uri: r.uri, file: c.repositoryFile(handle), suites: []any{suite}, components: []any{r.component}, enabled: true,
				})
			}
		}
	}
	for i := range out {
		if s := c.section(c.switchedFile(), "enabled", fmt.Sprint(i)); s != nil {
			out[i].enabled = s.Options["enabled"] == "1"
		}
	}
	return out
}

// switchedFile has the repositories of a node that were added, or switched on or off.
func (c *call) switchedFile() string { return c.nodeSettings("repositories") }

func (c *call) repositoriesDigest() string {
	return fmt.Sprintf("%064x", hash(c.node.Name, "repositories", fmt.Sprint(c.repositories())))
}

// getRepositories are Debian's, and those of Proxmox that the node has.
func getRepositories(c *call) (any, error) {
	status := map[string]int{}
	inFile := map[string][]any{}
	var files []string
	for _, r := range c.repositories() {
		if !slices.Contains(files, r.file) {
			files = append(files, r.file)
		}
		inFile[r.file] = append(inFile[r.file], map[string]any{
			"Enabled": bit(r.enabled), "FileType": fileTypeOf(r.file), "Types": []any{"deb"}, "URIs": []any{r.uri}, "Suites": r.suites, "Components": r.components,
		})
		status[r.handle] = bit(r.enabled)
	}
	shown := []any{}
	for _, file := range files {
		shown = append(shown, map[string]any{"path": file, "file-type": fileTypeOf(file), "digest": c.digestOfSources(file), "repositories": inFile[file]})
	}
	standard := []any{}
	for _, r := range standardRepositories {
		item := map[string]any{"handle": r.handle, "name": r.name, "description": r.text}
		if enabled, ok := status[r.handle]; ok {
			item["status"] = enabled
		}
		standard = append(standard, item)
	}
	return map[string]any{"digest": c.repositoriesDigest(), "errors": []any{}, "infos": []any{}, "files": shown, "standard-repos": standard}, nil
}

// fileTypeOf is the format of a file of repositories, by its name.
func fileTypeOf(file string) string {
	if strings.HasSuffix(file, ".sources") {
		return "sources"
	}
	return "list"
}

// digestOfSources is that of one file, in bytes.
func (c *call) digestOfSources(file string) []any {
	out := []any{}
	for i := range 32 {
		out = append(out, int(hash(c.node.Name, file, c.repositoriesDigest(), i)%256))
	}
	return out
}

// switchRepository switches the repository at a place of a file on or off.
func switchRepository(c *call) (any, error) {
	var places []int // of the file's repositories among all
	for i, r := range c.repositories() {
		if r.file == c.str("path") {
			places = append(places, i)
		}
	}
	i := c.number("index", 0)
	switch {
	case c.str("digest") != "" && c.str("digest") != c.repositoriesDigest():
		return nil, die("file state changed")
	case len(places) == 0:
		return nil, die("invalid path")
	case i >= len(places):
		return nil, die("invalid index")
	case c.params["enabled"] != nil:
		c.sectionOrNew(c.switchedFile(), "enabled", fmt.Sprint(places[i])).Options["enabled"] = fmt.Sprint(bit(c.flag("enabled")))
	}
	return nil, nil
}

// addRepository adds one of Proxmox's, or switches it on if it is there.
func addRepository(c *call) (any, error) {
	handle := c.str("handle")
	if c.str("digest") != "" && c.str("digest") != c.repositoriesDigest() {
		return nil, die("file state changed")
	}
	known := false
	for _, r := range standardRepositories {
		known = known || r.handle == handle
	}
	if !known {
		return nil, die("unknown repository handle '%s'", handle)
	}
	for i, r := range c.repositories() {
		if r.handle == handle {
			c.sectionOrNew(c.switchedFile(), "enabled", fmt.Sprint(i)).Options["enabled"] = "1"
			return nil, nil
		}
	}
	c.sectionOrNew(c.switchedFile(), "added", handle)
	return nil, nil
}
