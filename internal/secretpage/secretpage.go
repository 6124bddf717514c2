// Package secretpage asks a person for secrets on a page in the browser of this machine, so
// that they pass through no client and no model.
//
// A page listens on a loopback address, at a path that nobody can guess. It takes one answer, in
// the body of a POST that its own form has sent, and is gone after that, or after a time.
package secretpage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Page is a page that waits for one answer.
type Page struct {
	about  string
	names  []string
	host   string
	path   string
	proof  string // which only the form of this page has
	server *http.Server
	answer chan map[string]string
	end    context.CancelFunc

	mu   sync.Mutex
	done bool // guarded by mu; it takes no answer any more
}

const (
	headerTime = 10 * time.Second
	bodyTime   = 30 * time.Second
	mostBytes  = 64 << 10
)

// ErrGone means that the page is gone, and no answer has come.
var ErrGone = errors.New("nothing was typed in time")

// Open shows a page that asks for secrets, by their names. about says which request they are
// for. The page is gone after some time.
func Open(about string, names []string, lasts time.Duration) (*Page, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no page can be shown: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	p := &Page{
		about: about, names: names, host: listener.Addr().String(), path: "/" + rand.Text(), proof: rand.Text(),
		answer: make(chan map[string]string, 1), end: cancel,
	}
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: bodyTime, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = p.server.Serve(listener) }()
	context.AfterFunc(ctx, func() {
		closing, done := context.WithTimeout(context.Background(), time.Second) // for the last answer
		defer done()
		if p.server.Shutdown(closing) != nil {
			_ = p.server.Close()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.done = true
		close(p.answer)
	})
	return p, nil
}

// URL is where the page is.
func (p *Page) URL() string { return "http://" + p.host + p.path }

// Wait returns what was typed, by name.
func (p *Page) Wait(ctx context.Context) (map[string]string, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case typed, ok := <-p.answer:
		if !ok {
			return nil, ErrGone
		}
		return typed, nil
	}
}

// Close removes the page.
func (p *Page) Close() { p.end() }

func (p *Page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Host != p.host: // a name that somebody has let point here
		http.Error(w, "not here", http.StatusMisdirectedRequest)
	case r.URL.Path != p.path || r.URL.RawQuery != "":
		http.NotFound(w, r)
	case r.Method == http.MethodGet:
		p.show(w)
	case r.Method == http.MethodPost:
		p.take(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "only GET and POST", http.StatusMethodNotAllowed)
	}
}

func (p *Page) show(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, p.form())
}

// take takes the answer, if the form of this page has sent it.
func (p *Page) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
	if err != nil {
		http.Error(w, "too much, or not all of it came", http.StatusBadRequest)
		return
	}
	values, err := url.ParseQuery(string(body))
	origin := r.Header.Get("Origin")
	if err != nil || values.Get("proof") != p.proof || origin != "" && origin != "http://"+p.host {
		http.Error(w, "this is not from the form", http.StatusForbidden)
		return
	}
	typed := map[string]string{}
	for _, name := range p.names {
		if typed[name] = values.Get("secret-" + name); typed[name] == "" {
			http.Error(w, name+" is empty: go back, and type it", http.StatusBadRequest)
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		http.Error(w, "it was answered already", http.StatusGone)
		return
	}
	p.done = true
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Thank you. You can close this page; the assistant does not see what you typed.\n")
	p.answer <- typed
	p.end()
}
