package mcphttp

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// sessions are those of the handshake versions, of which each caller has its share: who
// begins more loses its own that was not used for the longest time.
type sessions struct {
	server *mcp.Server

	mu   sync.Mutex
	held map[*session]bool // guarded by mu
}

type session struct {
	of     *sessions
	caller string
	id     string    // "" until it has begun; guarded by the mu of its sessions
	used   time.Time // guarded by it, too
	busy   int       // requests under way but its stream; guarded by it, too
}

func newSessions(server *mcp.Server) *sessions {
	return &sessions{server: server, held: map[*session]bool{}}
}

// reserve makes room for a session of a caller, where need be by ending another: one of
// the caller's own, or, if there are too many in all, one of the caller that has the
// most.
func (s *sessions) reserve(caller string) (*session, error) {
	live := map[string]*mcp.ServerSession{}
	for known := range s.server.Sessions() {
		live[known.ID()] = known
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := map[string][]*session{}
	for held := range maps.Keys(s.held) {
		if held.id != "" && held.busy == 0 && live[held.id] == nil { // it has ended
			delete(s.held, held)
			continue
		}
		of[held.caller] = append(of[held.caller], held)
	}
	from, why := "", error(nil)
	switch {
	case len(of[caller]) >= callersSessions:
		from, why = caller, errOwnShare
	case len(s.held) >= maxSessions:
		most := slices.MaxFunc(slices.Collect(maps.Keys(of)), func(a, b string) int { return cmp.Compare(len(of[a]), len(of[b])) })
		from, why = most, errAllTaken
	}
	if why != nil {
		oldest := longestUnused(of[from])
		if oldest == nil {
			return nil, why
		}
		delete(s.held, oldest)
		go func() { _ = live[oldest.id].Close() }() // it waits for the SDK, and nobody for it
	}
	begun := &session{of: s, caller: caller, used: time.Now(), busy: 1}
	s.held[begun] = true
	return begun, nil
}

// longestUnused is nil if all are in use. It is called with mu held.
func longestUnused(all []*session) (oldest *session) {
	for _, one := range all {
		if one.busy == 0 && (oldest == nil || one.used.Before(oldest.used)) {
			oldest = one
		}
	}
	return oldest
}

// as says which session it has become.
func (s *session) as(id string) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.id = id
}

// end ends a request in a session. One that has not begun by then never will.
func (s *session) end() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.busy--
	s.used = time.Now()
	if s.id == "" {
		delete(s.of.held, s)
	}
}

// use says that a request in a session begins; done, that it has ended.
func (s *sessions) use(id string) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for held := range maps.Keys(s.held) {
		if held.id == id {
			held.busy++
			return held.end
		}
	}
	return func() {}
}
