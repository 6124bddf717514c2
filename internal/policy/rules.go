package policy

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Rule names guests by id, by a range of ids, by a tag or by a pool, or it names a storage, a
// job or a node. A rule by a pool also names the pool itself.
type Rule struct {
	Low, High int    // of ids
	Tag       string // in lower case
	Pool      string
	Subject   Subject // a storage, a job or a node
}

// Rules match if one of them does.
type Rules []Rule

// String writes the rule as it was given.
func (r Rule) String() string {
	switch {
	case r.Tag != "":
		return "tag:" + r.Tag
	case r.Pool != "":
		return "pool:" + r.Pool
	case r.Subject.Kind != "":
		return string(r.Subject.Kind) + ":" + r.Subject.ID
	case r.Low == r.High:
		return strconv.Itoa(r.Low)
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

// ruleExamples are the examples in errors.
const ruleExamples = "100, 100-199, tag:prod, pool:web, storage:nfs, job:nightly or node:pve1"

// ParseRules reads rules that are separated by commas: 100, 100-199, tag:prod, pool:web,
// storage:nfs, job:nightly, node:pve1.
func ParseRules(s string) (Rules, error) {
	var rules Rules
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		rule, err := parseRule(part)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	if rules == nil && s != "" {
		return nil, fmt.Errorf("%q has no rule; give one such as %s", s, ruleExamples)
	}
	return rules, nil
}

func parseRule(s string) (Rule, error) {
	if tag, ok := strings.CutPrefix(s, "tag:"); ok && named(tag) {
		return Rule{Tag: strings.ToLower(tag)}, nil
	}
	if pool, ok := strings.CutPrefix(s, "pool:"); ok && named(pool) {
		return Rule{Pool: pool}, nil
	}
	for _, kind := range []Kind{StorageKind, JobKind, NodeKind} {
		if id, ok := strings.CutPrefix(s, string(kind)+":"); ok && named(id) {
			return Rule{Subject: Subject{kind, id}}, nil
		}
	}
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	from, err := vmid(low)
	to, err2 := vmid(high)
	if err := errors.Join(err, err2); err != nil || from > to {
		return Rule{}, fmt.Errorf("%q is not a rule; give one such as %s", s, ruleExamples)
	}
	return Rule{Low: from, High: to}, nil
}

func named(s string) bool { return s != "" && !strings.ContainsAny(s, " :;") }

// vmid reads the id of a guest.
func vmid(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 999_999_999 || strconv.Itoa(n) != s {
		return 0, fmt.Errorf("%q is not a vmid", s)
	}
	return n, nil
}

// byID returns the first rule that names an id.
func (rs Rules) byID(id int) (Rule, bool) {
	i := slices.IndexFunc(rs, func(r Rule) bool { return r.Low != 0 && r.Low <= id && id <= r.High })
	if i < 0 {
		return Rule{}, false
	}
	return rs[i], true
}

// nameGuests reports whether one of the rules names guests.
func (rs Rules) nameGuests() bool {
	return slices.ContainsFunc(rs, func(r Rule) bool { return r.Subject.Kind == "" })
}

// naming returns the first rule that names a subject other than a guest, or the storage or
// node that it belongs to.
func (rs Rules) naming(s Subject) (Rule, bool) {
	i := slices.IndexFunc(rs, func(r Rule) bool {
		switch r.Subject.Kind {
		case StorageKind:
			return s.storage() == r.Subject.ID
		case NodeKind:
			return s.node() == r.Subject.ID
		case JobKind:
			return s == r.Subject
		}
		return s.Kind == PoolKind && r.inPool(s.ID)
	})
	if i < 0 {
		return Rule{}, false
	}
	return rs[i], true
}

// inPool reports whether a rule names a pool, or one above it.
func (r Rule) inPool(pool string) bool {
	return r.Pool != "" && (pool == r.Pool || strings.HasPrefix(pool, r.Pool+"/"))
}

// Command is a command that is allowed in guests: a pattern for each element.
type Command []string

// ParseCommands reads commands that are separated by semicolons, their elements by blanks. The
// first element is an absolute path; the others may be patterns as of [path.Match], and ** at
// the end matches any number of elements. An argument that begins with - is an option, and
// another host, file or command may follow it. So only a pattern that begins with - matches it,
// and -** matches any number of elements, including options. On Windows, whose paths begin with
// a drive, / begins an option, too. Only a pattern with a step up (..) matches one. A < after
// all of them lets the command have standard input.
func ParseCommands(s string) ([]Command, error) {
	var out []Command
	for part := range strings.SplitSeq(s, ";") {
		elems := strings.Fields(part)
		if len(elems) == 0 {
			continue
		}
		if !strings.HasPrefix(elems[0], "/") && !(len(elems[0]) > 2 && elems[0][1] == ':') || strings.ContainsAny(elems[0], "*?[") {
			return nil, fmt.Errorf("%q does not begin with an absolute path", strings.TrimSpace(part))
		}
		command, _ := Command(elems).stdin()
		for i, e := range command[1:] {
			if e == "<" {
				return nil, fmt.Errorf("%q has a < that is not its last element; an argument < is written [<]", strings.TrimSpace(part))
			}
			if _, err := path.Match(e, ""); err != nil || strings.Contains(e, "**") && (strings.TrimPrefix(e, "-") != "**" || i != len(command)-2) {
				return nil, fmt.Errorf("%q is not a pattern for an argument", e)
			}
		}
		out = append(out, elems)
	}
	return out, nil
}

// stdin returns a command without the mark for standard input, and whether it had one.
func (c Command) stdin() (Command, bool) {
	if last := len(c) - 1; last > 0 && c[last] == "<" {
		return c[:last], true
	}
	return c, false
}

// allows reports whether a command matches element by element.
func (c Command) allows(argv []string) bool {
	if len(argv) == 0 || argv[0] != c[0] || slices.ContainsFunc(argv, hasNUL) {
		return false
	}
	c, argv, isOption := c[1:], argv[1:], c.isOption
	for i, pattern := range c {
		if pattern == "-**" {
			return true
		}
		if pattern == "**" {
			return !slices.ContainsFunc(argv[min(i, len(argv)):], isOption)
		}
		if i >= len(argv) {
			return false
		}
		if isOption(argv[i]) && !isOption(pattern) || stepsUp(argv[i]) && !stepsUp(pattern) {
			return false
		}
		// A * within an element matches anything, including a slash.
		if ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(argv[i], "/", "\x00")); err != nil || !ok {
			return false
		}
	}
	return len(argv) == len(c)
}

// hasNUL reports whether an argument would not arrive as it is. What is left of it may be an
// option.
func hasNUL(arg string) bool { return strings.Contains(arg, "\x00") }

// isOption reports whether the command would read an argument as an option.
func (c Command) isOption(arg string) bool {
	windows := !strings.HasPrefix(c[0], "/")
	return strings.HasPrefix(arg, "-") || windows && strings.HasPrefix(arg, "/")
}

// stepsUp reports whether a path leads out of its first folder.
func stepsUp(arg string) bool {
	return slices.Contains(strings.FieldsFunc(arg, func(r rune) bool { return r == '/' || r == '\\' }), "..")
}

// RefuseCommand returns why a command must not be run in a guest, with or without standard
// input, or "".
func (p Policy) RefuseCommand(argv []string, stdin bool) string {
	if do, name, real, ok := fileOf(argv); ok {
		return p.refuseFileCommand(do, name, real)
	}
	if len(p.ExecAllow) == 0 {
		return ""
	}
	reason := "the command is none of those that PVE_MCP_EXEC_ALLOW names"
	for _, allowed := range p.ExecAllow {
		command, takes := allowed.stdin()
		switch matches := command.allows(argv); {
		case matches && (takes || !stdin):
			return ""
		case matches:
			reason = "PVE_MCP_EXEC_ALLOW lets the command have no standard input: its pattern does not end with <"
		}
	}
	return reason
}
