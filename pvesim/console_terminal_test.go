package pvesim_test

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// typewriter is a client of a terminal.
type typewriter struct {
	*viewer
	mu    sync.Mutex
	shown []byte // guarded by mu
	over  bool   // guarded by mu
}

// open opens the terminal of a guest, and returns a client that has not said who it is, and
// the line by which it does.
func (w *world) open(guest string, form url.Values) (tw *typewriter, hello, upid string) {
	w.Helper()
	r := w.do("POST", guest+"/termproxy", form)
	offer, ok := r.Body.Data.(map[string]any)
	if !ok {
		w.Fatalf("%d %s", r.Status, r.Reason)
	}
	base := w.sim.URL()
	if w.node != "" {
		base = "https://" + w.node + ":8006"
	}
	tw = &typewriter{viewer: w.view(w.sim.Transport(), base, guest, offer)}
	w.Cleanup(func() { tw.out.Close() })
	go func() {
		for {
			data, err := tw.message()
			tw.mu.Lock()
			tw.shown = append(tw.shown, data...)
			tw.over = tw.over || err != nil
			tw.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return tw, fmt.Sprintf("%v:%v\n", offer["user"], offer["ticket"]), offer["upid"].(string)
}

// message reads a frame.
func (v *viewer) message() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(v.in, head[:]); err != nil {
		return nil, err
	}
	size := int(head[1])
	if size == 126 {
		var more [2]byte
		if _, err := io.ReadFull(v.in, more[:]); err != nil {
			return nil, err
		}
		size = int(more[0])<<8 | int(more[1])
	}
	data := make([]byte, size)
	_, err := io.ReadFull(v.in, data)
	return data, err
}

// says sends a message, waits until nothing happens, and returns what came.
func (tw *typewriter) says(text string) string {
	tw.Helper()
	if text != "" {
		tw.send([]byte(text)...)
	}
	synctest.Wait()
	tw.mu.Lock()
	defer tw.mu.Unlock()
	defer func() { tw.shown = nil }()
	return string(tw.shown)
}

// types sends what is typed.
func (tw *typewriter) types(text string) string {
	tw.Helper()
	out := ""
	for chunk := range slices.Chunk([]byte(text), 100) {
		out += tw.says(fmt.Sprintf("0:%d:%s", len(chunk), chunk))
	}
	return out
}

func (tw *typewriter) ended() bool {
	synctest.Wait()
	tw.mu.Lock()
	defer tw.mu.Unlock()
	return tw.over
}

// live is a world whose time is the bubble's.
func live(t *testing.T, m pvesim.Model) *world {
	t.Helper()
	sim, err := pvesim.NewSim(m, pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return &world{T: t, sim: sim, model: m, token: "ops@pve!mcp"}
}

// consoleModel is the recorded cluster with the guests whose consoles were recorded.
func consoleModel() pvesim.Model {
	m := recorded2WithOwn()
	m.Guests = append(m.Guests, pvesim.Guest{
		VMID: 960, Kind: "lxc", Node: "pve2", Running: true, Up: time.Hour, Config: map[string]string{"hostname": "cty", "cmode": "shell", "arch": "amd64", "rootfs": "data:960/vm-960-disk-0.raw,size=1G"},
	}, pvesim.Guest{
		VMID: 961, Kind: "lxc", Node: "pve2", Running: true, Up: time.Hour, Config: map[string]string{"hostname": "cty", "arch": "amd64", "rootfs": "data:961/vm-961-disk-0.raw,size=1G"},
	}, pvesim.Guest{
		VMID: 902, Kind: "qemu", Node: "pve2", Running: true, Up: time.Hour, Config: map[string]string{"name": "app1", "memory": "256", "scsi0": "data:902/vm-902-disk-0.raw,size=1G"},
	})
	return m
}

// The terminals that were recorded, again: what comes after each message is the same.
func TestRecordedTerminals(t *testing.T) {
	for _, tt := range []struct {
		file, node, guest string
		rows              int
	}{
		{"ct92_shell", "pve2", "/nodes/pve2/lxc/960", 10},
		{"ct92_tty", "pve2", "/nodes/pve2/lxc/961", 6},
		{"ct84_refused", "pve1", "/nodes/pve1/lxc/950", 3},
		{"serial84", "pve1", "/nodes/pve1/qemu/900", 3},
		{"serial92", "pve2", "/nodes/pve2/qemu/902", 1},
	} {
		t.Run(tt.file, func(t *testing.T) {
			messages := recorded.Conversation(t, tt.file)
			synctest.Test(t, func(t *testing.T) {
				w := live(t, consoleModel())
				w.token, w.node = "mcp@pve!ops", tt.node
				tw, hello, _ := w.open(tt.guest, nil)
				rows, began := 0, time.Now()
				for i := 0; i < len(messages); {
					sent := messages[i]
					time.Sleep(sent.At() - time.Since(began))
					text := string(sent.Data)
					if i == 0 {
						text = hello
					}
					tw.says("") // what came meanwhile belongs to the message before
					tw.send([]byte(text)...)
					want, ended, next := "", false, i+1
					for ; next < len(messages) && messages[next].Dir != "send"; next++ {
						want += string(messages[next].Data[:len(messages[next].Data)*btoi(messages[next].Dir == "recv")])
						ended = ended || messages[next].Dir == "end"
					}
					if next < len(messages) {
						time.Sleep(messages[next].At() - time.Since(began) - time.Millisecond)
					}
					if got := tw.says(""); got != want {
						t.Errorf("after %q came\n%q\nrecorded\n%q", text, got, want)
					}
					if tw.ended() != ended {
						t.Errorf("after %q it ended: %v", text, tw.ended())
					}
					rows, i = rows+1, next
					if ended {
						break
					}
				}
				tw.out.Close()
				if rows < tt.rows {
					t.Errorf("%d messages were compared, want %d", rows, tt.rows)
				}
			})
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

const (
	container   = "/nodes/pve1/lxc/200"
	clearScreen = "\x1b[H\x1b[J"
	prompt      = "~ # \x1b[6n"
)

// withShell has a container, 200, whose console is a shell unless change says otherwise.
func withShell(change func(g *pvesim.Guest)) pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = "9.2.11"
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 200 {
			g.Config["cmode"] = "shell"
			change(g)
		}
	}
	return m
}

func asIs(*pvesim.Guest) {}

// enter opens the terminal of the container.
func (w *world) enter() *typewriter {
	w.Helper()
	tw, hello, _ := w.open(container, nil)
	if got := tw.says(hello); !strings.HasPrefix(got, "OK") {
		w.Errorf("it answers %q", got)
	}
	return tw
}

func TestTheShellOutlivesConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, withShell(asIs))
		a := w.enter()
		a.says("1:400:50:")
		a.types("cd /tmp; x=5; stty -echo\n")
		a.out.Close()
		b, hello, _ := w.open(container, nil)
		if got := b.says(hello); got != "OK"+clearScreen+"\r/tmp # \x1b[J" {
			t.Errorf("a second connection sees %q", got)
		}
		c := w.enter()
		if got := b.types("echo $x $PWD\n"); got != "5 /tmp\r\r\n/tmp # " {
			t.Errorf("its shell prints %q", got)
		}
		if got := c.says(""); got != "5 /tmp\r\r\n/tmp # " {
			t.Errorf("a third one sees %q", got)
		}
		b.out.Close()
		if got := c.types("exit\n"); got != "\x1b[999H\r\n[EOF - dtach terminating]\r\n" || !c.ended() {
			t.Errorf("exit: %q", got)
		}
		d, hello, _ := w.open(container, nil)
		if got := d.says(hello); got[len(got)-len(prompt):] != prompt {
			t.Errorf("a new shell says %q", got)
		}
		d.out.Close()
	})
}

func TestTaskOfATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, withShell(asIs))
		tw, hello, upid := w.open(container, nil)
		tw.says(hello)
		status := "/nodes/pve1/tasks/" + url.PathEscape(upid) + "/status"
		if got := w.get(status)["status"]; got != "running" {
			t.Errorf("while it is open: %v", got)
		}
		tw.out.Close()
		synctest.Wait()
		if got := w.get(status)["exitstatus"]; got != "OK" {
			t.Errorf("then: %v", got)
		}
	})
}

func TestWrongTicketForATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, withShell(asIs))
		tw, _, upid := w.open(container, nil)
		tw.says("ops@pve!mcp:PVEVNC:0\n")
		if tw.ended() {
			t.Error("it ended at once")
		}
		time.Sleep(3 * time.Second)
		if !tw.ended() || tw.says("") != "" {
			t.Error("it did not end")
		}
		if got := w.get("/nodes/pve1/tasks/" + url.PathEscape(upid) + "/status")["exitstatus"]; !strings.HasSuffix(fmt.Sprint(got), "failed: exit code 1") {
			t.Errorf("the task: %v", got)
		}
	})
}

func TestStopEndsTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, withShell(asIs))
		tw := w.enter()
		tw.types("sleep 1000 & cat\n")
		w.do("POST", container+"/status/stop", nil)
		time.Sleep(time.Minute)
		w.get("/version")
		if !tw.ended() {
			t.Error("the connection is still open")
		}
		late, hello, _ := w.open(container, nil)
		if got := late.says(hello); !strings.Contains(got, "200 is not running") || !late.ended() {
			t.Errorf("of a stopped container: %q", got)
		}
	})
}

func TestLoginOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, withShell(func(g *pvesim.Guest) { g.Config["cmode"], g.Password = "tty", "secret" }))
		tw := w.enter()
		tw.types("root\n")
		if got := tw.types("wrong\n"); got != "\r\r\nLogin incorrect\r\r\n" {
			t.Errorf("a wrong password: %q", got)
		}
		time.Sleep(4 * time.Second)
		tw.types("root\n")
		if got := tw.types("secret\n"); got[len(got)-len(prompt):] != prompt {
			t.Errorf("the right password: %q", got)
		}
		tw.types("exit\n")
		if got := tw.types("\n"); !strings.HasSuffix(got, " login: ") {
			t.Errorf("after exit: %q", got)
		}
		tw.out.Close()
	})
}

// The end of the simulation ends the pause after a wrong password at a screen, too.
func TestCloseEndsAScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, vm(func(g *pvesim.Guest) { g.Password = "secret" }))
		for _, key := range []string{"r", "o", "o", "t", "ret", "x", "ret"} {
			w.do("PUT", "/nodes/pve1/qemu/100/sendkey", url.Values{"key": {key}})
		}
	})
}

func TestContainerWithoutTTY(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := live(t, withShell(func(g *pvesim.Guest) { g.Config["cmode"], g.Config["tty"] = "tty", "0" }))
		tw := w.enter()
		if got := tw.types("\n"); got != "" {
			t.Errorf("it prints %q", got)
		}
		tw.out.Close()
	})
}
