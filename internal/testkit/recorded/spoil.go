package recorded

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// odd are values that stand where PVE would write others: of another kind, out of
// range, or what Perl writes for a number that is none.
var odd = []string{
	`null`, `true`, `false`, `0`, `-1`, `1e308`, `-1e308`, `1e999`, `0.5`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `1e15`, `-1e15`,
	`""`, `" "`, `"nan"`, `"NaN"`, `"inf"`, `"-Infinity"`, `"x"`, `"-1"`, `"1e308"`, `"99999999999999999999"`, `"0x1p-2"`, `"\u0000"`, `"\ud800"`, `"é\u2028\u202e"`,
	`":"`, `"/"`, `","`, `"="`, `"a=,b="`, `"UPID:"`, `"UPID:pve1:00001234:0000ABCD:65000000:qmstart:100:root@pam:"`, `"local:"`, `"/../.."`,
	`[]`, `{}`, `[null]`, `[[]]`, `[{}]`, `{"":""}`, `{"data":null}`, `["nan"]`, `[1,"x",null,{}]`,
}

// Spoil returns JSON that differs from data, which is JSON as well, in a few places.
func Spoil(rng *rand.Rand, data []byte) []byte {
	var tree any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&tree) != nil {
		return data
	}
	for range 1 + rng.IntN(4) {
		tree = spoil(rng, tree)
	}
	out, err := json.Marshal(tree)
	if err != nil {
		return data
	}
	return out
}

// spoil changes one place in a tree, at most so deep as it goes.
func spoil(rng *rand.Rand, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 && rng.IntN(12) > 0 {
			key := pick(rng, slices.Sorted(maps.Keys(v)))
			if rng.IntN(8) == 0 {
				delete(v, key)
			} else {
				v[key] = spoil(rng, v[key])
			}
			return v
		}
	case []any:
		if len(v) > 0 && rng.IntN(12) > 0 {
			i := rng.IntN(len(v))
			switch rng.IntN(12) {
			case 0:
				return slices.Delete(v, i, i+1)
			case 1:
				return append(v, v[i])
			case 2:
				return v[:0]
			}
			v[i] = spoil(rng, v[i])
			return v
		}
	case string:
		switch rng.IntN(4) {
		case 0:
			return v[:rng.IntN(len(v)+1)]
		case 1:
			return strings.Repeat(v, 3)
		case 2:
			i := rng.IntN(len(v) + 1)
			return v[:i] + pick(rng, []string{",", "=", ":", "/", "\n", "\x00", "9", "-", "🙂"}) + v[i:]
		}
	}
	return json.RawMessage(pick(rng, odd))
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// Spoiled is a transport whose successes are spoiled, one in Every. The same request is
// answered in the same way.
type Spoiled struct {
	http.RoundTripper
	Seed  uint64
	Every int
}

// RoundTrip spoils an answer.
func (s Spoiled) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(req.Method + " " + req.URL.RequestURI()))
	rng := rand.New(rand.NewPCG(s.Seed, h.Sum64()))
	if rng.IntN(s.Every) > 0 {
		return resp, nil
	}
	data, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	data = Spoil(rng, data)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	resp.Header.Del("Content-Length")
	return resp, nil
}
