package pvesim

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/shell"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/websocket"
)

// offerTerminal offers a guest's terminal, of a VM one on a serial port.
func offerTerminal(c *call, g *guest) (any, error) {
	con := &console{vmid: g.VMID, text: true, serial: c.str("serial")}
	if display := g.Config["vga"]; g.Kind == "qemu" && con.serial == "" && strings.HasPrefix(display, "serial") {
		con.serial, _, _ = strings.Cut(display, ",")
	}
	token := strings.Contains(c.caller.User, "!")
	con.refused = token && g.Kind == "lxc" && !c.node.version.atLeast(9, 2) // since pve-container 6.1.3
	inner := fmt.Sprintf("/usr/sbin/qm terminal %d -escape 0", g.VMID)
	if g.Kind == "lxc" {
		inner = fmt.Sprintf("/usr/bin/dtach -A /var/run/dtach/vzctlconsole%d -r winch -z lxc-console -n %d -e -1", g.VMID, g.VMID)
	}
	return c.terminal(con, inner)
}

// offerShell refuses a token: a shell of a node is the user's own. That of a user who has
// logged in is not simulated.
func offerShell(c *call) (any, error) {
	if !c.byToken {
		return nil, c.notSimulated()
	}
	return nil, die("value '%s' does not look like a valid user name", c.caller.User)
}

// offerSPICE refuses: no VM here has a display that speaks SPICE.
func offerSPICE(_ *call, g *guest) (any, error) {
	if !g.now.running {
		return nil, die("VM %d not running", g.VMID)
	}
	return nil, die("VM %d qmp command 'query-spice' failed - The command query-spice has not been found", g.VMID)
}

// terminal starts the task that waits for the client of a terminal.
func (c *call) terminal(con *console, command string) (any, error) {
	con.user, con.port, con.until = c.caller.User, c.freePort(), c.now.Add(ticketLasts)
	c.made++
	con.ticket = fmt.Sprintf("PVEVNC:%08X::%064x", c.now.Unix(), hash(c.model.Seed, "term", c.made))
	con.proxy = fmt.Sprintf("/usr/bin/termproxy %d --path /vms/%d --perm VM.Console -- %s", con.port, con.vmid, command)
	upid := c.fork(c.now, c.receiver, c.caller.User, "vncproxy", strconv.Itoa(con.vmid), 0, func(time.Time) outcome {
		return con.failed(consoleWaits)
	})
	con.task = c.byUPID[upid]
	c.consoles[con.ticket] = con
	return map[string]any{"user": con.user, "ticket": con.ticket, "port": strconv.Itoa(con.port), "upid": upid}, nil
}

// failed is the end of a terminal's task without a client.
func (con *console) failed(after time.Duration) outcome {
	return failed(after, "command '%s' failed: exit code 1", con.proxy)
}

// serveTerminal serves a terminal over a connection that was upgraded, until one side goes
// away.
func (s *Sim) serveTerminal(con *console, in *bufio.Reader, out io.WriteCloser) {
	ws := websocket.New(in, out)
	began := s.clock.Now()
	line, rest, err := ticketLine(ws)
	late := s.clock.Now().Sub(began) > consoleWaits
	if err != nil || late || con.refused || line != con.user+":"+con.ticket {
		if err == nil && !late {
			here, left := context.WithCancel(context.Background())
			go func() {
				_, _ = io.Copy(io.Discard, ws) // what else the client sends
				left()
			}()
			_ = s.clock.Sleep(here, unauthorizedDelay)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		con.task.outcome = con.failed(0)
		return
	}
	if _, err := io.WriteString(ws, "OK"); err != nil {
		return
	}
	v := newWatcher()
	t := s.openTerminal(con, v)
	delivered := make(chan struct{})
	go func() {
		v.deliver(ws, out)
		close(delivered)
	}()
	readTerminal(io.MultiReader(bytes.NewReader(rest), ws), t)
	if t != nil {
		t.detach(v)
	}
	v.finish()
	out.Close()
	<-delivered
}

// longestTicket is how much is read in search of the end of the first line.
const longestTicket = 8 << 10

// ticketLine reads the first line of a client, and what came with it.
func ticketLine(r io.Reader) (line string, rest []byte, err error) {
	var all []byte
	buf := make([]byte, longestTicket)
	for len(all) < longestTicket {
		n, err := r.Read(buf)
		if err != nil {
			return "", nil, err
		}
		all = append(all, buf[:n]...)
		if first, after, ok := bytes.Cut(all, []byte("\n")); ok {
			return string(first), after, nil
		}
	}
	return "", nil, io.ErrShortBuffer
}

// readTerminal takes the messages of a client: 0:LENGTH:DATA, 1:COLUMNS:ROWS: and 2. What it
// does not know, it skips.
func readTerminal(r io.Reader, t *terminal) {
	in := bufio.NewReader(r)
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		if kind != '0' && kind != '1' {
			continue
		}
		if _, err := in.ReadByte(); err != nil {
			return
		}
		n, err := readNumber(in)
		if err != nil {
			return
		}
		if kind == '1' {
			rows, err := readNumber(in)
			if err != nil {
				return
			}
			if p := programOf(t); p != nil {
				p.Resize(n, rows)
			}
			continue
		}
		for n > 0 {
			data := make([]byte, min(n, 64<<10))
			k, err := in.Read(data)
			if err != nil {
				return
			}
			n -= k
			if p := programOf(t); p != nil {
				p.Input(data[:k])
			}
		}
	}
}

