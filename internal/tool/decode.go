package tool

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// decoded is what became of the arguments of a call.
type decoded struct {
	kept  json.RawMessage // without what is in added
	added []string        // names of arguments that the client has added to the tool's
}

// decode reads arguments by their schema into in. It takes the slips that models
// make where the meaning is plain ("100" for 100, one value for a list of one, "" or 0
// for nothing) and refuses everything else in a sentence that names the argument.
// Integers stay exact to 64 bits. For the name of a guest, find finds its id.
func decode(s *jsonschema.Schema, args json.RawMessage, in any, find func(name string) (pve.VMID, error)) (decoded, error) {
	all, err := ParseArguments(args)
	if err != nil {
		return decoded{kept: args}, err
	}
	takes := argumentsOf(s, in)
	r := decoded{kept: args, added: withoutAdded(all, takes)}
	if r.added != nil {
		r.kept = exactjson.Encode(all)
	}
	given := maps.Clone(all)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a, ok := takes[name]
		if !ok {
			return r, unknownArgument(s, name)
		}
		if a.absent(all[name]) {
			delete(all, name)
			continue
		}
		if text, ok := all[name].(string); ok && a.named && strings.Trim(text, "0123456789 ") != "" {
			id, err := find(text)
			if err != nil {
				return r, err
			}
			all[name] = json.Number(id.String())
			if id == 0 { // any will do
				continue
			}
		}
		fixed, problem := a.fit(name, all[name])
		if problem != "" {
			return r, BadArgument(name, problem)
		}
		all[name] = fixed
		if _, isText := given[name].(string); isText && a.named { // a record has the id
			given[name] = fixed
			r.kept = exactjson.Encode(given)
		}
	}
	for _, name := range s.Required {
		if _, ok := all[name]; !ok {
			return r, invalid("The argument %q is missing; it takes %s.", name, describe(s.Properties[name]))
		}
	}
	for name, p := range s.Properties {
		if _, given := all[name]; !given && p.Default != nil {
			all[name] = p.Default
		}
	}
	return r, FillArguments(all, in)
}

// FillArguments sets the fields of in, a pointer to an input. A type that reads itself, such
// as a UPID, may refuse its argument.
func FillArguments(all map[string]any, in any) error {
	if json.Unmarshal(exactjson.Encode(all), in) == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := json.Unmarshal(exactjson.Encode(map[string]any{name: all[name]}), in); err != nil {
			return invalid("The argument %q: %s.", name, render.Text(err.Error(), 300))
		}
	}
	return invalid("The arguments do not fit together.")
}

// argumentError says what is wrong with the arguments of a call.
type argumentError struct{ explained explain.Explanation }

func (e *argumentError) Error() string { return e.explained.What }
func (e *argumentError) Unwrap() error { return &e.explained }

func invalid(format string, args ...any) error {
	return &argumentError{explain.Explanation{What: fmt.Sprintf(format, args...)}}
}

// BadArgument is the error of an argument that does not go with the others; problem
// completes the sentence, such as "is for containers only".
func BadArgument(name, problem string) error { return invalid("The argument %q %s.", name, problem) }

func unknownArgument(s *jsonschema.Schema, name string) error {
	names := s.PropertyOrder
	e := explain.Explanation{
		What: fmt.Sprintf("There is no argument %q.", render.Text(name, 60)),
		Next: "This tool takes " + cmp.Or(render.List(names), "none") + ".",
	}
	if near := nearest(name, names); near != "" {
		e.What = fmt.Sprintf("There is no argument %q; did you mean %q?", render.Text(name, 60), near)
	}
	return &argumentError{e}
}

// fit returns the value of an argument as the schema wants it, or what is wrong with it.
func (a argument) fit(name string, value any) (fixed any, problem string) {
	if value == "" {
		return nil, "is empty; it takes " + describe(a.schema)
	}
	if a.line != "" {
		if problem := a.refuseLine(name, value); problem != "" {
			return nil, problem
		}
	}
	return fit(a.schema, value)
}

// refuseLine says what is wrong with a line of words where a list of them is wanted:
// where it was to be split, nobody knows.
func (a argument) refuseLine(name string, value any) string {
	text, isText := value.(string)
	if list, ok := value.([]any); ok && len(list) == 1 {
		text, isText = list[0].(string)
		word, _, _ := strings.Cut(text, " ")
		isText = isText && !strings.ContainsAny(word, `/\:`) // a program's path may have spaces
	} else if isText {
		if _, isList := listIn(text); isList {
			return ""
		}
	}
	words := strings.Fields(text)
	if !isText || len(words) < 2 {
		return ""
	}
	if strings.ContainsAny(text, "\"'`\\$|&;<>*?(){}~#\n") {
		words = []string{"df", "-h"} // a shell would not split it just so
	}
	return fmt.Sprintf("is %s, a line, and takes a list with a word in each element, such as %s: %s; or give the line to a shell, as %s: %s",
		show(text), name, show(words), a.line, show(text))
}

