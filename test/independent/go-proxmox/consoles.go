package main

import (
	"bytes"
	"context"
	"crypto/des"
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	proxmox "github.com/luthermonson/go-proxmox"
)

// consoles uses a terminal and a screen, for which go-proxmox wants a login with a password:
// PVE's own proxy does not accept a token there.
func (s *story) consoles(client *proxmox.Client) {
	node, err := client.Node(s, "pve1")
	must(err)
	_, _, _, _, err = connect().TermWebSocket("/nodes/pve1/lxc/203/vncwebsocket", nil)
	check(proxmox.IsAPITokenWebSocketUnsupported(err), err)

	container, err := node.Container(s, 203)
	must(err)
	term, err := container.TermProxy(s)
	must(err)
	shell := s.open(container.TermWebSocket(term))
	shell.say("echo $((6 * 7)) > /tmp/answer; cat /tmp/answer; hostname\n")
	shell.hear("42\r\r\ngrafana")
	shell.close()

	vm := s.vm(node, 100)
	vnc, err := vm.VNCProxy(s, &proxmox.VNCConfig{Websocket: true, GeneratePassword: true})
	must(err)
	screen := s.open(vm.VNCWebSocket(vnc))
	screen.hear("RFB 003.008\n")
	screen.say("RFB 003.008\n")
	kinds := screen.next(2)
	check(bytes.Equal(kinds, []byte{1, 2}), "kinds of authentication: ", kinds)
	screen.say("\x02")
	screen.say(string(proof(vnc.Password, screen.next(16))))
	check(binary.BigEndian.Uint32(screen.next(4)) == 0, "the password is refused")
	screen.say("\x01") // others may look, too
	head := screen.next(24)
	name := screen.next(int(binary.BigEndian.Uint32(head[20:])))
	width, height := binary.BigEndian.Uint16(head), binary.BigEndian.Uint16(head[2:])
	check(width > 300 && height > 200 && bytes.Contains(name, []byte("web-1")), width, height, string(name))
	screen.say("\x03\x00" + string(binary.BigEndian.AppendUint64(nil, uint64(width)<<16|uint64(height))))
	update := screen.next(4)
	check(update[0] == 0 && binary.BigEndian.Uint16(update[2:]) > 0, "an update of the screen: ", update)
	screen.close()
}

// proof answers a challenge of RFB with a password: each bit of its bytes is turned around.
func proof(password string, challenge []byte) []byte {
	key := make([]byte, des.BlockSize)
	copy(key, password)
	for i := range key {
		key[i] = bits.Reverse8(key[i])
	}
	cipher, err := des.NewCipher(key)
	must(err)
	for block := range 2 {
		at := challenge[block*des.BlockSize:]
		cipher.Encrypt(at, at[:des.BlockSize])
	}
	return challenge
}

// socket is a console as go-proxmox gives it.
type socket struct {
	context.Context
	send, recv chan []byte
	errs       chan error
	closer     func() error
	heard      []byte
}

func (s *story) open(send, recv chan []byte, errs chan error, closer func() error, err error) *socket {
	must(err)
	ctx, stop := context.WithTimeout(s, time.Minute)
	return &socket{Context: ctx, send: send, recv: recv, errs: errs, closer: func() error { stop(); return closer() }}
}

func (s *socket) say(text string) {
	select {
	case s.send <- []byte(text):
	case err := <-s.errs:
		must(err)
	case <-s.Done():
		must(s.Err())
	}
}

// more waits for a message.
func (s *socket) more() {
	select {
	case message := <-s.recv:
		s.heard = append(s.heard, message...)
	case err := <-s.errs:
		must(fmt.Errorf("%w after %q", err, s.heard))
	case <-s.Done():
		must(fmt.Errorf("%w after %q", s.Err(), s.heard))
	}
}

// hear waits for a text, and drops it with what was before.
func (s *socket) hear(text string) {
	for !bytes.Contains(s.heard, []byte(text)) {
		s.more()
	}
	_, s.heard, _ = bytes.Cut(s.heard, []byte(text))
}

// next is the next n bytes.
func (s *socket) next(n int) (data []byte) {
	for len(s.heard) < n {
		s.more()
	}
	data, s.heard = s.heard[:n], s.heard[n:]
	return data
}

// close ends the console. Its readers are served until then, because they wait for that.
func (s *socket) close() {
	go func() {
		for range s.recv {
		}
	}()
	go func() {
		for range s.errs {
		}
	}()
	must(s.closer())
}
