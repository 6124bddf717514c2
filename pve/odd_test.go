package pve

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// poke calls every method of v, and of what v is made of, that wants no arguments or
// only a kind of guest: none may panic. What can be encoded, encodes.
func poke(t *testing.T, v reflect.Value, depth int) {
	if !v.IsValid() || depth > 6 {
		return
	}
	for i := range v.NumMethod() {
		typ := v.Type().Method(i).Type // of an interface, without a receiver: those are left out below
		switch {
		case v.Kind() == reflect.Interface:
		case typ.NumIn() == 1:
			v.Method(i).Call(nil)
		case typ.NumIn() == 2 && typ.In(1) == reflect.TypeFor[Kind]():
			for _, kind := range []Kind{QEMU, LXC} {
				for _, out := range v.Method(i).Call([]reflect.Value{reflect.ValueOf(kind)}) {
					poke(t, out, depth+1)
				}
			}
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			poke(t, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				poke(t, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			poke(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			poke(t, v.MapIndex(key), depth+1)
		}
	}
}

// odd decodes an answer, and tries everything that can be done with what comes of it.
func odd(t *testing.T, what string, call func(context.Context, *Client) (any, error), body []byte) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: %v: %.2000s", what, p, body)
		}
	}()
	row := recorded.Row{Status: http.StatusOK, Reason: "OK", Body: body}
	c, err := New(proxmox.Options{Endpoints: []string{"https://pve1:8006"}, Transport: &playback{row: row}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := call(t.Context(), c)
	if err != nil {
		return
	}
	poke(t, reflect.ValueOf(got), 0)
	if _, err := json.Marshal(got); err != nil {
		t.Errorf("%s: %v: %.2000s", what, err, body)
	}
}

// Whatever PVE answers is decoded or refused.
func TestOddAnswers(t *testing.T) {
	const rows, longest = 5, 20_000 // of each kind of answer; bytes
	seeds := effort.Of[uint64](2, 40, 1000)
	used, answers := map[int]int{}, 0
	for _, row := range recorded.Rows(t) {
		if row.Method != http.MethodGet || row.Status != http.StatusOK || len(row.Body) > longest {
			continue
		}
		for i, r := range reads {
			m := r.path.FindStringSubmatch(row.Path)
			if m == nil || used[i] == rows {
				continue
			}
			used[i]++
			synctest.Test(t, func(t *testing.T) { // some are asked for again after a while
				for seed := range seeds {
					answers++
					rng := rand.New(rand.NewPCG(seed, uint64(row.Line)))
					odd(t, fmt.Sprintf("%v, seed %d", row, seed), func(ctx context.Context, c *Client) (any, error) { return r.call(ctx, c, m) },
						recorded.Spoil(rng, row.Body))
				}
			})
		}
	}
	t.Logf("%d answers of an unexpected form", answers)
}
