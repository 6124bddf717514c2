package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const maxWords = 40 // of a sentence

// proseRules are the rules of style that a pattern can hold, tried on each sentence. Each
// says why, and how to write it instead.
var proseRules = []struct {
	pattern *regexp.Regexp
	advice  string
}{
	{regexp.MustCompile(`(?i)\bwho(m|so)?ever\b`), `old-fashioned: "anyone who can log in", "the process that writes"`},
	{regexp.MustCompile(`(?i)\b(is|are|was|were|be|being|been) told\b`), `who tells whom? "the answer says that it failed", "it is unknown whether it runs"`},
	{regexp.MustCompile(`(?i)\b(stands?|stood|standing) in\b`), `a file does not stand: "pvesim replaces a cluster", "the token is in a file"`},
	{regexp.MustCompile(`(?i)\b(stands?|stood|standing) for\b`), `name the relation: "represents a task", "is short for"`},
	{regexp.MustCompile(`(?i)\bseldom\b`), `"rarely", or better how often: "once an hour"`},
	{regexp.MustCompile(`(?i)\b(thereof|therein|thereby|wherein|whereby|whereof|hence|lest|nought)\b`), `legal English: name the thing, "if", "because", "so"`},
	{regexp.MustCompile(`(?i)\bof which\b.*\bwhich\b`), `two relative clauses, one in the other: make it two sentences`},
	{regexp.MustCompile(`(?i)\bso that\b.*\bso that\b`), `two purposes in one sentence: make it two sentences`},
	{regexp.MustCompile(`(?i)\bwhere there (is|are)\b`), `a condition: "if there is a digest"; "where" is for places`},
	{regexp.MustCompile(`(""|\bnil|\bnone) where\b`), `a condition: "nil if there is no answer"; "where" is for places`},
	{regexp.MustCompile(`(?i)\b(nothing|none|nobody|all) but\b`), `reads as its opposite at first: "only GET leaves the process", "all except the last"`},
	{regexp.MustCompile(`(?i)\b(but|save) for\b`), `"except", "apart from"`},
	{regexp.MustCompile(`(?i)\b(to be had|in vain|all else|needs not|is meant for)\b`), `"available", "does not help", "everything else", "need not", "is for"`},
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), `software is fixed or corrected: "Fixed a leak"`},
	{regexp.MustCompile(`^Who\b[^?]*\.$`), `no question, so "Anyone who", "A caller that": "A caller without a token gets 401."`},
	{regexp.MustCompile(`(^|[\s"(=])` + regexp.QuoteMeta(checkoutFolder()) + `/`), `a path of one machine: name a file below the repository, or an example such as /etc/pve-mcp`},
	{regexp.MustCompile(`(?i)\b(issue|pull request|PR) #?\d+\b`), `a page that may vanish: say the reason itself`},
}

// checkoutFolder is the folder at the top of this machine below which the repository is, or
// the repository itself if every system has that folder.
func checkoutFolder() string {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "../.."
	}
	root = filepath.ToSlash(root)
	top, _, _ := strings.Cut(strings.TrimPrefix(root, "/"), "/")
	if slices.Contains([]string{"home", "mnt", "opt", "root", "srv", "tmp", "usr", "var", "Users"}, top) {
		return root
	}
	return "/" + top
}

// passage is a text of a file and the line at which it begins.
type passage struct {
	file string // below the module
	line int
	text string
}

// Comments, pages, descriptions and messages follow the rules of style that a pattern can hold.
func TestProse(t *testing.T) {
	for _, p := range passages(t) {
		for _, sentence := range sentences(p.text) {
			for _, advice := range faultsOf(sentence) {
				t.Errorf("%s:%d: %q: %s", p.file, p.line, sentence, advice)
			}
		}
	}
}

// Each rule finds what it is about, and lets its own advice pass.
func TestProseRulesFind(t *testing.T) {
	for _, tt := range []struct{ text, finds string }{
		{"Whoever can log in.", "old-fashioned"},
		{"A client is told of it.", "who tells whom"},
		{"It stands in for a cluster.", "does not stand"},
		{"A star stands for all.", "name the relation"},
		{"This is seldom.", "how often"},
		{"Nothing but GET leaves\nthe process.", "opposite"},
		{"Who shows no token is held to a rate.", "no question"},
		{"It waits so that one ends, so that the next begins.", "two purposes"},
		{"See issue #12.", "may vanish"},
		{"It is in " + checkoutFolder() + "/notes.", "one machine"},
		{strings.Repeat("word ", maxWords+1) + "end.", "words"},
		{"Who may do this?", ""},
		{"\n\t\t" + strings.Repeat("GET /nodes/pve/config?a=b => null\n\t\t", maxWords) + "GET /nodes => none but this one.", ""},
		{"Fixed a leak. A caller without a token gets 401.", ""},
		{strings.Repeat("word ", maxWords-1) + "end. " + strings.Repeat("word ", maxWords-1) + "end.", ""},
	} {
		var found []string
		for _, s := range sentences(tt.text) {
			found = append(found, faultsOf(s)...)
		}
		if all := strings.Join(found, "; "); tt.finds == "" && all != "" || !strings.Contains(all, tt.finds) {
			t.Errorf("%q: found %q, want %q", tt.text, all, tt.finds)
		}
	}
}