func programOf(t *terminal) typist {
	if t == nil {
		return nil
	}
	return t.running()
}

// readNumber reads a number and the colon after it.
func readNumber(in *bufio.Reader) (int, error) {
	text, err := in.ReadString(':')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(text, ":"))
	if err != nil || n < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// openTerminal connects a viewer with what a terminal shows: nil if that ends at once.
func (s *Sim) openTerminal(con *console, v *watcher) *terminal {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	g := s.guests[con.vmid]
	if g == nil {
		v.finish()
		return nil
	}
	if g.Kind == "qemu" {
		return s.openSerial(con, g, v)
	}
	if !g.now.running {
		v.put([]byte("lxc-console: " + strconv.Itoa(g.VMID) + ": ../src/lxc/tools/lxc_console.c: lxc_console_main: 133 " + strconv.Itoa(g.VMID) + " is not running\r\n"))
		v.finish()
		return nil
	}
	v.put([]byte("\x1b[H\x1b[J"))
	in := s.insideOf(g)
	if t := in.terminal; t != nil && t.attach(v) {
		if p := t.running(); p != nil {
			p.Resize(80, 20)
		}
		return t
	}
	t := &terminal{twice: true, watchers: map[*watcher]bool{v: true}}
	in.terminal = t
	if g.Config["cmode"] == "shell" {
		t.run(in.Start(shell.Banner, t.show, t.end))
	} else if g.Config["entrypoint"] == "" && g.Config["tty"] != "0" { // else nothing asks for a name there
		l := s.newLogin(g, t)
		t.run(l)
		l.greet()
	}
	return t
}

// newLogin is the login prompt of a guest.
func (s *Sim) newLogin(g *guest, t *terminal) *login {
	l := &login{host: g.name(), password: g.Password, term: t, system: s.insideOf(g).System, rejects: "Login incorrect", pause: unauthorizedDelay}
	l.here, l.left = context.WithCancel(context.Background())
	if g.Password == "" {
		l.rejects, l.pause = "login: bad salt", 1100*time.Millisecond
	}
	return l
}

// openSerial connects a viewer with the serial port of a VM. It shows what the VM prints from
// now on.
func (s *Sim) openSerial(con *console, g *guest, v *watcher) *terminal {
	port := con.serial
	for n := 0; n < 4 && port == ""; n++ {
		if name := "serial" + strconv.Itoa(n); g.Config[name] == "socket" {
			port = name
		}
	}
	switch {
	case !g.now.running:
		v.put([]byte(fmt.Sprintf("VM %d not running\r\n", g.VMID)))
	case port == "":
		v.put([]byte("unable to find a serial interface\r\n"))
	case g.Config[port] != "socket":
		v.put([]byte(fmt.Sprintf("unable to start terminal on interface %s\r\n", port)))
	default:
		v.put([]byte("starting serial terminal on interface " + port + "\r\n"))
		in := s.insideOf(g)
		if in.terminal == nil || !in.terminal.attach(v) {
			in.terminal = &terminal{watchers: map[*watcher]bool{v: true}}
			l := s.newLogin(g, in.terminal)
			l.issue, l.rejects = "\nDebian GNU/Linux 12 "+g.name()+" "+strings.Replace(port, "serial", "ttyS", 1)+"\n\n", "Login incorrect"
			in.terminal.run(&serialPort{login: l, up: func() bool { return s.systemUp(g.VMID) }})
		}
		return in.terminal
	}
	v.finish()
	return nil
}

// systemUp reports whether the system of a guest is.
func (s *Sim) systemUp(vmid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	g := s.guests[vmid]
	return g != nil && s.booted(g, now)
}

// serialPort is a login prompt that is there once the system is up.
type serialPort struct {
	*login
	up func() bool
}

// Input takes what was typed.
func (p *serialPort) Input(b []byte) {
	if p.up() {
		p.login.Input(b)
	}
}
