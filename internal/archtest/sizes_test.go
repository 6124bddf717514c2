package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"testing"
)

const (
	maxFile = 400 // lines
	maxFunc = 70
)

// Files and functions are short enough to be read at once, those of tests as well. Rows of
// a table do not count: a literal with parts, as long as it has no functions in it.
func TestSizes(t *testing.T) {
	pkgs, set, root := load(t)
	for _, p := range pkgs {
		for name, file := range p.files {
			if lines := set.File(file.Pos()).LineCount(); lines > maxFile {
				t.Errorf("%s has %d lines, over %d: is it one idea?", path.Join(p.dir, name), lines, maxFile)
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
					if n := linesOf(set, f) - tableLines(set, f.Body); n > maxFunc {
						t.Errorf("%s: %s has %d lines, over %d", where(set, root, f.Pos()), f.Name.Name, n, maxFunc)
					}
				}
			}
		}
	}
}

func linesOf(set *token.FileSet, n ast.Node) int {
	return set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1
}

// tableLines counts the lines of a function between the braces of literals that are data.
func tableLines(set *token.FileSet, body ast.Node) (lines int) {
	ast.Inspect(body, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if ok && !hasCode(literal) {
			lines += max(linesOf(set, literal)-2, 0)
			return false
		}
		return true
	})
	return lines
}

// hasCode reports whether a literal has functions in it.
func hasCode(literal *ast.CompositeLit) (found bool) {
	ast.Inspect(literal, func(n ast.Node) bool {
		_, is := n.(*ast.FuncLit)
		found = found || is
		return !found
	})
	return found
}
