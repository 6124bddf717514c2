package pvesim

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/rfb"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/shell"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/tty"
)

// screen is the text console of a system that is up.
type screen struct {
	*terminal
	picture rfb.Picture // without its text
	awake   bool        // a key was pressed while it was blank
}

// How long the firmware takes until there is a picture, and until it boots.
const (
	pictureTakes  = time.Second
	firmwareTakes = 2 * time.Second
)

const firmware = "SeaBIOS (version 1.16.3-debian-1.16.3-2)\nMachine UUID %s\n"

// look is what a guest's screen shows; false if the guest is not there or does not run.
func (s *Sim) look(vmid int) (rfb.Picture, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	g := s.guests[vmid]
	if g == nil || !g.now.running {
		return rfb.Picture{}, false
	}
	up := now.Sub(g.now.since)
	bios := fmt.Sprintf(firmware, strings.TrimPrefix(g.Config["smbios1"], "uuid="))
	display, _, _ := strings.Cut(g.Config["vga"], ",")
	switch {
	case display == "none" || strings.HasPrefix(display, "serial"):
		return placeholder("This VM has no graphic display device."), true
	case g.now.qmp == "suspended":
		return rfb.TextMode(""), true
	case g.now.warm || g.Kind == "lxc":
	case up < pictureTakes:
		return placeholder("Guest has not initialized the display (yet)."), true
	case up < firmwareTakes:
		return rfb.TextMode(bios), true
	}
	if p, ok := planted(g); ok {
		return p, true
	}
	switch {
	case !s.hasBootDisk(g):
		return rfb.TextMode(bios + "Booting from Hard Disk...\nBoot failed: not a bootable disk\n\nNo bootable device."), true
	case !s.booted(g, now):
		return rfb.TextMode(bios + "Booting from Hard Disk...\n" + bootMessages(up)), true
	}
	return s.console(g).show(), true
}

// placeholder is a message of QEMU itself.
func placeholder(text string) rfb.Picture {
	return rfb.Picture{Width: 640, Height: 480, Lines: text, Centred: true, CursorX: -1}
}

// bootMessages are those of the kernel until a time.
func bootMessages(up time.Duration) string {
	out := ""
	for i, text := range []string{
		"Linux version 6.1.0-37-amd64 (debian-kernel@lists.debian.org)", "Command line: BOOT_IMAGE=/boot/vmlinuz-6.1.0-37-amd64 root=/dev/sda1 ro quiet",
		"x86/fpu: x87 FPU will use FXSAVE", "EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.",
		"systemd[1]: Detected virtualization kvm.", "systemd[1]: Hostname set.",
	} {
		if at := time.Duration(i) * 1200 * time.Millisecond; up-firmwareTakes >= at {
			out += fmt.Sprintf("[%12.6f] %s\n", at.Seconds(), text)
		}
	}
	return out
}

// plantedScreens are the texts of the screens that a model has by name. The arrows of GRUB are
// characters of the lowest 32.
var plantedScreens = map[string]string{
	"panic": "[    1.318721] VFS: Cannot open root device \"sda1\" or unknown-block(0,0): error -6\n" +
		"[    1.319884] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n" +
		"[    1.320919] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0-37-amd64 #1  Debian 6.1.140-1\n" +
		"[    1.323044] Call Trace:\n[    1.323512]  <TASK>\n[    1.323921]  dump_stack_lvl+0x44/0x5c\n[    1.324512]  panic+0x118/0x2ed\n" +
		"[    1.326021] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---",
	"fsck": "Begin: Will now check root file system ... fsck from util-linux 2.38.1\n/dev/sda1 contains a file system with errors, check forced.\n" +
		"/dev/sda1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n        (i.e., without -a or -p options)\nfsck exited with status code 4\n" +
		"The root filesystem on /dev/sda1 requires a manual fsck\n\n\nBusyBox v1.35.0 (Debian 1:1.35.0-4+b3) built-in shell (ash)\n" +
		"Enter 'help' for a list of built-in commands.\n\n(initramfs) ",
	"emergency": "You are in emergency mode. After logging in, type \"journalctl -xb\" to view\nsystem logs, \"systemctl reboot\" to reboot, \"systemctl default\" or \"exit\"\n" +
		"to boot into default mode.\nGive root password for maintenance\n(or press Control-D to continue): ",
	"grub": "                             GNU GRUB  version 2.06-13+deb12u1\n\n ┌────────────────────────────────────────────────────────────────────────────┐\n" +
		" │*Debian GNU/Linux                                                           │\n │ Advanced options for Debian GNU/Linux                                      │\n" +
		" └────────────────────────────────────────────────────────────────────────────┘\n\n      Use the \x18 and \x19 keys to select which entry is highlighted.",
}

// planted is the screen that the model says, if it is one that does not change by keys.
func planted(g *guest) (rfb.Picture, bool) {
	text := plantedScreens[g.Screen]
	switch {
	case text != "":
	case g.Screen == "graphic", g.Screen == "" && g.windows():
		return rfb.Picture{Width: 1024, Height: 768, Lines: "Press Ctrl+Alt+Delete to unlock.", CursorX: -1, Graphic: true}, true
	case strings.Contains(g.Screen, "\n"):
		text = g.Screen
	default:
		return rfb.Picture{}, false
	}
	p := rfb.TextMode(text)
	if last := text[strings.LastIndex(text, "\n")+1:]; strings.HasSuffix(last, " ") {
		p.CursorX, p.CursorY = utf8.RuneCountInString(last), strings.Count(text, "\n")
	}
	return p, true
}