// fit returns the value as the schema wants it, or what is wrong with it.
func fit(p *jsonschema.Schema, value any) (fixed any, problem string) {
	switch p.Type {
	case "array":
		return fitList(p, value)
	case "object":
		if text, ok := value.(string); ok { // written as text
			inner, err := exactjson.Decode([]byte(text))
			if err != nil {
				return nil, fmt.Sprintf("is %s, which is not an object: %v", show(text), err)
			}
			value = inner
		}
		if _, ok := value.(map[string]any); !ok {
			return nil, "is " + show(value) + ", which is not an object"
		}
		return value, ""
	case "integer", "number":
		return fitNumber(p, value)
	case "boolean":
		switch strings.ToLower(strings.TrimSpace(fmt.Sprint(value))) {
		case "true", "1":
			return true, ""
		case "false", "0":
			return false, ""
		}
		return nil, "is " + show(value) + ", which is neither true nor false"
	case "string":
		return fitText(p, value)
	}
	return value, ""
}

// listIn returns the list that is written as JSON in a text.
func listIn(text string) (list []any, ok bool) {
	value, err := exactjson.Decode([]byte(text))
	list, ok = value.([]any)
	return list, ok && err == nil
}

// fitList fits a list, which may be written as JSON in a text, or be its one element; of
// words that have no commas in them, several may be written in one text.
func fitList(p *jsonschema.Schema, value any) (fixed any, problem string) {
	list, ok := value.([]any)
	text, isText := value.(string)
	switch inner, isList := listIn(text); {
	case ok:
	case isText && isList:
		list = inner
	case isText && strings.HasPrefix(strings.TrimSpace(text), "["):
		return nil, "is " + show(text) + ", which begins like a list and is not JSON"
	case isText && p.Items.Enum != nil:
		for word := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(word))
		}
	default:
		list = []any{value}
	}
	for i, e := range list {
		if list[i], problem = fit(p.Items, e); problem != "" {
			return nil, fmt.Sprintf("has an element %d that %s", i+1, problem)
		}
	}
	return list, ""
}

func fitText(p *jsonschema.Schema, value any) (fixed any, problem string) {
	if n, ok := value.(json.Number); ok {
		value = n.String()
	}
	text, ok := value.(string)
	switch {
	case !ok:
		return nil, "is " + show(value) + ", which is not text"
	case p.Enum == nil || slices.Contains(p.Enum, any(text)):
		return text, ""
	}
	for _, word := range words(p.Enum) {
		if strings.EqualFold(word, strings.TrimSpace(text)) {
			return word, ""
		}
	}
	return nil, fitEnum(p, text)
}

func fitEnum(p *jsonschema.Schema, text string) string {
	problem := fmt.Sprintf("is %s, which is none of %s", show(text), render.List(words(p.Enum)))
	if meant, ok := synonyms[strings.ToLower(text)]; ok && slices.Contains(p.Enum, any(meant)) {
		problem += fmt.Sprintf(" (%q is what PVE calls it)", meant)
	}
	return problem
}

// synonyms are words for values that PVE calls otherwise. Nothing is guessed by how a word
// is spelt: the nearest one may be the opposite.
var synonyms = map[string]string{"restart": "reboot"}

func fitNumber(p *jsonschema.Schema, value any) (any, string) {
	text, isText := value.(string)
	if n, ok := value.(json.Number); ok {
		text = n.String()
	} else if !isText {
		return nil, "is " + show(value) + ", which is not a number"
	}
	text = strings.TrimSpace(text)
	n, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xXpP") {
		return nil, "is " + show(value) + ", which is not a number"
	}
	if p.Type == "integer" {
		if !n.IsInt() {
			return nil, "is " + show(value) + ", which is not a whole number"
		}
		text = n.Num().String()
		if !n.Num().IsInt64() {
			return nil, "is " + show(value) + ", which is too large"
		}
	}
	f, _ := n.Float64()
	if p.Minimum != nil && f < *p.Minimum || p.Maximum != nil && f > *p.Maximum {
		return nil, "is " + show(value) + ", which is not " + describe(p)
	}
	if p.Type == "number" {
		return f, ""
	}
	return json.Number(text), ""
}

// describe says what a schema takes.
func describe(p *jsonschema.Schema) string {
	switch {
	case p.Enum != nil:
		return "one of " + render.List(words(p.Enum))
	case p.Types != nil:
		return "the id or the name of a guest"
	case p.Type == "array":
		return "a list; each element is " + describe(p.Items)
	case p.Type == "boolean":
		return "true or false"
	case p.Type == "string":
		return "text"
	case p.Type == "object":
		return "an object"
	}
	what := map[string]string{"integer": "a whole number", "number": "a number"}[p.Type]
	switch {
	case p.Minimum != nil && p.Maximum != nil:
		return what + " from " + number(*p.Minimum) + " to " + number(*p.Maximum)
	case p.Minimum != nil:
		return what + " from " + number(*p.Minimum)
	case p.Maximum != nil:
		return what + " up to " + number(*p.Maximum)
	}
	return what
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func words(enum []any) []string {
	var out []string
	for _, e := range enum {
		out = append(out, fmt.Sprint(e))
	}
	return out
}

func show(value any) string { return render.Text(string(exactjson.Encode(value)), 60) }

// nearest returns the word that name may have been meant to be, or "".
func nearest(name string, words []string) string {
	best, least := "", 3 // more than two slips are another word
	for _, w := range words {
		if d := distance(strings.ToLower(name), strings.ToLower(w)); d < least && d < len(w) {
			best, least = w, d
		}
	}
	return best
}

// distance counts the characters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
