package proxmox

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/coder/websocket"
)

// maxFrame is the most payload of a frame: PVE's server ends a connection on more than
// 128 KiB, on compressed frames, on frames without a mask, and on messages in several frames.
const maxFrame = 64 << 10

// maxMessage bounds what the other side can have us keep.
const maxMessage = 16 << 20

// Socket is a connection to a console: a stream of bytes each way. It may be read and
// written at the same time, each by one goroutine.
type Socket struct{ conn *websocket.Conn }

// Read returns the next bytes that came. The error is io.EOF if the other side has said that
// it ends the connection.
func (s *Socket) Read(ctx context.Context) ([]byte, error) {
	_, data, err := s.conn.Read(ctx)
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return data, io.EOF
	}
	return data, err
}

// Write sends bytes. An error leaves open which of them arrived.
func (s *Socket) Write(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxFrame)
		if err := s.conn.Write(ctx, websocket.MessageBinary, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Close ends the connection.
func (s *Socket) Close() error { return s.conn.CloseNow() }

// Websocket opens a console at the endpoint that has offered it: the ticket of a console is
// good at the node that gave it only. So the client has to be one of [Client.Sticky], or have
// one endpoint.
func (c *Client) Websocket(ctx context.Context, p Path, params url.Values) (*Socket, error) {
	if p.err != nil {
		return nil, p.err
	}
	all := c.endpoints.order()
	if len(all) != 1 {
		return nil, fmt.Errorf("GET %s: a console is open at one endpoint only: offer it and open it with the same client of Sticky", p)
	}
	e := all[0]
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	dialling, cancel := context.WithTimeout(ctx, max(c.timeout, heldByPVE))
	defer cancel()
	head := http.Header{}
	if err := c.identify(dialling, head); err != nil {
		return nil, err
	}
	dialling, connected := traced(e.pinned(dialling))
	conn, resp, err := websocket.Dial(dialling, e.base+"/api2/json"+p.text+"?"+params.Encode(), &websocket.DialOptions{
		HTTPClient: c.http, HTTPHeader: head, Subprotocols: []string{"binary"},
	})
	switch {
	case err == nil:
		conn.SetReadLimit(maxMessage)
		return &Socket{conn}, nil
	case resp == nil && connected.Load():
		return nil, &LostError{Method: http.MethodGet, Path: p.text, Err: cause(err)}
	case resp == nil:
		return nil, &ConnectError{Endpoint: e.base, Err: cause(err)}
	}
	r, failed := replyOf(resp)
	if failed == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		_, failed = r.answer(http.MethodGet, p)
	}
	if failed == nil {
		failed = cause(err)
	}
	return nil, failed
}
