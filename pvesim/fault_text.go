package pvesim

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// faultWords are the words of a rule's text after its match, in the order in which
// [Fault.String] writes them.
var faultWords = []struct {
	name string
	of   func(*Fault) value
}{
	{"guest", func(f *Fault) value { return number{&f.Guest} }},
	{"node", func(f *Fault) value { return word{&f.Node} }},
	{"skip", func(f *Fault) value { return number{&f.Skip} }},
	{"max", func(f *Fault) value { return number{&f.Max} }},
	{"prob", func(f *Fault) value { return share{&f.Prob} }},
	{"delay", func(f *Fault) value { return pause{&f.Delay} }},
	{"status", func(f *Fault) value { return number{&f.Status} }},
	{"message", func(f *Fault) value { return word{&f.Message} }},
	{"task-fails", func(f *Fault) value { return word{&f.TaskFails} }},
	{"fails-at", func(f *Fault) value { return number{&f.FailsAt} }},
	{"task-idle", func(f *Fault) value { return flag{&f.TaskIdle} }},
	{"task-says", func(f *Fault) value { return word{&f.TaskSays} }},
	{"task-warns", func(f *Fault) value { return word{&f.TaskWarns} }},
	{"keeps", func(f *Fault) value { return word{&f.Keeps} }},
	{"proxy", func(f *Fault) value { return flag{&f.Proxy} }},
	{"done", func(f *Fault) value { return flag{&f.Done} }},
	{"drop", func(f *Fault) value { return flag{&f.Drop} }},
	{"truncate", func(f *Fault) value { return number{&f.Truncate} }},
	{"slow", func(f *Fault) value { return pause{&f.Slow} }},
	{"agent-takes", func(f *Fault) value { return pause{&f.AgentTakes} }},
	{"down", func(f *Fault) value { return flag{&f.Down} }},
	{"storage", func(f *Fault) value { return word{&f.Storage} }},
	{"for", func(f *Fault) value { return pause{&f.For} }},
	{"every", func(f *Fault) value { return pause{&f.Every} }},
}

// value is a field of a rule as text.
type value interface {
	get() string // "" if it is not set
	set(text string) error
}

type (
	number struct{ *int }
	share  struct{ *float64 }
	pause  struct{ *time.Duration }
	word   struct{ *string }
	flag   struct{ *bool } // whose word has no value
)

func (v number) get() string { return unlessZero(*v.int, strconv.Itoa(*v.int)) }
func (v share) get() string {
	return unlessZero(*v.float64, strconv.FormatFloat(*v.float64, 'g', -1, 64))
}
func (v pause) get() string { return unlessZero(*v.Duration, v.Duration.String()) }
func (v word) get() string  { return *v.string }
func (v flag) get() string  { return unlessZero(*v.bool, "yes") }

func unlessZero[T comparable](v T, text string) string {
	var zero T
	if v == zero {
		return ""
	}
	return text
}

func (v number) set(text string) (err error) {
	*v.int, err = strconv.Atoi(text)
	return because(err, text, "a number, such as 100")
}

func (v share) set(text string) (err error) {
	*v.float64, err = strconv.ParseFloat(text, 64)
	return because(err, text, "a number from 0 to 1")
}

func (v pause) set(text string) (err error) {
	*v.Duration, err = time.ParseDuration(text)
	return because(err, text, "a duration, such as 1.5s or 2m")
}

func (v word) set(text string) error { *v.string = text; return nil }
func (v flag) set(string) error      { *v.bool = true; return nil }

func because(err error, text, wanted string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q is not %s", text, wanted)
}

// ParseFault reads a rule from its text: what it matches, and then words in any order,
// which are named after the fields of [Fault]. A value with blanks is in double
// quotes, with Go's escapes.
//
//	POST /nodes/*/qemu/*/status/start guest=100 drop max=1
//	GET /cluster/resources skip=2 prob=0.1 status=596 message="Connection timed out"
//	* /nodes/pve2/** delay=1.5s
//	POST /nodes/*/vzdump task-fails="job errors" fails-at=50
//	POST /nodes/*/qemu/*/status/start proxy done status=502 message="<html>Bad Gateway</html>"
//	node=pve2 down delay=1m
//	node=pve3 down for=30s every=2m
//	storage=nfs down
//
// Without a match the rule is about every request.
func ParseFault(text string) (Fault, error) {
	f, err := parseFault(text)
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

func parseFault(text string) (f Fault, err error) {
	seen := map[string]bool{}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		name := rest[:end(rest, " =")]
		of := wordNamed(name)
		method := rest[:end(rest, " ")]
		if of == nil && name == method && f.Match == "" && len(seen) == 0 {
			rest = strings.TrimSpace(rest[len(method):])
			path := rest[:end(rest, " ")]
			f.Match, rest = method+" "+path, rest[len(path):]
			continue
		}
		if of == nil {
			return f, fmt.Errorf("it has no word %q", name)
		}
		if seen[name] {
			return f, fmt.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		var v string
		if v, rest, err = valueAfter(rest[len(name):]); err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
		field := of(&f)
		if _, bare := field.(flag); bare != (v == "") {
			return f, fmt.Errorf("%s: %s", name, map[bool]string{true: "it has no value", false: "it needs a value: " + name + "=…"}[bare])
		}
		if err := field.set(v); err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, cmp.Or((&fault{Fault: f}).parse(), f.validate())
}

func wordNamed(name string) func(*Fault) value {
	for _, w := range faultWords {
		if w.name == name {
			return w.of
		}
	}
	return nil
}

// end is where the first of some characters stands, or the text ends.
func end(text, chars string) int {
	if i := strings.IndexAny(text, chars); i >= 0 {
		return i
	}
	return len(text)
}

// valueAfter reads =VALUE or ="VALUE" from the start of a text; "" if there is none.
func valueAfter(text string) (v, rest string, err error) {
	quoted, ok := strings.CutPrefix(text, "=")
	if !ok {
		return "", text, nil
	}
	if !strings.HasPrefix(quoted, `"`) {
		i := end(quoted, " ")
		return quoted[:i], quoted[i:], nil
	}
	prefix, err := strconv.QuotedPrefix(quoted)
	if err != nil {
		return "", "", errors.New("the quotes do not end")
	}
	rest = quoted[len(prefix):]
	if rest != "" && rest[0] != ' ' {
		return "", "", errors.New("there is no blank after the quotes")
	}
	v, err = strconv.Unquote(prefix)
	return v, rest, err
}

// String writes the rule as [ParseFault] reads it.
func (f Fault) String() string {
	var words []string
	if f.Match != "" {
		words = append(words, f.Match)
	}
	for _, w := range faultWords {
		field := w.of(&f)
		v := field.get()
		_, bare := field.(flag)
		switch {
		case v == "":
			continue
		case bare:
			words = append(words, w.name)
			continue
		case strings.ContainsAny(v, " \"") || v != strings.Trim(strconv.Quote(v), `"`):
			v = strconv.Quote(v)
		}
		words = append(words, w.name+"="+v)
	}
	return strings.Join(words, " ")
}
