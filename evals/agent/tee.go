package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
)

// tee runs a server for the client at the other end of in and out, and records each line
// that passes.
func tee(record, server string, in io.Reader, out io.Writer) error {
	file, err := os.OpenFile(record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(server)
	cmd.Stderr = os.Stderr
	toServer, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	fromServer, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := &recorder{file: file}
	go func() {
		_ = r.pass(in, toServer) // the client's end is the server's
		_ = toServer.Close()
	}()
	passed := r.pass(fromServer, out)
	return errors.Join(passed, cmd.Wait(), file.Close())
}

// recorder writes lines of both directions to a file.
type recorder struct {
	mu   sync.Mutex
	file io.Writer
}

func (r *recorder) pass(from io.Reader, to io.Writer) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := errors.Join(r.write(line), send(to, line)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *recorder) write(line []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return send(r.file, line)
}

func send(to io.Writer, line []byte) error {
	_, err := to.Write(line)
	return err
}
