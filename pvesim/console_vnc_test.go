package pvesim_test

import (
	"bufio"
	"bytes"
	"crypto/des"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// viewer is a VNC client on a websocket.
type viewer struct {
	*testing.T
	in            *bufio.Reader
	out           io.WriteCloser
	left          []byte
	width, height int
	hello         []byte // of the server
	name          string // of the screen
}

func (v *viewer) send(b ...byte) {
	v.Helper()
	mask := []byte{1, 2, 3, 4}
	frame := append([]byte{0x82, 0x80 | byte(len(b))}, mask...)
	for i := range b {
		frame = append(frame, b[i]^mask[i%4])
	}
	if _, err := v.out.Write(frame); err != nil {
		v.Fatal(err)
	}
}

func (v *viewer) read(n int) []byte {
	v.Helper()
	for len(v.left) < n {
		var head [2]byte
		if _, err := io.ReadFull(v.in, head[:]); err != nil {
			v.Fatal(err)
		}
		size := uint64(head[1])
		if size >= 126 {
			more := make([]byte, 8)
			if size == 126 {
				more = more[:2]
			}
			_, _ = io.ReadFull(v.in, more)
			size = binary.BigEndian.Uint64(append(make([]byte, 8-len(more)), more...))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(v.in, payload); err != nil {
			v.Fatal(err)
		}
		v.left = append(v.left, payload...)
	}
	out := v.left[:n]
	v.left = v.left[n:]
	return out
}

// login says who it is, and returns whether the password was right.
func (v *viewer) login(password string) bool {
	v.Helper()
	if got := string(v.read(12)); got != "RFB 003.008\n" {
		v.Fatalf("the server begins with %q", got)
	}
	v.send([]byte("RFB 003.008\n")...)
	if got := v.read(2); got[1] != 2 {
		v.Fatalf("security types %v", got)
	}
	v.send(2)
	challenge, response := v.read(16), make([]byte, 16)
	key := make([]byte, 8)
	for i := range min(8, len(password)) {
		key[i] = bits.Reverse8(password[i])
	}
	block, _ := des.NewCipher(key)
	block.Encrypt(response[:8], challenge[:8])
	block.Encrypt(response[8:], challenge[8:])
	v.send(response...)
	if v.read(4)[3] != 0 {
		return false
	}
	v.send(1) // shared
	hello := bytes.Clone(v.read(24))
	v.width, v.height = int(binary.BigEndian.Uint16(hello)), int(binary.BigEndian.Uint16(hello[2:]))
	v.hello, v.name = hello, string(v.read(int(binary.BigEndian.Uint32(hello[20:]))))
	return true
}

// lit asks for the screen and returns how many of its pixels are lit.
func (v *viewer) lit(incremental byte) int {
	v.Helper()
	v.send(3, incremental, 0, 0, 0, 0, byte(v.width>>8), byte(v.width), byte(v.height>>8), byte(v.height))
	v.read(16)
	n := 0
	for _, b := range v.read(v.width * v.height * 4) {
		if b != 0 {
			n++
		}
	}
	return n / 3
}

func (v *viewer) press(keysym uint16) { v.send(4, 1, 0, 0, 0, 0, byte(keysym>>8), byte(keysym)) }

// view connects to a console that was offered.
func (w *world) view(rt http.RoundTripper, base, guest string, offer map[string]any) *viewer {
	w.Helper()
	resp := w.connect(rt, base, guest, offer)
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != 101 || !ok {
		w.Fatalf("%s, %T", resp.Status, resp.Body)
	}
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		w.Errorf("the key was answered with %q", got)
	}
	return &viewer{T: w.T, in: bufio.NewReader(conn), out: conn}
}

func (w *world) connect(rt http.RoundTripper, base, guest string, offer map[string]any) *http.Response {
	w.Helper()
	query := url.Values{"port": {fmt.Sprint(offer["port"])}, "vncticket": {fmt.Sprint(offer["ticket"])}}
	req, err := http.NewRequestWithContext(w.Context(), "GET", base+"/api2/json"+guest+"/vncwebsocket?"+query.Encode(), nil)
	if err != nil {
		w.Fatal(err)
	}
	for key, value := range map[string]string{
		"Authorization": w.model.Token(w.token).Header(), "Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(key, value)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	return resp
}

func (w *world) offer(guest string, form url.Values) map[string]any {
	w.Helper()
	r := w.do("POST", guest+"/vncproxy", form)
	offer, ok := r.Body.Data.(map[string]any)
	if !ok {
		w.Fatalf("%d %s", r.Status, r.Reason)
	}
	return offer
}

func TestConsole(t *testing.T) {
	for _, tt := range []struct {
		pve, guest string
		form       url.Values
		ticket     bool // is the password
	}{
		{"9.2.0", "/nodes/pve1/qemu/100", url.Values{"websocket": {"1"}}, false},
		{"9.0.11", "/nodes/pve1/qemu/100", url.Values{"websocket": {"1"}, "generate-password": {"1"}}, false},
		{"8.4.1", "/nodes/pve1/qemu/100", url.Values{"websocket": {"1"}}, true},
		{"9.2.0", "/nodes/pve1/lxc/200", url.Values{"websocket": {"1"}}, false},
	} {
		for _, wire := range []bool{false, true} {
			m := pvesim.Cluster()
			m.PVE = tt.pve
			w := newWorld(t, m)
			w.token = "ops@pve!mcp"
			rt, base := w.sim.Transport(), w.sim.URL()
			if wire {
				l := w.listen("pve1")
				rt, base = w.trusting(l), l.URL()
			}
			offer := w.offer(tt.guest, tt.form)
			password, told := offer["password"].(string)
			if told == tt.ticket {
				t.Errorf("PVE %s tells the password: %v", tt.pve, told)
			}
			if tt.ticket {
				password = offer["ticket"].(string)
			}
			v := w.view(rt, base, tt.guest, offer)
			if !v.login(password) {
				t.Fatalf("PVE %s does not accept the password", tt.pve)
			}
			before := v.lit(0)
			v.press('x')
			after := v.lit(0)
			if before < 200 || after <= before || after > before+60 {
				t.Errorf("%d pixels are lit, and %d after a key", before, after)
			}
			v.out.Close()
			if exit := w.as("root@pam!full").exit(offer["upid"].(string)); exit != "OK" {
				t.Errorf("its task ended with %q", exit)
			}
		}
	}
}

func TestWrongPasswordForAConsole(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	const guest = "/nodes/pve1/qemu/100"
	v := w.view(w.sim.Transport(), w.sim.URL(), guest, w.offer(guest, url.Values{"websocket": {"1"}}))
	if v.login("guess") {
		t.Error("it was let in")
	}
}

// A console is for the one who asked for it, and for a while.
func TestWhoMayConnectToAConsole(t *testing.T) {
	const guest = "/nodes/pve1/qemu/100"
	form := url.Values{"websocket": {"1"}}
	for name, tt := range map[string]struct {
		token, guest string
		wait         time.Duration
		want         string
	}{
		"another token":   {"root@pam!full", guest, 0, "401 permission denied - invalid PVEVNC ticket"},
		"another guest":   {"ops@pve!mcp", "/nodes/pve1/qemu/104", 0, "401 permission denied - invalid PVEVNC ticket"},
		"no right":        {"audit@pve!mcp", guest, 0, "403 Permission check failed (/vms/100, VM.Console)"},
		"too late":        {"ops@pve!mcp", guest, 11 * time.Second, "595 Connection refused"},
		"an old ticket":   {"ops@pve!mcp", guest, 41 * time.Second, "401 permission denied - invalid PVEVNC ticket"},
		"at the last try": {"ops@pve!mcp", guest, 9 * time.Second, "101 Switching Protocols"},
	} {
		w := newWorld(t, pvesim.Cluster()).as("ops@pve!mcp")
		offer := w.offer(guest, form)
		w.clock.Advance(tt.wait)
		resp := w.as(tt.token).connect(w.sim.Transport(), w.sim.URL(), tt.guest, offer)
		resp.Body.Close()
		if resp.Status != tt.want {
			t.Errorf("%s: %s, want %s", name, resp.Status, tt.want)
		}
	}
	w := newWorld(t, pvesim.Cluster())
	upid := w.offer(guest, form)["upid"].(string)
	if exit := w.exit(upid); exit != "connection timed out" {
		t.Errorf("a console that nobody wanted: %q", exit)
	}
	if exit := w.exit(w.offer("/nodes/pve3/qemu/105", form)["upid"].(string)); exit != "Failed to run vncproxy." {
		t.Errorf("the console of a stopped VM: %q", exit)
	}
	w.story(`GET /nodes/pve1/qemu/999/vncwebsocket?port=5900&vncticket=x => 401 permission denied - invalid PVEVNC ticket`)
}

// What is typed through the API stands on the console, until the VM starts anew.
func TestKeysReachTheConsole(t *testing.T) {
	const guest = "/nodes/pve1/qemu/100"
	lit := func(w *world) int {
		t.Helper()
		offer := w.offer(guest, url.Values{"websocket": {"1"}, "generate-password": {"1"}})
		v := w.view(w.sim.Transport(), w.sim.URL(), guest, offer)
		defer v.out.Close()
		v.login(offer["password"].(string))
		return v.lit(0)
	}
	w := newWorld(t, pvesim.Cluster())
	empty := lit(w)
	for _, key := range strings.Fields("shift-r spc o o t backspace ret") {
		w.story("PUT " + guest + "/sendkey?key=" + key + " => null")
	}
	if typed := lit(w); typed <= empty {
		t.Errorf("%d pixels are lit, %d before keys were typed", typed, empty)
	}
	w.story(`POST /nodes/pve1/qemu/100/status/stop => OK
		POST /nodes/pve1/qemu/100/status/start => OK
		wait 20s`)
	if again := lit(w); again != empty {
		t.Errorf("%d pixels are lit after a start, %d before", again, empty)
	}
}
