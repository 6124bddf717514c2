// Package process starts an MCP server on stdin and stdout, as a client does, and measures
// how long it takes to answer, and its memory then.
package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The requests of a client, in the order in which it sends them.
const (
	Initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}`
	ListTools = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
)

// Sample is one start of a program.
type Sample struct {
	Took time.Duration // from exec until the last request was answered
	// Resident and Private are the memory in KiB: all of it, and the part that no file holds.
	// They are 0 on a system that is not Linux.
	Resident, Private float64
}

// Start runs a program in a folder, with settings such as PVE_MCP_TOOLSETS=all, until it has
// answered the requests, one after the other.
func Start(ctx context.Context, program, dir string, requests []string, settings ...string) (s Sample, err error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = dir
	cmd.Env = append([]string{"PVE_HOST=https://127.0.0.1:1", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET=00000000-0000-4000-8000-000000000000"}, settings...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return s, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	answers := bufio.NewReader(out)
	for _, request := range requests {
		_, err := io.WriteString(in, request+"\n")
		if line, read := answers.ReadString('\n'); err != nil || read != nil || !strings.Contains(line, `"result"`) {
			return s, fmt.Errorf("%s: %v %v: %s", program, err, read, line)
		}
	}
	s.Took = time.Since(begun)
	if table, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", cmd.Process.Pid)); err == nil {
		s.Resident, s.Private = kib(string(table), "Rss:"), kib(string(table), "Anonymous:")
	}
	if err := in.Close(); err != nil {
		return s, err
	}
	return s, cmd.Wait()
}

// Median returns the median and its interval of 95 %, which supposes nothing of how the
// values are distributed: the number of values below the median is binomial.
func Median(values []float64) (low, middle, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	n := float64(len(sorted))
	half := 1.96 * math.Sqrt(n) / 2
	at := func(rank float64) float64 { return sorted[min(max(int(rank), 0), len(sorted)-1)] }
	return at(math.Floor(n/2-half) - 1), (at((n-1)/2) + at(n/2)) / 2, at(math.Ceil(n/2 + half))
}

// kib is a line of the kernel's table of a process's memory, 0 if it has none.
func kib(table, name string) float64 {
	_, rest, _ := strings.Cut(table, name)
	n, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return n
}
