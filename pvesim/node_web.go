package pvesim

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// queryURL asks a server for the size, type and name of what a URL serves.
func queryURL(c *call) (any, error) {
	f, _ := c.webFile(c.str("url"))
	if why := f.refusal(!c.isOff("verify-certificates")); why != "" {
		return nil, die("invalid server response: '%s'", why)
	}
	out := map[string]any{"size": f.Size, "mimetype": f.mimeType()}
	if name := cmp.Or(f.Name, f.fileName()); name != "" {
		out["filename"] = name
	}
	return out, nil
}

// isOff reports whether a boolean parameter is given and false.
func (c *call) isOff(name string) bool { return c.params[name] != nil && !c.flag(name) }

// refusal is the status line of an answer that is none, "" if the file is served.
func (f WebFile) refusal(verify bool) string {
	where := f.URL
	if u, err := url.Parse(f.URL); err == nil {
		where = u.Host
		if u.Port() == "" {
			where += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
		}
	}
	switch {
	case f.Unreachable != "":
		return fmt.Sprintf("500 Can't connect to %s (%s)", where, f.Unreachable)
	case f.Untrusted && verify:
		return fmt.Sprintf("500 Can't connect to %s (certificate verify failed)", where)
	case f.Status != 0 && f.Status != http.StatusOK:
		return fmt.Sprintf("%d %s", f.Status, f.reason())
	}
	return ""
}

func (f WebFile) reason() string { return cmp.Or(f.Reason, http.StatusText(f.Status)) }

// listAppliances lists the container templates that PVE offers.
func listAppliances(c *call) (any, error) {
	out := []any{}
	for _, a := range c.model.Appliances {
		name, rest, _ := strings.Cut(strings.TrimSuffix(a.Template, ".tar.zst"), "_")
		version, arch, _ := strings.Cut(rest, "_")
		system, release, _ := strings.Cut(name, "-")
		release, _, _ = strings.Cut(release, "-")
		out = append(out, map[string]any{
			"template": a.Template, "package": name, "version": version, "architecture": cmp.Or(arch, "amd64"), "os": system + "-" + release,
			"headline": a.Headline, "description": cmp.Or(a.Description, a.Headline+"\n"), "section": cmp.Or(a.Section, "system"), "type": "lxc",
			"source": "http://download.proxmox.com/images", "location": a.url(), "infopage": "https://linuxcontainers.org",
			"maintainer": "Proxmox Support Team <support@proxmox.com>", "sha512sum": WebFile{URL: a.url()}.Sum("sha512"),
		})
	}
	return out, nil
}

func (a Appliance) url() string {
	return "http://download.proxmox.com/images/" + cmp.Or(a.Section, "system") + "/" + a.Template
}

// downloadAppliance downloads a template that PVE offers. A file that is there already
// and has the checksum is not loaded again.
func downloadAppliance(c *call) (any, error) {
	name := c.str("template")
	i := slices.IndexFunc(c.model.Appliances, func(a Appliance) bool { return a.Template == name })
	if i < 0 {
		return nil, badParam("template", "no such template")
	}
	st, err := c.usable(c.str("storage"), c.node.Name)
	switch {
	case err != nil:
		return nil, err
	case !st.holds("vztmpl"):
		return nil, die("storage '%s' does not support templates", st.ID)
	}
	a := c.model.Appliances[i]
	f, known := c.webFile(a.url())
	if !known {
		f.Size = a.Size
	}
	v := Volume{ID: st.ID + ":vztmpl/" + name, Node: c.node.Name, Content: "vztmpl", Format: "t" + name[strings.LastIndexByte(name, '.')+1:]}
	return c.download(download{file: f, volume: v, storage: st, id: name, algorithm: "sha512", sum: f.Sum("sha512"), verify: true}), nil
}

// skopeo is the registry's repository of a reference, which may have a tag.
func (c *call) skopeo(reference, purpose, verb string) (OCIRepository, error) {
	if len(c.model.Registry) == 0 {
		return OCIRepository{}, die("Install 'skopeo' to %s.", purpose)
	}
	for _, r := range c.model.Registry {
		if r.Reference == reference || strings.TrimPrefix(r.Reference, "docker.io/") == reference || strings.TrimPrefix(r.Reference, "docker.io/library/") == reference {
			return r, nil
		}
	}
	return OCIRepository{}, die("command 'skopeo %s docker://%s' failed: exit code 1", verb, reference)
}

// listOCITags lists the tags of a repository.
func listOCITags(c *call) (any, error) {
	r, err := c.skopeo(c.str("reference"), "list tags from OCI registries", "list-tags")
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, tag := range r.Tags {
		out = append(out, tag)
	}
	return out, nil
}
