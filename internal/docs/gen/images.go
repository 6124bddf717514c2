package main

import (
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/images"
)

const imagesHead = `# Cloud images

<!-- Made from the code: make generate. -->

The images that ` + "`pve_create_vm` and `pve_download`" + ` know by name: ` + "`source: \"ubuntu 24.04\"`" + `. What is on a storage or a template already is taken first; nothing
is downloaded without ` + "`download: true`" + `. Where an image has no guest agent, nothing tells the address that DHCP gives, so ` + "`pve_create_vm`" + ` has it installed
at the first boot. ` + "`PVE_MCP_FETCH=true`" + ` lets the server read the checksums.

| image | file | checksums | login | agent |
|---|---|---|---|---|
`

const imagesTail = `
## Your own

` + "`PVE_MCP_IMAGES_FILE`" + ` names a file with more images. One with the name of an image above takes its place, such as to use a mirror.
The file is checked at the start and by ` + "`pve-mcp doctor`" + `:

` + "```json" + `
%s
` + "```" + `

| field | what |
|---|---|
| ` + "`name`" + ` | by which people ask for it |
| ` + "`url`" + ` | of the file, which ends in .qcow2, .img, .raw, .vmdk or .ova |
| ` + "`words`" + ` | system, version and code name, all in small letters: ` + "`[\"ubuntu\", \"24.04\", \"noble\"]`" + `; left out, those of the name |
| ` + "`sums`" + ` | the https:// URL of a list of checksums that has the file |
| ` + "`user`" + ` | who may log in by default |
| ` + "`agent`" + ` | whether the guest agent is in it; left out, it is not |
`

// imagesPage lists the cloud images that are known, and says how a user adds some.
func imagesPage() string {
	var b strings.Builder
	b.WriteString(imagesHead)
	for _, i := range (images.Catalog{}).All() {
		sums, agent := "none", "no"
		if i.Sums != "" {
			sums = fmt.Sprintf("[%s](%s)", lastPart(i.Sums), i.Sums)
		}
		if i.Agent {
			agent = "yes"
		}
		fmt.Fprintf(&b, "| %s | [%s](%s) | %s | `%s` | %s |\n", i.Name, lastPart(i.URL), i.URL, sums, i.User, agent)
	}
	fmt.Fprintf(&b, imagesTail, images.Example)
	return b.String()
}

func lastPart(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }
