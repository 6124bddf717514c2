package pve

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a row says of a resource is what the whole resource says when it is decoded, however
// odd its JSON.
func FuzzRows(f *testing.F) {
	const fields = `"id":"qemu/100","type":"qemu","vmid":100,"node":"pve1","status":"running","lock":"backup","name":"web","pool":"p","tags":"a;b","cpu":0.5,"mem":1,` +
		`"maxmem":2,"disk":"3","maxdisk":4e3,"uptime":5,"template":"1","hastate":"started","netin":6,"netout":"7.0"`
	seed(f, `[{`+fields+`}]`, `[{`+fields+`},null,{`+fields+`}]`, " [ { \"type\" :\t\"lxc\" ,\n\"vmid\" : \"101\" } , { } ] ", `[]`, `[null]`, `{}`, `[1]`, `["x"]`, `[[]]`, `5`,
		`[{"typ\u0065":"qemu","v\u006did":100,"n\u0061me":"w\u0065b","name":"\u00e9\"\\"}]`,
		`[{"vmid":100,"vmid":"x","vmid":null,"type":"qemu","type":5,"type":null}]`, `[{"vmid":99,"vmid":1e3,"vmid":"0100","vmid":"200"}]`,
		`[{"node":"a","node":null},{"node":"a","node":["b"]},{"node":["b"],"node":"a"},{"node":{"node":"x"}}]`,
		`[{"status":5,"lock":true,"name":-1.5e3,"pool":"","tags":[{"tags":"x"}],"node":false}]`, `[{"status":"stopped","lock":"suspended"},{"status":null},{"lock":"suspended"}]`,
		`[{"x":{"type":"lxc","vmid":300},"y":["}",{"name":"z"}],"type":"qemu"}]`, `[{"name":"é ü 漢"},{"name":"\ud800"},{"tags":"a, b;c"}]`,
		"[{\"name\":\"\xff\",\"na\xffme\":\"x\",\"node\":\"\x7f\"}]", `[{"type":"q\u0065mu","vmid":100},{"type":"","vmid":100},{"type":"node","node":"pve1"}]`)
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			return
		}
		var want []Resource
		rows, err := rowsIn([]byte(s))
		if wantErr := json.Unmarshal([]byte(s), &want); (err != nil) != (wantErr != nil) {
			if s = strings.TrimSpace(s); s == "null" { // an answer without data is refused before
				return
			}
			t.Fatalf("%s: %v, want %v", s, err, wantErr)
		}
		if err != nil {
			return
		}
		list := ResourceList{rows: rows}
		if diff := cmp.Diff(len(want), len(rows)); diff != "" {
			t.Fatalf("%s: %s", s, diff)
		}
		if all := list.Resources(); len(want) > 0 {
			if diff := cmp.Diff(want, all); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s, diff)
			}
		}
		i := 0
		for row := range list.Rows() {
			checkRow(t, s, row, want[i])
			i++
		}
	})
}

func checkRow(t *testing.T, s string, row *Row, want Resource) {
	t.Helper()
	got := []any{row.Type(), row.VMID(), row.Node(), row.Status(), row.Name(), row.Pool(), row.TagList(), row.IsGuest(), row.State()}
	if diff := cmp.Diff([]any{
		want.Type, want.VMID, want.Node.Value, want.Status.Value, want.Name.Value, want.Pool.Value, want.TagList(), want.IsGuest(), want.State(),
	}, got); diff != "" {
		t.Errorf("%s (-decoded +row):\n%s", s, diff)
	}
	if diff := cmp.Diff(Resource{
		Lock: want.Lock, HAState: want.HAState, Template: want.Template, Uptime: want.Uptime, CPU: want.CPU, Mem: want.Mem, MaxMem: want.MaxMem,
		Disk: want.Disk, MaxDisk: want.MaxDisk, NetIn: want.NetIn, NetOut: want.NetOut,
	}, row.Use()); diff != "" {
		t.Errorf("%s (-decoded +use):\n%s", s, diff)
	}
}

// Many may read a list at a time; a long one is decoded on all CPUs, in its order.
func TestManyRows(t *testing.T) {
	const n = 2_345
	var b strings.Builder
	for id := range n {
		b.WriteString(`,{"type":"lxc","name":"x","vmid":` + (MinVMID + VMID(id)).String() + `}`)
	}
	rows, err := rowsIn([]byte("[" + b.String()[1:] + "]"))
	if err != nil {
		t.Fatal(err)
	}
	list := ResourceList{rows: rows}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i, r := range list.Resources() {
				if r.VMID != MinVMID+VMID(i) || r.Type != "lxc" || r.Name.Value != "x" {
					t.Errorf("row %d: %+v", i, r)
				}
			}
			if row, ok := list.Guest(MinVMID + n - 1); !ok || row.VMID() != MinVMID+n-1 {
				t.Error("the last guest is not found")
			}
			if _, ok := list.Guest(MinVMID + n); ok {
				t.Error("a guest is found that there is not")
			}
		})
	}
	all.Wait()
}
