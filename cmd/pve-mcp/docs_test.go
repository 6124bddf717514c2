package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/pve-mcp/pve-mcp/internal/docs"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const root = "../.."

// notRun says why commands of the docs are not run here, by how they begin.
var notRun = map[string]string{
	"CGO_ENABLED=0 go ":   "compiles all of Go's library once more; the image's test builds so",
	"claude ":             "is of a client of others",
	"docker ":             "wants containers; test/deploy reads the files",
	"export PVE_":         "wants a real node",
	"git ":                "changes the reader's repository",
	"go run ./bench/":     "takes minutes",
	"go test":             "runs this",
	"install -":           "is for root, on a machine with systemd",
	"make ":               "runs this, or takes minutes",
	"pve-mcp secret list": "wants a keyring",
	"systemctl ":          "is for root, on a machine with systemd",
}

// docPages are the pages of the project, from its root.
func docPages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	names := []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, f := range files {
		names = append(names, "docs/"+filepath.Base(f))
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// commandsOf are the lines of a page that are for a shell: what is indented, or fenced as
// sh. Anything else is fenced as what it is.
func commandsOf(page string) []string {
	page = fenced.ReplaceAllStringFunc(page, func(block string) string {
		m := fenced.FindStringSubmatch(block)
		if m[1] != "sh" {
			return ""
		}
		return "    " + strings.ReplaceAll(strings.TrimSpace(m[2]), "\n", "\n    ") + "\n"
	})
	var commands []string
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(text))
		}
	}
	return commands
}

// A command in the docs is run as it stands there, after those above it on its page; or
// notRun says why not.
func TestCommandsInTheDocs(t *testing.T) {
	effort.SkipShort(t)
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("they are for a shell that Windows has not")
	}
	for _, page := range docPages(t) {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			runCommands(t, page)
		})
	}
}

func runCommands(t *testing.T, page string) {
	var shell *docShell
	for _, command := range commandsOf(read(t, page)) {
		if why := whyNot(command); why != "" {
			t.Logf("not run, because it %s: %s", why, command)
			continue
		}
		if shell == nil {
			speed, token := 1.0, "ops@pve!mcp"
			if page == "docs/tools.md" { // whose changes take their time, and every privilege
				speed, token = 200, "root@pam!full"
			}
			shell = newDocShell(t, speed, token)
			shell.findWords(t, read(t, page))
		}
		t.Run(command, func(t *testing.T) { shell.run(t, command) })
	}
}

func whyNot(command string) string {
	for begin, why := range notRun {
		if strings.HasPrefix(command, begin) {
			return why
		}
	}
	return ""
}

// docShell is where the commands of a page are run: an empty home, a simulated cluster in
// the place of the reader's, and the files that a reader has.
type docShell struct {
	dir string
	env []string
	as  *strings.Replacer
}

func newDocShell(t *testing.T, speed float64, tokenID string) *docShell {
	t.Helper()
	model := pvesim.Cluster()
	model.Roles = map[string][]string{"Downloader": {"Datastore.AllocateTemplate", "Sys.AccessNetwork"}} // as what doctor --role operator prints gives
	for _, who := range []string{"ops@pve", "ops@pve!mcp"} {
		model.ACL = append(model.ACL, pvesim.ACL{Path: "/", Who: who, Role: "Downloader"})
	}
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(speed)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dir, token := t.TempDir(), model.Token(tokenID)
	s := &docShell{dir: dir}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PVE_") && !strings.HasPrefix(v, "OTEL_") && !strings.HasPrefix(v, "XDG_") {
			s.env = append(s.env, v)
		}
	}
	s.env = append(s.env, "HOME="+dir, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(dir, "none"),
		"PVE_HOST="+l.URL(), "PVE_FINGERPRINT="+l.Fingerprint(), "PVE_TOKEN_ID="+token.ID, "PVE_TOKEN_SECRET_FILE="+filepath.Join(dir, "secret"),
		"PVE_MCP_HTTP_LISTEN=127.0.0.1:0")
	files := s.readersFiles(t)
	files["secret"], files["token"] = token.Secret, "pvemcp_AEOL\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.as = strings.NewReplacer("--url https://mcp.example.org/mcp", "--url "+s.remote(t), "pve.example.lan", l.URL(), "mcp@pve!mcp", token.ID, "0.0.0.0:8443", "127.0.0.1:0", "/etc/pve-mcp", dir,
		" CLIENT ", " claude-code ", "--head HASH", "--head "+files["head"])
	return s
}

