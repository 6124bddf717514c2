package recorded

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Message is a message of a recorded conversation over a websocket.
type Message struct {
	Dir  string `json:"dir"` // send, recv or end
	MS   int    `json:"ms"`  // since the start
	Data []byte `json:"b64"`
}

// At is when the message went, since the start.
func (m Message) At() time.Duration { return time.Duration(m.MS) * time.Millisecond }

// Conversation returns the messages of a console, such as "ct92_shell".
func Conversation(t testing.TB, name string) []Message {
	t.Helper()
	f, err := os.Open(filepath.Join(Dir(t), "console", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []Message
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var m Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Dir != "" {
			all = append(all, m)
		}
	}
	if lines.Err() != nil || len(all) == 0 {
		t.Fatalf("%s: %d messages, %v", name, len(all), lines.Err())
	}
	return all
}
