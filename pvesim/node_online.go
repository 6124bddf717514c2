package pvesim

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
)

// SetOnline takes a node off the network, or brings it back. Its guests and tasks
// go on meanwhile, except migrations to it. The other nodes hear nothing of them: they show
// its guests as they were last seen, and after 5 minutes as unknown. If HA has guests on the
// node, its watchdog resets it after a minute, and HA starts them on other nodes.
func (s *Sim) SetOnline(node string, up bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodeNamed(node)
	if n == nil {
		return fmt.Errorf("there is no node %q", node)
	}
	now := s.clock.Now()
	s.advance(now) // what was broadcast until now was heard
	n.cut = !up
	s.reach(n, now)
	return nil
}

// receiver returns the node that is called host, or has that address; the first one
// if there is none.
func (s *state) receiver(host string) *node {
	for _, n := range s.nodes {
		if n.Name == host || n.IP == host && host != "" {
			return n
		}
	}
	return s.nodes[0]
}

// dial connects to a node. If it is offline this fails when the network has given
// up looking for it.
func (s *Sim) dial(ctx context.Context, host string) error {
	n := s.receiver(host)
	if !s.offline(n) {
		return nil
	}
	if err := s.clock.Sleep(ctx, unreachableDelay); err != nil {
		return err
	}
	return n.unreachable("dial", "connect")
}

func (s *Sim) offline(n *node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(s.clock.Now())
	return n.Offline
}

// unreachable is the error of a system call that needs the node.
func (n *node) unreachable(op, call string) error {
	return &net.OpError{
		Op: op, Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(n.IP), Port: 8006},
		Err: os.NewSyscallError(call, syscall.EHOSTUNREACH),
	}
}
