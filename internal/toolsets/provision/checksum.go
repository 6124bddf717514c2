package provision

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// checksum is that of a file, in hexadecimal digits.
type checksum struct {
	Algorithm string `json:"algorithm,omitzero"`
	Sum       string `json:"sum,omitzero"`
}

var hexRE = lazyregexp.New(`^[0-9a-f]+$`)

// algorithms are those that PVE knows, by the number of digits.
var algorithms = map[int]string{32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}

// readChecksum reads a checksum with or without its algorithm: sha256:ba7816bf…
func readChecksum(text string) (checksum, error) {
	if text == "" {
		return checksum{}, nil
	}
	algorithm, sum, named := strings.Cut(strings.ToLower(strings.TrimSpace(text)), ":")
	if !named {
		sum, algorithm = algorithm, ""
	}
	is := algorithms[len(sum)]
	if is == "" || !hexRE.MatchString(sum) || named && strings.ReplaceAll(algorithm, "-", "") != is {
		return checksum{}, tool.BadArgument("checksum", fmt.Sprintf("is %q, which is no checksum such as sha256: and 64 hexadecimal digits", render.Text(text, 60)))
	}
	return checksum{is, sum}, nil
}

// mostSums is how long a list of checksums may be.
const mostSums = 1 << 20

// fetchChecksum asks a publisher's list, over HTTPS, for the checksum of a file.
func fetchChecksum(ctx context.Context, list, file string) (checksum, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, list, http.NoBody)
	if err != nil {
		return checksum{}, err
	}
	client := &http.Client{
		Transport: &http.Transport{DialContext: (&net.Dialer{Control: publicOnly}).DialContext, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			if req.URL.Scheme != "https" {
				return fmt.Errorf("it is redirected to %s, which is not encrypted", req.URL.Host)
			}
			return nil
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return checksum{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return checksum{}, fmt.Errorf("%s", resp.Status)
	}
	return findChecksum(io.LimitReader(resp.Body, mostSums), file)
}

// publicOnly lets connections go to public addresses only, whatever a name resolves to.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !policy.IsPublic(at.Addr()) {
		return fmt.Errorf("%s is no public address", address)
	}
	return nil
}

// bsdRE matches a line such as SHA256 (image.qcow2) = ba78….
var bsdRE = lazyregexp.New(`^(SHA\d+|MD5) \((.+)\) = ([0-9a-f]+)$`)

// findChecksum finds the checksum of a file in a list in one of the usual forms.
func findChecksum(list io.Reader, file string) (checksum, error) {
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if m := bsdRE.FindStringSubmatch(line); m != nil && m[2] == file {
			return readChecksum(m[1] + ":" + m[3])
		}
		if fields := strings.Fields(line); len(fields) == 2 && path.Base(strings.TrimPrefix(fields[1], "*")) == file {
			return readChecksum(fields[0])
		}
	}
	if err := lines.Err(); err != nil {
		return checksum{}, err
	}
	return checksum{}, fmt.Errorf("the list does not have %s", file)
}
