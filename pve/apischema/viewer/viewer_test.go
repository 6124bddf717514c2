package viewer_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve/apischema/viewer"
)

const script = `
const apiSchema = [
  {"path": "/things", "children": [{"path": "/things/{thing}", "info": {"PUT": {
    "description": "Change a thing.", "parameters": {"properties": {
      "thing": {"type": "string", "description": "Its name."}, "form": {"type": "string", "enum": null}
    }}}}}],
   "info": {"GET": {"description": "All things."}}}
];
Ext.onReady(function() {});
`

// A node's words are kept, and an enumeration that it leaves open is none.
func TestRead(t *testing.T) {
	d, err := viewer.Read([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]viewer.Text{
		"GET /things":         {Endpoint: "All things.", Params: map[string]string{}},
		"PUT /things/{thing}": {Endpoint: "Change a thing.", Params: map[string]string{"thing": "Its name."}},
	}
	if diff := cmp.Diff(want, d.Texts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if form := d.Endpoints[1].Params["form"]; form == nil || form.Enum != nil {
		t.Errorf("form is %+v", form)
	}
}

// What a node may send by mistake is an error, never a panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte(script))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = viewer.Read(data) })
}
