package toolset_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// odd makes the call of an example where PVE's answers are of an unexpected form: it may fail,
// but meets no bug. One answer in every is spoiled.
func odd(t *testing.T, c example, seed uint64, every int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{
			Token: "root@pam!full", Policy: policy.Policy{Exec: true},
			Wire: func(next http.RoundTripper) http.RoundTripper {
				return recorded.Spoiled{RoundTripper: next, Seed: seed, Every: every}
			},
		})
		a := w.Run(c.tool, c.arguments)
		if strings.Contains(a.Text, "bug in pve-mcp") {
			t.Errorf("%s %s, seed %d, every %d: %s", c.tool.Name, c.arguments, seed, every, a.Text)
		}
	})
}

// example is a call of a tool.
type example struct {
	tool      tool.Tool
	arguments string
}

// examples are the calls of every tool that need nothing that happened before.
func examples(t *testing.T) (calls []example) {
	t.Helper()
	for _, tl := range toolset.All() {
		for _, e := range tl.Examples {
			if !e.Works(sim.Cluster().PVE) {
				continue
			}
			if slices.ContainsFunc(e.Given, func(g tool.Given) bool { return g.ByAnother }) {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				calls = append(calls, example{tl, sim.New(t, sim.Options{Token: "root@pam!full"}).Arguments(e)})
			})
		}
	}
	return calls
}

// No tool meets a bug in what PVE answers, whatever that is.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range examples(t) {
		t.Run(fmt.Sprint(c.tool.Name, c.arguments), func(t *testing.T) {
			for seed := range effort.Of[uint64](1, 8, 1000) {
				odd(t, c, seed, 1+int(seed%4))
			}
		})
	}
}

func FuzzOddAnswers(f *testing.F) {
	for i := range effort.Of(4, 64, 64) {
		f.Add(uint64(i), uint16(i), uint8(i))
	}
	var calls []example
	f.Fuzz(func(t *testing.T, seed uint64, which uint16, every uint8) {
		if calls == nil {
			calls = examples(t)
		}
		odd(t, calls[int(which)%len(calls)], seed, 1+int(every%8))
	})
}

// numbers writes other numbers into all answers, as strings and as they are.
type numbers struct {
	http.RoundTripper
	number string
}

var numberRE = regexp.MustCompile(`":"?-?[0-9][0-9.e+]*"?([,}\]])|"[0-9]+\.[0-9]+"([,\]])`)

func (n numbers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	data = numberRE.ReplaceAllFunc(data, func(found []byte) []byte {
		end := found[len(found)-1:]
		if found[1] == ':' {
			return slices.Concat([]byte(`":`+n.number), end)
		}
		return slices.Concat([]byte(n.number), end)
	})
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return resp, nil
}

// Where every number is none, or far too large, nothing breaks and nothing is made up.
func TestOddNumbers(t *testing.T) {
	t.Parallel()
	effort.SkipShort(t)
	calls := examples(t)
	for _, number := range []string{`"nan"`, `"inf"`, `"-Infinity"`, `-1`, `1e308`, `-1e308`, `"9223372036854775807"`, `9223372036854775808`, `1e999`, `""`, `null`, `[]`, `{}`} {
		for _, c := range calls {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{
					Token: "root@pam!full", Policy: policy.Policy{Exec: true},
					Wire: func(next http.RoundTripper) http.RoundTripper { return numbers{next, number} },
				})
				a := w.Run(c.tool, c.arguments)
				if strings.Contains(a.Text, "bug in pve-mcp") || strings.Contains(a.Text, "NaN") || strings.Contains(a.Text, "Inf ") {
					t.Errorf("%s %s, with %s: %s", c.tool.Name, c.arguments, number, a.Text)
				}
			})
		}
	}
}
