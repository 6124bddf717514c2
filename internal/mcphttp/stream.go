package mcphttp

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
)

// alive is how often a stream on which nothing happens carries a comment, so that no
// proxy takes it for dead.
const alive = 15 * time.Second

// stream is the answer to a request. Whatever is written to it must be taken within a
// time, and comments may come between the events.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
	header  http.Header // until it is sent
	caller  string      // once it is known
	about   messages    // once they are read
	// began, if not nil, hears of the id of a session that begins, and makes of it what
	// the client gets to know.
	began func(id string) string

	mu     sync.Mutex
	status int  // 0 until the header is sent; guarded by mu
	events bool // whether the answer is a stream of events; guarded by mu
	framed bool // whether what is written is made an event; guarded by mu
}

// newStream makes a stream, which has any time until something is sent.
func newStream(w http.ResponseWriter) *stream {
	s := &stream{to: w, control: http.NewResponseController(w), header: http.Header{}}
	_ = s.control.SetWriteDeadline(time.Time{}) // not every writer has one
	return s
}

// Header implements [http.ResponseWriter].
func (s *stream) Header() http.Header { return s.header }

// WriteHeader implements [http.ResponseWriter].
func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(status, s.header)
}

// begin sends the header, once. It is called with mu held.
func (s *stream) begin(status int, header http.Header) {
	if s.status != 0 {
		// A comment was sent already, and then the SDK wants to answer otherwise.
		s.framed = s.framed || s.events && !isEvents(header)
		return
	}
	s.status, s.events = status, isEvents(header)
	s.limit()
	maps.Copy(s.to.Header(), header)
	if id := header.Get(sessionHeader); id != "" && s.began != nil {
		s.to.Header().Set(sessionHeader, s.began(id))
	}
	if s.events {
		s.to.Header().Set("X-Accel-Buffering", "no")
	}
	s.to.WriteHeader(status)
}

func isEvents(h http.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/event-stream")
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(http.StatusOK, s.header)
	if !s.framed {
		return s.send(p)
	}
	frame := append([]byte("event: message\ndata: "), bytes.TrimSpace(p)...)
	if _, err := s.send(append(frame, "\n\n"...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes, within the time for that. It is called with mu held.
func (s *stream) send(p []byte) (int, error) {
	s.limit()
	return s.to.Write(p)
}

// limit gives what is sent next its time to be taken.
func (s *stream) limit() { _ = s.control.SetWriteDeadline(time.Now().Add(writeTime)) }

// sent is the status that was sent, 0 for none.
func (s *stream) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// FlushError is what [http.ResponseController] looks for.
func (s *stream) FlushError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit()
	return s.control.Flush()
}

// keepAlive sends comments until the returned function is called. Before the first event
// it does so only if the request is a call, which is answered with events.
func (s *stream) keepAlive(called bool) (stop func()) {
	header := s.header.Clone() // the SDK has its own ideas soon
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(alive)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				s.comment(called, header)
			}
		}
	}()
	return func() { close(quit); <-over }
}

func (s *stream) comment(called bool, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 && called {
		s.begin(http.StatusOK, header)
	}
	if s.events {
		// The handler that waits for a client notices when it is gone.
		_, _ = s.send([]byte(": still here\n\n"))
		_ = s.control.Flush()
	}
}

// refuse answers a request with an error, as HTTP and JSON-RPC have it. The code of the
// error is the status, which lies outside what JSON-RPC keeps for itself.
func (s *stream) refuse(status int, id json.RawMessage, why string) {
	s.refuseWith(status, &rpc.Error{Code: int64(status), Message: why, ID: id})
}

// refuseWith is refuse with a code of the protocol.
func (s *stream) refuseWith(status int, why *rpc.Error) {
	s.header.Set("Content-Type", "application/json")
	s.WriteHeader(status)
	_, _ = s.Write(why.Answer())
}

// say answers with a line of text.
func say(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n"))
}
