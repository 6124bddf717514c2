package pvesim

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/rfb"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/websocket"
)

// console is a console that was offered.
type console struct {
	vmid             int
	user             string
	ticket, password string
	port             int
	until            time.Time // when nobody may connect any more
	task             *task
	keys             modifiers // of a screen
	// These are for terminals.
	text    bool
	serial  string // the port that was asked for
	refused bool   // it does not accept the user's kind
	proxy   string // the command that serves it
}

// How long a ticket may be used, and how long its task waits for that.
const (
	ticketLasts  = 40 * time.Second
	consoleWaits = 10 * time.Second
)

// offerConsole starts the task that serves a guest's console to one client. Since
// 2026 the password comes before the ticket, and is in the answer; earlier, it was the
// beginning of the ticket unless one was asked for.
func offerConsole(c *call, g *guest) (any, error) {
	if err := c.ensureCertificates(); err != nil {
		return nil, err
	}
	con := &console{vmid: g.VMID, user: c.caller.User, port: c.freePort(), until: c.now.Add(ticketLasts)}
	c.made++
	secret := hash(c.model.Seed, "vnc", c.made)
	for i := range 8 { // printable, from ! to `
		con.password += string(rune('!' + secret>>(8*i)&0x3f))
	}
	signature := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%064x", hash(c.model.Seed, "ticket", c.made)))
	con.ticket = fmt.Sprintf("PVEVNC:%08X::%s", c.now.Unix(), signature)
	out := map[string]any{"user": con.user, "port": strconv.Itoa(con.port), "cert": string(c.ca)}
	switch {
	case c.node.version.atLeast(9, 2), c.node.version.atLeast(8, 4) && c.node.version.major == 8 && c.node.version.patch > 20:
		con.ticket = con.password + ":" + con.ticket
		out["password"] = con.password
	case c.flag("generate-password"):
		out["password"] = con.password
	default:
		con.password = con.ticket[:8]
	}
	out["ticket"] = con.ticket
	upid := c.fork(c.now, c.receiver, c.caller.User, "vncproxy", strconv.Itoa(g.VMID), 0, func(time.Time) outcome {
		if !g.now.running {
			return failed(quickTakes, "Failed to run vncproxy.")
		}
		return failed(consoleWaits, "connection timed out")
	})
	con.task = c.byUPID[upid]
	c.consoles[con.ticket] = con
	out["upid"] = upid
	return out, nil
}

// freePort is the first port of those for consoles that no task waits on.
func (c *call) freePort() int {
	taken := map[int]bool{}
	for ticket, con := range c.consoles {
		if con.task.over && c.now.After(con.until) {
			delete(c.consoles, ticket)
		}
		taken[con.port] = !con.task.over
	}
	for port := 5900; port < 5999; port++ {
		if !taken[port] {
			return port
		}
	}
	return 5999
}

// checkTicket tells whether the ticket of a console is good. It is not for people.
func checkTicket(c *call) (any, error) {
	if con := c.consoles[c.str("vncticket")]; con == nil || con.user != c.str("authid") || c.now.After(con.until) {
		return nil, c.after(unauthorizedDelay, &refusal{status: 401, message: "authentication failure\n"})
	}
	return nil, nil
}

// openConsole answers a request to turn a connection into a console.
func openConsole(c *call) (any, error) {
	con := c.consoles[c.str("vncticket")]
	if con == nil || con.user != c.caller.User || con.vmid != c.number("vmid", 0) || c.now.After(con.until) {
		return nil, c.after(unauthorizedDelay, &refusal{status: 401, message: "permission denied - invalid PVEVNC ticket\n"})
	}
	if _, ok := websocket.Upgrade(c.req.Header); !ok {
		return map[string]any{"port": strconv.Itoa(con.port)}, nil
	}
	if con.task.over || con.task.outcome.exit == "OK" || con.port != c.number("port", 0) {
		return nil, &refusal{status: 595, message: "Connection refused", plain: true}
	}
	if g := c.guests[con.vmid]; g != nil && !con.text {
		g.vncPassword, g.vncUntil = con.password, c.now.Add(passwordLasts)
	}
	con.task.outcome = outcome{exit: "OK"}
	con.task.end = c.now.Add(365 * 24 * time.Hour) // or when the client goes away
	return con, nil
}

// serveConsole serves a console over a connection that was upgraded, until one side
// goes away.
func (s *Sim) serveConsole(con *console, in *bufio.Reader, out io.WriteCloser) {
	if con.text {
		s.serveTerminal(con, in, out)
	} else {
		s.serveScreen(con, in, out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	s.finish(con.task, now)
	s.dropEnded()
}

// passwordLasts is how long the password of a VM's screen is good, from the connection on.
const passwordLasts = 30 * time.Second

// serveScreen serves the screen of a guest.
func (s *Sim) serveScreen(con *console, in *bufio.Reader, out io.WriteCloser) {
	screen := rfb.Screen{
		Password: func() string { return s.screenPassword(con) },
		Look:     func() (rfb.Picture, bool) { return s.look(con.vmid) },
		Key:      func(keysym uint32, down bool) { s.key(con, keysym, down) },
		Alone:    func() { s.closeOthers(con) },
	}
	_, _ = rand.Read(screen.Challenge[:])
	s.mu.Lock()
	if g := s.guests[con.vmid]; g != nil {
		screen.Name, screen.Fault = fmt.Sprintf("QEMU (%s)", cmp.Or(g.Config["name"], "vm"+strconv.Itoa(g.VMID))), g.ScreenFault
		if g.Kind == "lxc" {
			screen.Name = "VNC Command Terminal"
		}
		if g.screens == nil {
			g.screens = map[*console]io.Closer{}
		}
		g.screens[con] = out
		defer s.forgetScreen(g, con)
	}
	s.mu.Unlock()
	_ = rfb.Serve(readWriteCloser{websocket.New(in, out), out}, screen)
}

// readWriteCloser is a websocket on a connection.
type readWriteCloser struct {
	io.ReadWriter
	io.Closer
}

func (s *Sim) forgetScreen(g *guest, con *console) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(g.screens, con)
}

// screenPassword is the password by which a screen opens now: of a VM, that of the last one who
// connected, for a while.
func (s *Sim) screenPassword(con *console) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guests[con.vmid]
	switch {
	case g == nil:
		return ""
	case g.Kind == "lxc":
		return con.password
	case s.clock.Now().After(g.vncUntil):
		return ""
	}
	return g.vncPassword
}

// closeOthers ends the other connections to a screen, as a client wants that does not share it.
func (s *Sim) closeOthers(con *console) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, conn := range s.guests[con.vmid].screens {
		if other != con {
			_ = conn.Close()
		}
	}
}
