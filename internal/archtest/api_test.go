package archtest

import (
	"bytes"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files of exported names anew")

// public are the packages that others may import.
var public = []string{"lazyregexp", "proxmox", "proxmox/lenient", "pve", "pve/apischema", "pvesim"}

// The exported API changes only on purpose: a file for each package lists it.
func TestExportedAPI(t *testing.T) {
	for _, dir := range public {
		got := exportedAPI(t, filepath.Join("..", "..", filepath.FromSlash(dir)))
		file := filepath.Join("testdata", "api", strings.ReplaceAll(dir, "/", "_")+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(got) {
			if !strings.Contains("\n"+string(want), "\n"+line) {
				t.Errorf("%s has a new %sif that is meant: make generate", dir, line)
			}
		}
		for line := range strings.Lines(string(want)) {
			if !strings.Contains("\n"+got, "\n"+line) {
				t.Errorf("%s no longer has %sif that is meant: make generate, and say in CHANGELOG.md what others have to change", dir, line)
			}
		}
	}
}

// Each public package shows how it is used, by an example that runs.
func TestExamples(t *testing.T) {
	for _, dir := range public {
		names, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var files []*ast.File
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		runs := func(e *doc.Example) bool { return e.Output != "" || e.EmptyOutput }
		if !slices.ContainsFunc(doc.Examples(files...), runs) {
			t.Errorf("%s has no example with output: add one to its example_test.go", dir)
		}
	}
}

// exportedAPI lists what a package exports, a line each and sorted.
func exportedAPI(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no Go files: %v", dir, err)
	}
	var lines []string
	set := token.NewFileSet()
	for _, name := range files {
		if isTest(name) {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(file)
		for _, decl := range file.Decls {
			for _, node := range exportedParts(decl) {
				fields := fieldsOf(node)
				if len(fields) == 0 {
					fields = []ast.Node{node}
				}
				for _, part := range fields {
					lines = append(lines, oneLine(t, set, part))
				}
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// exportedParts are the declarations of a group one by one.
func exportedParts(decl ast.Decl) (out []ast.Node) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || ast.IsExported(receiverOf(d)) {
			return []ast.Node{&ast.FuncDecl{Recv: d.Recv, Name: d.Name, Type: d.Type}}
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT {
			return nil
		}
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && v.Type != nil {
				v.Values = nil
			}
			out = append(out, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}})
		}
	}
	return out
}

// fieldsOf returns a struct with one field for each field of a struct.
func fieldsOf(node ast.Node) (out []ast.Node) {
	group, ok := node.(*ast.GenDecl)
	if !ok {
		return nil
	}
	spec, ok := group.Specs[0].(*ast.TypeSpec)
	if !ok {
		return nil
	}
	typ, ok := spec.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	for _, field := range typ.Fields.List {
		alone := &ast.StructType{Fields: &ast.FieldList{List: []*ast.Field{{Names: field.Names, Type: field.Type, Tag: field.Tag}}}}
		out = append(out, &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{&ast.TypeSpec{Name: spec.Name, TypeParams: spec.TypeParams, Type: alone}}})
	}
	return out
}

// receiverOf is the name of the type that a method belongs to.
func receiverOf(d *ast.FuncDecl) string {
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// oneLine writes a declaration without line breaks.
func oneLine(t *testing.T, set *token.FileSet, node ast.Node) string {
	t.Helper()
	var b bytes.Buffer
	if err := printer.Fprint(&b, set, node); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for line := range strings.Lines(b.String()) {
		if words := strings.Fields(line); len(words) > 0 {
			parts = append(parts, strings.Join(words, " "))
		}
	}
	text := strings.Join(parts, "; ")
	return strings.NewReplacer("{; ", "{ ", "; }", " }", "(; ", "(", ",; )", ")").Replace(text)
}
