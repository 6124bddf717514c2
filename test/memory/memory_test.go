package memory

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
)

// whole is what docs/http.md promises, in MB; a part of the load has to take less.
const part, whole = 160, 256

// However many callers there are, whatever they send, leave half sent, or do not read: the
// memory of the server stays within what its documentation says.
func TestMemoryUnderLoad(t *testing.T) {
	// Usually a few callers, who find the limits of their own; in a soak as many as the whole
	// server has room for, and twice as many connections as there may be. Their headers are as
	// long as may be: a little longer than the documentation says.
	callers, connections := effort.Of(1, 2, 8), effort.Of(64, 256, 2*2048)
	w := open(t, callers)
	idle := w.peak()

	fillSessions(t, w, callers, connections)
	sessions := w.peak()

	// Large bodies that are never sent to their end, and calls that wait for the cluster:
	// with large bodies, with bodies of many values, and many small ones.
	sendUnfinishedBodies(t, w, callers)
	values := map[string]any{}
	for i := range 4000 {
		values["a name of a value that nobody reads "+strconv.Itoa(i)] = i
	}
	var answers sync.WaitGroup
	var mu sync.Mutex
	status := map[int]int{} // guarded by mu
	calls, running := callers*150, min(256, 64*callers)
	held, refused := make(chan *http.Response, calls), make(chan struct{}, calls)
	for i := range calls {
		more := any(strings.Repeat("x", 6<<10))
		switch i / callers % 3 {
		case 0:
			more = strings.Repeat("x", 1000<<10)
		case 1:
			more = values
		}
		answers.Go(func() {
			resp, err := w.post(i%callers, list(i, more))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			status[resp.StatusCode]++
			if held <- resp; resp.StatusCode != http.StatusOK {
				refused <- struct{}{}
			}
		})
	}
	for range calls - running { // those that find no place wait for one, and are refused
		<-refused
	}
	waiting := w.peak()

	// All answers at once, which are large, and which nobody reads at first.
	w.answer()
	done := make(chan struct{})
	go func() { answers.Wait(); close(done) }()
	w.within(2*time.Minute, "answers", done)
	close(held)
	bytes := discard(held)
	end := w.peak()
	t.Logf("MB at most: idle %d, with sessions and streams %d, with calls that wait %d, with %d MB of answers %d; statuses: %v",
		idle, sessions, waiting, bytes>>20, end, status)
	if most := effort.Of(part, part, whole); end >= most {
		t.Errorf("%d MB, which is over %d", end, most)
	}
	if status[http.StatusOK] < running/2 {
		t.Errorf("the load is not what it should be: %v", status)
	}
}

// fillSessions opens sessions that keep all that they may, each with a stream, and
// connections that never finish their header.
func fillSessions(t *testing.T, w *world, callers, connections int) {
	const header = 19 << 10 // a little longer than the documentation says
	each(callers, func(caller int) {
		for i := range effort.Of(20, 40, 140) {
			if err := w.begin(caller, i); err != nil {
				t.Error(err)
			}
		}
	})
	begun := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", header)
	for range connections {
		if err := w.say(begun); err != nil {
			t.Error(err)
		}
	}
}

// sendUnfinishedBodies sends large bodies that never end.
func sendUnfinishedBodies(t *testing.T, w *world, callers int) {
	slow := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nAuthorization: Bearer "
	for caller := range callers {
		for range 20 {
			if err := w.say(slow + w.tokens[caller] + "\r\n\r\n{" + strings.Repeat(" ", 900<<10)); err != nil {
				t.Error(err)
			}
		}
	}
}

// discard reads all answers, and returns how many bytes they have.
func discard(answers <-chan *http.Response) (bytes int64) {
	for resp := range answers {
		n, _ := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		bytes += n
	}
	return bytes
}

// each does something for each of some callers at the same time.
func each(callers int, do func(caller int)) {
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() { do(caller) })
	}
	all.Wait()
}
