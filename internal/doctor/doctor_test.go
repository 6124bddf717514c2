package doctor_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/doctor"
)

// Every field of the report is documented.
func TestReportIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[doctor.Report](), reflect.TypeFor[doctor.Given](), reflect.TypeFor[doctor.Check](),
		reflect.TypeFor[doctor.Tool](), reflect.TypeFor[doctor.Missing](),
	} {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Type.Kind() == reflect.Slice {
				name += "[]"
			}
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/doctor.md does not explain %s of %v", name, typ)
			}
		}
	}
}

// A line for a terminal has colors and the same columns.
func TestColumns(t *testing.T) {
	hosts := []string{"https://a:8006", "https://pve2.example.org:8006"}
	var plain, colored strings.Builder
	for w, p := range map[*strings.Builder]doctor.Printer{
		&plain: {W: &plain, Hosts: hosts}, &colored: {W: &colored, Hosts: hosts, Color: true},
	} {
		p.Check(doctor.Check{Name: "tls", Host: hosts[0], Status: doctor.NotChecked, Text: "one\ntwo", Remedy: "three"})
		w.WriteString(".")
	}
	want := "tls         https://a:8006                 not checked  one\n            two\n            -> three\n."
	if plain.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", plain.String(), want)
	}
	if got := strings.NewReplacer("\x1b[2m", "", "\x1b[0m", "").Replace(colored.String()); got != want || got == colored.String() {
		t.Errorf("colored: %q", colored.String())
	}
}
