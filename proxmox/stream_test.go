package proxmox_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// newServer serves handle over TLS, and returns a client of it and of the endpoints before it.
func newServer(t *testing.T, handle http.HandlerFunc, before ...string) *proxmox.Client {
	t.Helper()
	server := httptest.NewTLSServer(handle)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	c, err := proxmox.New(proxmox.Options{
		Endpoints: append(before, server.URL), Token: token(),
		Transport: proxmox.NewTransport(proxmox.TLS{Fingerprints: map[string]proxmox.Fingerprint{host: proxmox.FingerprintOf(server.Certificate())}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// closedPort is a URL at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "https://" + l.Addr().String()
}

var (
	uploadPath = proxmox.Join("nodes", "pve1", "storage", "local", "upload")
	uploadUPID = "UPID:pve1:00000001:00000001:60000000:imgcopy::root@pam:"
	fields     = []proxmox.Field{{Name: "content", Value: "iso"}, {Name: "checksum-algorithm", Value: "md5"}, {Name: "checksum", Value: "00"}}
)

// A file is streamed with its length, after its parameters in their order.
func TestUpload(t *testing.T) {
	const size = 3 << 20
	var got, kind string
	var length int64
	c := newServer(t, func(w http.ResponseWriter, req *http.Request) {
		kind, length = req.Header.Get("Content-Type"), req.ContentLength
		_, options, err := mime.ParseMediaType(kind)
		if err != nil || req.TransferEncoding != nil || req.Header.Get("Authorization") == "" {
			t.Errorf("%q %v %v", kind, req.TransferEncoding, err)
		}
		form := multipart.NewReader(req.Body, options["boundary"])
		for {
			part, err := form.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Error(err)
				return
			}
			data, err := io.ReadAll(part)
			if err != nil {
				t.Error(err)
			}
			got += fmt.Sprintf("%s %s %d; ", part.FormName(), part.FileName(), len(data))
		}
		fmt.Fprintf(w, `{"data":%q}`, uploadUPID)
	}, closedPort(t))
	ans, err := c.Upload(t.Context(), uploadPath, proxmox.File{Name: "a b.iso", Size: size, Body: iotest.HalfReader(bytes.NewReader(make([]byte, size)))}, fields...)
	if err != nil {
		t.Fatal(err)
	}
	upid, err := ans.Task()
	if err != nil || upid.Type != "imgcopy" {
		t.Errorf("%v %v", upid, err)
	}
	if want := fmt.Sprintf("content  3; checksum-algorithm  3; checksum  2; filename a b.iso %d; ", size); got != want || length < size {
		t.Errorf("%s, %d bytes; want %s", got, length, want)
	}
}

// A file that is not as long as was announced, or cannot be read, is not stored, and the
// error says so.
func TestUploadsThatEndEarly(t *testing.T) {
	stored := make(chan bool, 9)
	c := newServer(t, func(w http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err == nil {
			stored <- true
		}
	})
	broken := errors.New("the disk is broken")
	for name, body := range map[string]io.Reader{
		"too short":  strings.NewReader("123456789"),
		"too long":   strings.NewReader("12345678901"),
		"unreadable": io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(broken)),
	} {
		_, err := c.Upload(t.Context(), uploadPath, proxmox.File{Name: "a.iso", Size: 10, Body: body}, fields...)
		var ended *proxmox.UploadError
		if !errors.As(err, &ended) || proxmox.OutcomeUnknown(err) || name == "unreadable" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(stored) > 0 {
		t.Error("the server had a whole request")
	}
}

// Whether a file was stored is unknown if all of it was sent and no answer came, and it is not
// sent again. A refusal is one, also before all of it was sent.
func TestUploadsWithoutAnAnswer(t *testing.T) {
	requests := 0
	c := newServer(t, func(w http.ResponseWriter, req *http.Request) {
		requests++
		_, _ = io.Copy(io.Discard, req.Body)
		panic(http.ErrAbortHandler)
	})
	_, err := c.Upload(t.Context(), uploadPath, proxmox.File{Name: "a.iso", Size: 2, Body: strings.NewReader("12")}, fields...)
	if !proxmox.OutcomeUnknown(err) || requests != 1 {
		t.Errorf("%v after %d requests", err, requests)
	}
	c = newServer(t, func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 403 Permission check failed (/storage/local, Datastore.AllocateTemplate)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	_, err = c.Upload(t.Context(), uploadPath, proxmox.File{Name: "a.iso", Size: 1, Body: strings.NewReader("1")}, fields...)
	if !proxmox.IsDenied(err) {
		t.Errorf("%v", err)
	}
}

func TestDownload(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	c := newServer(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Query().Get("filepath") {
		case "whole":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(content)
		case "cut":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:5000])
			panic(http.ErrAbortHandler)
		case "json":
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			_, _ = io.WriteString(w, `{"data":[]}`)
		default:
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"data":null,"errors":{"filepath":"no such file"}}`)
		}
	}, closedPort(t))
	get := func(file string) ([]byte, error) {
		d, err := c.Download(t.Context(), proxmox.Join("nodes", "pve1", "storage", "pbs", "file-restore", "download"), url.Values{"filepath": {file}})
		if err != nil {
			return nil, err
		}
		defer func() { _ = d.Close() }()
		return io.ReadAll(d)
	}
	if data, err := get("whole"); err != nil || !bytes.Equal(data, content) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	var lost *proxmox.LostError
	if data, err := get("cut"); !errors.As(err, &lost) || len(data) != 5000 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	var refused *proxmox.Error
	if _, err := get("none"); !errors.As(err, &refused) || refused.Params["filepath"] == "" {
		t.Errorf("%v", err)
	}
	if _, err := get("json"); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("%v", err)
	}
}

// accept makes a websocket of a request, and returns what its frames are read from and its
// answers are written to.
func accept(t *testing.T, w http.ResponseWriter, req *http.Request) *bufio.ReadWriter {
	t.Helper()
	if req.Header.Get("Sec-WebSocket-Protocol") != "binary" || req.Header.Get("Sec-WebSocket-Extensions") != "" || req.Header.Get("Authorization") == "" {
		t.Errorf("%v", req.Header)
	}
	_, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: binary\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_ = rw.Flush()
	return rw
}

// readFrame reads a frame as PVE's server does: it has to be whole, masked, of bytes, and not
// too long.
func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x82 || head[1]&0x80 == 0 {
		return nil, fmt.Errorf("a frame that begins with %x", head)
	}
	size := uint64(head[1] & 0x7f)
	if size >= 126 {
		more := make([]byte, 2+6*(size-126))
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, err
		}
		size = binary.BigEndian.Uint64(append(make([]byte, 8-len(more)), more...))
	}
	if size > 128<<10 {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	masked := make([]byte, 4+size)
	_, err := io.ReadFull(r, masked)
	data := masked[4:]
	for i := range data {
		data[i] ^= masked[i%4]
	}
	return data, err
}

// frame is one of a server: of bytes, without a mask.
func frame(data []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(len(data))), data...)
}

var consolePath = proxmox.Join("nodes", "pve1", "qemu", "100", "vncwebsocket")

// echo sends back what comes, until the other side goes away.
func echo(t *testing.T, rw *bufio.ReadWriter) {
	for {
		data, err := readFrame(rw)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			return
		}
		_, _ = rw.Write(frame(data))
		if rw.Flush() != nil {
			return
		}
	}
}

// What is written to a console comes whole in frames that PVE takes, and consoles that stay
// open take no connection from other requests.
func TestWebsocket(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/vncwebsocket") {
			_, _ = io.WriteString(w, `{"data":{}}`)
			return
		}
		if req.URL.Query().Get("vncticket") != "PVEVNC:a+b=" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		echo(t, accept(t, w, req))
	}).Sticky()
	if _, err := c.Websocket(t.Context(), consolePath, url.Values{"port": {"5900"}, "vncticket": {"no"}}); err == nil || strings.Contains(err.Error(), "vncticket") {
		t.Errorf("%v", err)
	}
	for range 6 {
		s, err := c.Websocket(t.Context(), consolePath, url.Values{"port": {"5900"}, "vncticket": {"PVEVNC:a+b="}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		sent := bytes.Repeat([]byte("abcdefgh"), 50_000)
		written := make(chan error, 1)
		go func() { written <- s.Write(t.Context(), sent) }()
		var got []byte
		for len(got) < len(sent) {
			data, err := s.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, data...)
		}
		if err := <-written; err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Do(ctx, http.MethodGet, proxmox.Join("version"), nil); err != nil {
		t.Errorf("beside six consoles: %v", err)
	}
}

// A console that ends says so, and one is not opened at a node that has not offered it.
func TestWebsocketEnds(t *testing.T) {
	c := newServer(t, func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/vncwebsocket") {
			_, _ = io.WriteString(w, `{"data":{}}`)
			return
		}
		rw := accept(t, w, req)
		_, _ = rw.Write(append(frame([]byte("bye")), 0x88, 2, 3, 0xe8))
		_ = rw.Flush()
	}, closedPort(t))
	if _, err := c.Websocket(t.Context(), consolePath, nil); err == nil || !strings.Contains(err.Error(), "Sticky") {
		t.Errorf("%v", err)
	}
	one := c.Sticky()
	if _, err := one.Do(t.Context(), http.MethodPost, proxmox.Join("nodes", "pve1", "qemu", "100", "vncproxy"), nil); err != nil {
		t.Fatal(err)
	}
	s, err := one.Websocket(t.Context(), consolePath, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if data, err := s.Read(t.Context()); err != nil || string(data) != "bye" {
		t.Errorf("%q %v", data, err)
	}
	if _, err := s.Read(t.Context()); err != io.EOF {
		t.Errorf("%v", err)
	}
}