func faultsOf(sentence string) (advice []string) {
	for _, rule := range proseRules {
		if rule.pattern.MatchString(sentence) {
			advice = append(advice, rule.advice)
		}
	}
	isSentence := strings.HasSuffix(strings.TrimRight(sentence, `")*`), ".") // and no list of words
	if n := len(strings.Fields(sentence)); isSentence && n > maxWords {
		advice = append(advice, strconv.Itoa(n)+" words, more than "+strconv.Itoa(maxWords)+": make it two sentences, or a list")
	}
	return advice
}

// request is a line of a script of requests: each is followed by what it is answered,
// mostly in PVE's own words. Without punctuation, many lines would read as one sentence.
const request = `^[ \t]*[A-Z]+ /\S+ +=> .*$`

var (
	notSentence = regexp.MustCompile("(?m)^(\t| {4,})\\S.*$|^ *\\|[ |:-]*$|" + request)  // code, the rule of a table
	breaks      = regexp.MustCompile(`\n\s*\n|\n\s*(?:[-*]|\d+\.) |\n#+ |\n?\|`)         // paragraphs, items, headings, cells
	sentenceEnd = regexp.MustCompile(`([.!?][")*]*|:)\s+`)                               // with what closes a quotation
	codeSpan    = regexp.MustCompile("`[^`\n]*`")                                        // one word, however long
	fenced      = regexp.MustCompile("(?ms)^ *```.*?^ *```$|^<!--.*?-->$|^---$.*?^---$") // code, marks, front matter
)

// sentences splits a text. A clause behind a colon counts by itself.
func sentences(text string) (out []string) {
	text = notSentence.ReplaceAllString(text, "\n")
	for _, paragraph := range breaks.Split(text, -1) {
		paragraph = codeSpan.ReplaceAllString(paragraph, "CODE")
		paragraph = sentenceEnd.ReplaceAllString(strings.Join(strings.Fields(paragraph), " "), "$1\n")
		for sentence := range strings.Lines(paragraph) {
			out = append(out, strings.TrimSpace(sentence))
		}
	}
	return out
}

// passages are all comments, strings and pages of the repository, those of modules of their
// own as well. Strings that Go code joins are one passage.
func passages(t *testing.T) (out []passage) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		if err == nil && d.IsDir() && (strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "node_modules", "bin", "dist"}, name)) {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch path.Ext(name) {
		case ".go":
			more, err := goPassages(file, rel)
			out = append(out, more...)
			return err
		case ".md":
			data, err := os.ReadFile(file)
			out = append(out, pagePassages(rel, string(data))...)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pagePassages are the paragraphs of a page in Markdown, without its code.
func pagePassages(file, text string) (out []passage) {
	text = fenced.ReplaceAllStringFunc(text, func(code string) string { return strings.Repeat("\n", strings.Count(code, "\n")) })
	line := 1
	for paragraph := range strings.SplitAfterSeq(text, "\n\n") {
		out = append(out, passage{file, line, paragraph})
		line += strings.Count(paragraph, "\n")
	}
	return out
}

func goPassages(name, rel string) (out []passage, err error) {
	if rel == "internal/archtest/prose_test.go" {
		return nil, nil // quotes what it forbids
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	add := func(at token.Pos, text string) { out = append(out, passage{rel, set.Position(at).Line, text}) }
	for _, group := range file.Comments {
		add(group.Pos(), group.Text())
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			if n.Tag != nil {
				tag, _ := strconv.Unquote(n.Tag.Value)
				add(n.Tag.Pos(), reflect.StructTag(tag).Get("jsonschema"))
				_, isStruct := n.Type.(*ast.StructType)
				return isStruct
			}
		case *ast.BinaryExpr:
			if text, ok := joined(n); ok {
				add(n.Pos(), text)
				return false
			}
		case *ast.BasicLit:
			if text, ok := joined(n); ok {
				add(n.Pos(), text)
			}
		}
		return true
	})
	return out, nil
}

// joined is the text of a string, or of several with + between them.
func joined(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil && x.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok := joined(x.X)
		right, also := joined(x.Y)
		return left + right, ok && also && x.Op == token.ADD
	}
	return "", false
}