// remote is the URL of a pve-mcp that runs elsewhere.
func (s *docShell) remote(t *testing.T) string {
	t.Helper()
	url, stop, err := startHTTP("pve-mcp", s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// findWords sets the words of examples that a page uses to what the reader's cluster has.
func (s *docShell) findWords(t *testing.T, page string) {
	t.Helper()
	for _, tl := range toolset.All() {
		for _, g := range tl.Examples[0].Given {
			if !strings.Contains(page, `"`+g.Word+`"`) {
				continue
			}
			finder, _ := toolset.Named(g.Tool)
			out, err := s.command(docs.Command(finder, tool.Example{Arguments: g.Arguments})).Output()
			key := g.Field[strings.LastIndex(g.Field, ".")+1:]
			found := regexp.MustCompile(`"` + key + `":"([^"]+)"`).FindSubmatch(out)
			if found == nil {
				t.Fatalf("%s %s: %v\n%s", g.Tool, g.Arguments, err, out)
			}
			s.env = append(s.env, strings.TrimPrefix(g.Word, "$")+"="+string(found[1]))
		}
	}
}

// readersFiles are what a reader has: a certificate, and an audit log that was rotated
// twice.
func (s *docShell) readersFiles(t *testing.T) map[string]string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	cert := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, rotate := range []string{"mv audit.log audit.log.2", "mv audit.log audit.log.1", "true"} {
		cmd := s.command("pve-mcp --demo --demo-speed 50 --audit-log audit.log call pve_create_snapshot --vmid 104 --snapname one && " + rotate)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	head, err := os.ReadFile(filepath.Join(s.dir, "audit.log.head"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"head":    strings.TrimSpace(string(head)),
		"tls.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		"tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
}

// command is what a shell does with a line.
func (s *docShell) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

var (
	serves  = regexp.MustCompile(`pve-mcp (http|sim( --.*)?)$|pve-mcp http `)
	filter  = regexp.MustCompile(`\| (jq|sha256sum)\b`)
	audits  = regexp.MustCompile(`pve-mcp .*\b(health-check|pve_audit)\b`)
	simPort = regexp.MustCompile(`pve-mcp sim( --[^r]|$)`)
)

// run runs a command that must succeed. If the command serves, run stops it after it has
// said that it is ready.
func (s *docShell) run(t *testing.T, line string) {
	if m := filter.FindStringSubmatchIndex(line); m != nil {
		name := line[m[2]:m[3]]
		if _, err := exec.LookPath(name); err != nil {
			line = line[:m[0]]
			t.Logf("without %s, which is not here", name)
		}
	}
	line = s.as.Replace(line)
	switch {
	case strings.Contains(line, " & "): // of a script that goes on with what it has started
		line += "; unset PVE_TOKEN_SECRET_FILE; pve-mcp doctor; status=$?; kill $!; exit $status"
	case serves.MatchString(line):
		s.serve(t, line)
		return
	}
	cmd := s.command(line)
	cmd.Stdin = strings.NewReader("5f13cb8e-0000-4000-8000-000000000002\n")
	if begin, _, _ := strings.Cut(line, "./cmd/pve-mcp"); strings.Contains(begin, "go ") {
		cmd.Dir, cmd.Env = root, append(os.Environ(), "GOBIN="+s.dir)
	}
	out, err := cmd.CombinedOutput()
	if strings.Contains(line, " --url ") && bytes.Contains(out, []byte("cannot work")) {
		t.Errorf("%s", out)
	}
	if strings.HasSuffix(line, " --wait 1") && cmd.ProcessState.ExitCode() == 4 {
		return // under way, as such a call wants it
	}
	if code := cmd.ProcessState.ExitCode(); audits.MatchString(line) && code >= 11 && code <= 14 && bytes.Contains(out, []byte(`"findings":[{`)) {
		return // done: the status is that of the worst finding
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// serve runs a command until it is ready, on a free port and as the shell itself, so that
// the signal reaches it.
func (s *docShell) serve(t *testing.T, line string) {
	line = simPort.ReplaceAllString(line, "pve-mcp sim --listen 127.0.0.1:0$1")
	i := strings.LastIndex(line, "pve-mcp ")
	cmd := s.command(line[:i] + "exec " + line[i:])
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	ready := false
	for sc := bufio.NewScanner(out); sc.Scan(); {
		said.WriteString(sc.Text() + "\n")
		if !ready && (strings.HasPrefix(sc.Text(), "# ready") || strings.Contains(sc.Text(), `msg="serving MCP"`)) {
			ready = true
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	if err := cmd.Wait(); err != nil || !ready {
		t.Errorf("%v, ready: %v\n%s", err, ready, &said)
	}
}

// What README shows of the demo is what it says.
func TestTranscriptInReadme(t *testing.T) {
	effort.SkipShort(t)
	t.Parallel()
	_, rest, _ := strings.Cut(read(t, "README.md"), "pve-mcp demo\n")
	shown := fenced.FindStringSubmatch(rest)
	if len(shown) == 0 || strings.Count(shown[2], "\n") < 10 {
		t.Fatal("README.md has no transcript of the demo")
	}
	out, err := exec.Command("pve-mcp", "demo").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	left := "\n" + string(out)
	for part := range strings.SplitSeq("\n"+shown[2], "[…]\n") {
		before, after, ok := strings.Cut(left, part)
		if !ok {
			t.Errorf("the demo does not say, or not there:\n%s", part)
		}
		left = cmp.Or(after, before)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Links between pages lead to files and headings that are there.
func TestLinksInTheDocs(t *testing.T) {
	n := 0
	for _, page := range docPages(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			n++
			file, anchor, hasAnchor := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = path.Join(path.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
				continue
			}
			if hasAnchor && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s: there is no such heading", page, m[1])
			}
		}
	}
	if n < 50 {
		t.Errorf("%d links", n)
	}
}

// anchors are those that GitHub gives the headings of a page.
func anchors(page string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return all
}

// README leads to every page.
func TestReadmeHasEveryPage(t *testing.T) {
	readme := read(t, "README.md")
	for _, page := range docPages(t)[1:] {
		if !strings.Contains(readme, "]("+page+")") {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}
