package pvesim

import (
	"path"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/shell"
)

// inside is what is in a guest: its files, its processes and its terminal.
type inside struct {
	*shell.System
	terminal *terminal         // that was opened last; nil if none was
	given    map[string]string // files that the system has by itself, as they were
}

// insideOf is what is in a guest, which is made when it is first asked for.
func (s *Sim) insideOf(g *guest) *inside {
	if g.inside != nil {
		return g.inside
	}
	clock := s.clock
	in := &inside{System: &shell.System{FS: memfs.New(clock.Now), Clock: clock}, given: map[string]string{}}
	for dir := range strings.FieldsSeq("bin boot dev etc home lib media mnt opt proc root run sbin srv sys tmp usr var usr/bin usr/lib var/log var/lib") {
		_ = in.FS.Mkdir("/"+dir, 0o755)
	}
	_ = in.FS.Chmod("/tmp", 0o1777)
	_ = in.FS.Chmod("/root", 0o700)
	in.given["/etc/hostname"] = g.name() + "\n"
	in.given["/etc/os-release"] = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"
	in.given["/bin/busybox"] = "\x7fELF\x02\x01\x01\x03" + strings.Repeat("\x00\xff", 2<<10)
	in.given["/etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\n"
	for _, files := range []map[string]string{in.given, g.Files} {
		for name, content := range files {
			_ = in.FS.MkdirAll(path.Dir(name), 0o755)
			_ = in.FS.WriteFile(name, []byte(content), 0o644)
		}
	}
	programs := g.Programs
	in.Planted = func(line string) (shell.Program, bool) {
		p, ok := programs[line]
		return shell.Program(p), ok
	}
	if g.Kind == "qemu" {
		in.Groups, in.Dash = " groups=0(root)", true
	}
	in.Host = g.name()
	g.inside = in
	return in
}

// filesNow are the files of a guest that it did not have by itself.
func (g *guest) filesNow() map[string]string {
	if g.inside == nil {
		return g.Files
	}
	out := map[string]string{}
	g.inside.FS.Walk("/", func(name string, info memfs.Info) {
		if !info.Mode().IsRegular() {
			return
		}
		data, err := g.inside.FS.ReadFile(name)
		if own, ok := g.inside.given[name]; err == nil && (!ok || own != string(data)) {
			out[name] = string(data)
		}
	})
	return out
}

// haltInside ends what runs in a guest, its screen and its terminal. The files stay.
func (g *guest) haltInside() {
	if g.inside == nil {
		return
	}
	if g.screen != nil {
		g.screen.close()
		g.screen = nil
	}
	if t := g.inside.terminal; t != nil {
		t.close()
		g.inside.terminal = nil
	}
	g.inside.KillAll()
}

// Close ends the programs that run in guests, and the terminals that show them. The cluster
// answers as before.
func (s *Sim) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.guests {
		g.haltInside()
	}
}