// console is the text console of a system that is up, which is made when it is first asked
// for.
func (s *Sim) console(g *guest) *screen {
	if g.screen != nil {
		return g.screen
	}
	g.screen = &screen{terminal: &terminal{}, picture: rfb.TextMode(""), awake: g.Screen != "blank"}
	columns, rows := 80, 25
	if g.Screen == "framebuffer" || g.Screen == "" && g.Config["bios"] == "ovmf" {
		columns, rows = 128, 48
		g.screen.picture = rfb.Picture{Width: 1024, Height: 768}
	}
	g.screen.screen = tty.NewScreen(columns, rows)
	if g.Screen == "shell" {
		g.screen.run(s.insideOf(g).Start(shell.Banner, g.screen.terminal.show, g.screen.end))
		return g.screen
	}
	l := s.newLogin(g, g.screen.terminal)
	l.issue, l.rejects = "Debian GNU/Linux 12 "+g.name()+" tty1\n\n", "\nLogin incorrect"
	g.screen.run(l)
	l.greet()
	return g.screen
}

// show is the picture of the console.
func (c *screen) show() rfb.Picture {
	p := c.picture
	p.CursorX = -1
	if c.awake {
		p.Lines, p.CursorX, p.CursorY = c.screen.Text()
	}
	return p
}

// The keys that are no characters.
const (
	keyBackspace = 0xff08
	keyTab       = 0xff09
	keyReturn    = 0xff0d
	keyEscape    = 0xff1b
	keyEnter     = 0xff8d
	keyShift     = 0xffe1
	keyCtrl      = 0xffe3
	keyCtrlRight = 0xffe4
	keyAlt       = 0xffe9
	keyAltRight  = 0xffea
	keyDelete    = 0xffff
)

// key presses or releases a key at a guest's screen.
func (s *Sim) key(con *console, keysym uint32, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	if g := s.guests[con.vmid]; g != nil && g.now.running {
		s.press(g, &con.keys, keysym, down, now)
	}
}

// modifiers are the keys that change what others do, as far as they are pressed.
type modifiers struct{ ctrl, alt bool }

// press presses or releases a key.
func (s *Sim) press(g *guest, held *modifiers, keysym uint32, down bool, now time.Time) {
	switch keysym {
	case keyCtrl, keyCtrlRight:
		held.ctrl = down
		return
	case keyAlt, keyAltRight:
		held.alt = down
		return
	}
	if !down {
		return
	}
	if keysym == keyDelete && held.ctrl && held.alt && g.Screen != "panic" && !g.windows() {
		st := g.now
		st.since, st.warm, st.qmp = now, false, ""
		s.setRunState(g, st)
		return
	}
	if _, still := planted(g); still || !s.booted(g, now) {
		return
	}
	c := s.console(g)
	if !c.awake {
		c.awake = true
		return
	}
	if text := typedBy(keysym, held.ctrl); text != "" {
		if p := c.running(); p != nil {
			p.Input([]byte(text))
		}
	}
}

// typedBy is what a key types.
func typedBy(keysym uint32, ctrl bool) string {
	switch {
	case keysym == keyReturn || keysym == keyEnter:
		return "\n"
	case keysym == keyBackspace:
		return "\x7f"
	case keysym == keyTab:
		return "\t"
	case keysym == keyEscape:
		return "\x1b"
	case ctrl && keysym >= '@' && keysym <= '~':
		return string(rune(keysym & 0x1f))
	case keysym >= ' ' && keysym <= '~' || keysym >= 0xa0 && keysym <= 0xff:
		return string(rune(keysym))
	case keysym >= 0x1000100 && keysym <= 0x110ffff:
		return string(rune(keysym - 0x1000000))
	}
	return ""
}

// keysyms are those of the keys whose name, in QEMU, is not the character that they
// type.
var keysyms = map[string]uint32{
	"ret": keyReturn, "kp_enter": keyEnter, "backspace": keyBackspace, "tab": keyTab, "esc": keyEscape, "delete": keyDelete,
	"ctrl": keyCtrl, "ctrl_r": keyCtrlRight, "alt": keyAlt, "alt_r": keyAltRight, "shift": keyShift, "shift_r": keyShift,
	"spc": ' ', "dot": '.', "comma": ',', "minus": '-', "slash": '/', "backslash": '\\', "semicolon": ';', "apostrophe": '\'', "equal": '=',
	"asterisk": '*', "less": '<', "grave_accent": '`', "bracket_left": '[', "bracket_right": ']',
}

// shifted are the characters that keys type with shift, on a US keyboard.
var shifted = strings.NewReplacer(
	"1", "!", "2", "@", "3", "#", "4", "$", "5", "%", "6", "^", "7", "&", "8", "*", "9", "(", "0", ")", "-", "_", "=", "+", "[", "{", "]", "}",
	`\`, "|", ";", ":", "'", `"`, ",", "<", ".", ">", "/", "?", "`", "~",
)

// chord presses keys together, such as shift-a, and releases them.
func (s *Sim) chord(g *guest, keys []string, now time.Time) {
	held, shift := modifiers{}, false
	for _, name := range keys {
		sym, named := keysyms[name]
		if !named && len(name) == 1 {
			sym = uint32(name[0])
		}
		if shift && sym >= ' ' && sym <= '~' {
			sym = uint32(shifted.Replace(strings.ToUpper(string(rune(sym))))[0])
		}
		shift = shift || sym == keyShift
		if sym != 0 && sym != keyShift {
			s.press(g, &held, sym, true, now)
		}
	}
}
