package rfb_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/rfb"
	"github.com/pve-mcp/pve-mcp/internal/screen"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
)

// recording plays the server's part of a recorded conversation: each message, whatever the
// client says, but no faster than it is read.
type recording struct {
	messages [][]byte
	password string
	theirs   []byte // what the recorded client has sent first, up to what it asked for

	mu   sync.Mutex
	ours []byte // guarded by mu
}

func readRecording(t *testing.T, file string) *recording {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{}
	for line := range bytes.Lines(data) {
		var row struct{ Note, Dir, B64 string }
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		if _, word, ok := strings.Cut(row.Note, "password "); ok {
			r.password, _, _ = strings.Cut(word, "; encodings")
		}
		payload, err := base64.StdEncoding.DecodeString(row.B64)
		switch {
		case err != nil:
			t.Fatal(err)
		case row.Dir == "recv":
			r.messages = append(r.messages, payload)
		case row.Dir == "send" && len(r.theirs) < len("RFB 003.008\n")+1+16+1+20:
			r.theirs = append(r.theirs, payload...)
		}
	}
	return r
}

func (r *recording) Read(ctx context.Context) ([]byte, error) {
	if len(r.messages) == 0 {
		<-ctx.Done()
		return nil, io.EOF
	}
	m := r.messages[0]
	r.messages = r.messages[1:]
	return m, nil
}

func (r *recording) Write(_ context.Context, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ours = append(r.ours, data...)
	return nil
}

func (r *recording) Close() error { return nil }

// sent is what the client has sent.
func (r *recording) sent() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.ours)
}

const booted = `Booting from DVD/CD...

ISOLINUX 6.04 20200816 ETCD Copyright (C) 1994-2015 H. Peter Anvin et al
miniguest up


BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) built-in shell (ash)
Enter 'help' for a list of built-in commands.

/ #`

// The client, in the place of the recorded one, logs in as that did, and sees what was on the
// screens of real VMs, before keys were pressed and after.
func TestRecorded(t *testing.T) {
	for file, want := range map[string]struct {
		name, text, after string
		cursor            image.Point
	}{
		"vnc84_zrle.jsonl": {name: "QEMU (web1)", text: "SeaBIOS (version 1.16.2-debian-1.16.2-1)\nMachine UUID 501ec112-069e-4529-b595-a67a330d45bd\n" + booted},
		"vnc92_zrle.jsonl": {name: "QEMU (app1)", text: "SeaBIOS (version 1.16.3-debian-1.16.3-2)\nMachine UUID db253edd-a23a-4dd0-a34a-0790a0efafeb\n" + booted + " ^[[12;5R", cursor: image.Pt(13, 12)},
		"vnc84_keys.jsonl": {name: "QEMU (web1)", text: "SeaBIOS (version 1.16.2-debian-1.16.2-1)\nMachine UUID 501ec112-069e-4529-b595-a67a330d45bd\n" + booted, after: " echo hi\nhi\n/ #"},
	} {
		t.Run(file, func(t *testing.T) {
			r := readRecording(t, filepath.Join(recorded.Dir(t), "console", file))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, err := rfb.Connect(ctx, r, r.password)
			if err != nil {
				t.Fatal(err)
			}
			img, err := c.Look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			text, kind := screen.Read(img)
			if c.Name() != want.name || kind != screen.Textual || text.String() != want.text || text.Cursor != want.cursor || text.Unread != 0 || text.Columns != 80 || text.Rows != 25 {
				t.Errorf("%s shows %v %+v:\n%s", c.Name(), kind, text, text)
			}
			for want.after != "" && !strings.HasSuffix(text.String(), want.after) {
				if img, _, err = c.Watch(ctx); err != nil {
					t.Fatal(err)
				}
				text, _ = screen.Read(img)
			}
			cancel()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if sent := r.sent(); !bytes.HasPrefix(sent, r.theirs) {
				t.Errorf("sent %x, and the recorded client %x", sent, r.theirs)
			}
		})
	}
}
