package pvesim

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
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

// serveScreen serves the screen of a guest.
func (s *Sim) serveScreen(con *console, in *bufio.Reader, out io.Writer) {
	var challenge [16]byte
	_, _ = rand.Read(challenge[:])
	_ = rfb.Serve(websocket.New(in, out), con.password, challenge, rfb.Screen{
		Name:  fmt.Sprintf("QEMU (%d)", con.vmid),
		Lines: func() []string { return s.screenOf(con.vmid) },
		Press: func(keysym uint32) { s.press(con.vmid, keysym) },
	})
}

// screenOf is what stands on a guest's console.
func (s *Sim) screenOf(vmid int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	g := s.guests[vmid]
	switch {
	case g == nil || !g.now.running:
		return nil
	case !s.hasBootDisk(g):
		return []string{"SeaBIOS (version 1.16.3)", "", "Booting from Hard Disk...", "Boot failed: not a bootable disk", "", "No bootable device."}
	case !s.booted(g, now):
		return []string{"SeaBIOS (version 1.16.3)", "", "Booting from Hard Disk..."}
	}
	lines := []string{"Debian GNU/Linux 12 " + g.name() + " tty1", ""}
	for line := range strings.SplitSeq(g.typed, "\n") {
		lines = append(lines, g.name()+" login: "+line)
	}
	return lines[max(0, len(lines)-rfb.Rows):]
}

// press types a key, by its keysym, into a guest's console.
func (s *Sim) press(vmid int, keysym uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.guests[vmid]; g != nil && g.now.running {
		g.press(keysym)
	}
}

// press types what can be seen, and knows Return and Backspace.
func (g *guest) press(keysym uint32) {
	const enter, backspace = 0xff0d, 0xff08
	switch {
	case keysym == enter:
		g.typed += "\n"
	case keysym == backspace && g.typed != "" && !strings.HasSuffix(g.typed, "\n"):
		g.typed = g.typed[:len(g.typed)-1]
	case keysym >= ' ' && keysym <= '~':
		g.typed += string(rune(keysym))
	}
}

// keysyms are those of the keys whose name, in QEMU, is not the character that they
// type.
var keysyms = map[string]uint32{
	"ret": 0xff0d, "kp_enter": 0xff0d, "backspace": 0xff08, "spc": ' ', "dot": '.', "comma": ',', "minus": '-', "slash": '/',
	"backslash": '\\', "semicolon": ';', "apostrophe": '\'', "equal": '=', "asterisk": '*', "less": '<', "grave_accent": '`',
	"bracket_left": '[', "bracket_right": ']',
}

// chord types keys that are pressed together, such as shift-a.
func (g *guest) chord(keys []string) {
	last := keys[len(keys)-1]
	sym, named := keysyms[last]
	switch {
	case named && len(keys) == 1:
		g.press(sym)
	case len(last) == 1 && len(keys) == 1:
		g.press(uint32(last[0]))
	case len(last) == 1 && len(keys) == 2 && keys[0] == "shift":
		g.press(uint32(strings.ToUpper(last)[0]))
	}
}
