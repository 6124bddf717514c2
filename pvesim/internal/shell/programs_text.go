package shell

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// textProgram are programs about what is in files and streams.
func textProgram(name string) program {
	switch name {
	case "true":
		return func(*command) int { return 0 }
	case "false":
		return func(*command) int { return 1 }
	case "echo":
		return func(x *command) int { return wrote(x.out, echoText(x.args)) }
	case "printf", "test", "[":
		return func(x *command) int { return builtinNamed(name)(x.shell(), x.args) }
	case "cat":
		return cat
	case "base64":
		return base64Program
	case "head":
		return head
	case "tail":
		return tail
	case "dd":
		return dd
	case "wc":
		return count
	case "tee":
		return tee
	case "tr":
		return translate
	case "od":
		return dump
	case "grep":
		return grep
	case "cut":
		return cut
	case "sort", "uniq":
		return sorted
	case "seq":
		return sequence
	case "yes":
		return func(x *command) int {
			text := cmp.Or(strings.Join(x.args, " "), "y") + "\n"
			for wrote(x.out, text) == 0 {
			}
			return 1
		}
	}
	return nil
}

func cat(x *command) int {
	x.flags("")
	return x.each(x.args, func(_ string, r io.Reader) { _, _ = io.Copy(x.out, r) })
}

func base64Program(x *command) int {
	opts := x.flags("w")
	data, status := x.read(x.args)
	if status != 0 {
		return status
	}
	if opts.has("d", "decode") {
		text := strings.NewReplacer("\n", "", "\r", "").Replace(string(data))
		out, err := base64.StdEncoding.DecodeString(text)
		_, _ = x.out.Write(out)
		if err != nil {
			return x.fail("invalid input")
		}
		return 0
	}
	width := 76
	if w, ok := opts["w"]; ok {
		width, _ = strconv.Atoi(w)
	}
	text := base64.StdEncoding.EncodeToString(data)
	for width > 0 && len(text) > width {
		_, _ = x.out.Write([]byte(text[:width] + "\n"))
		text = text[width:]
	}
	if width > 0 && text != "" {
		text += "\n"
	}
	return wrote(x.out, text)
}

// amount reads a number such as 10, 4k or 1M.
func amount(s string) int {
	factor := 1
	for suffix, f := range map[string]int{"k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "c": 1} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, factor = number, f
			break
		}
	}
	n, _ := strconv.Atoi(s)
	return n * factor
}

// head shows the beginning. Of bytes it takes no more than it shows.
func head(x *command) int {
	if len(x.args) > 0 && len(x.args[0]) > 1 && x.args[0][0] == '-' && x.args[0][1] <= '9' && x.args[0][1] >= '0' {
		x.args[0] = "-n" + x.args[0][1:]
	}
	opts := x.flags("nc")
	return x.each(x.args, func(_ string, r io.Reader) {
		if n, ok := opts["c"]; ok {
			_, _ = io.Copy(x.out, io.LimitReader(r, int64(amount(n))))
			return
		}
		lines := bufio.NewReader(r)
		for range amount(cmp.Or(opts["n"], "10")) {
			line, err := lines.ReadString('\n')
			if wrote(x.out, line) != 0 || err != nil {
				return
			}
		}
	})
}

func tail(x *command) int {
	opts := x.flags("nc")
	return x.each(x.args, func(_ string, r io.Reader) {
		data, _ := io.ReadAll(r)
		if n, ok := opts["c"]; ok {
			from := len(data) - amount(strings.TrimPrefix(n, "+"))
			if strings.HasPrefix(n, "+") {
				from = amount(n[1:]) - 1
			}
			_, _ = x.out.Write(data[min(max(0, from), len(data)):])
			return
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		if len(lines[len(lines)-1]) == 0 {
			lines = lines[:len(lines)-1]
		}
		n := cmp.Or(opts["n"], "10")
		from := len(lines) - amount(n)
		if rest, ok := strings.CutPrefix(n, "+"); ok {
			from = amount(rest) - 1
		}
		_, _ = x.out.Write(bytes.Join(lines[min(max(0, from), len(lines)):], nil))
	})
}

func count(x *command) int {
	opts := x.flags("")
	return x.each(x.args, func(name string, r io.Reader) {
		data, _ := io.ReadAll(r)
		var out []string
		for _, f := range []struct {
			flag string
			n    int
		}{{"l", bytes.Count(data, []byte("\n"))}, {"w", len(bytes.Fields(data))}, {"c", len(data)}} {
			if opts.has(f.flag) || len(opts) == 0 {
				out = append(out, strconv.Itoa(f.n))
			}
		}
		if name != "-" {
			out = append(out, name)
		}
		fmt.Fprintln(x.out, strings.Join(out, " "))
	})
}

func tee(x *command) int {
	more := x.flags("").has("a")
	flags := os.O_WRONLY | os.O_CREATE | map[bool]int{true: os.O_APPEND, false: os.O_TRUNC}[more]
	all := []io.Writer{x.out}
	for _, name := range x.args {
		h, err := openFile(x.p, x.path(name), flags)
		if err != nil {
			return x.fail("%s: %v", name, err)
		}
		defer h.release()
		all = append(all, &bound{h: h, ctx: x.p.ctx})
	}
	_, _ = io.Copy(io.MultiWriter(all...), x.in)
	return 0
}

// set are the characters of an argument of tr.
func set(s string) []byte {
	s = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\0`, "\x00", `\\`, `\`, "[:lower:]", "a-z", "[:upper:]", "A-Z", "[:space:]", " \t\r\n", "[:digit:]", "0-9").Replace(s)
	var out []byte
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i+1] == '-' {
			for c := int(s[i]); c <= int(s[i+2]); c++ {
				out = append(out, byte(c))
			}
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

func translate(x *command) int {
	opts := x.flags("")
	if len(x.args) == 0 {
		return x.fail("missing operand")
	}
	drop, others := opts.has("d"), opts.has("c")
	from := set(x.args[0])
	var to []byte
	if len(x.args) > 1 {
		to = set(x.args[1])
	}
	data, _ := x.read(nil)
	var out []byte
	for _, c := range data {
		i := bytes.IndexByte(from, c)
		hit := (i >= 0) != others
		switch {
		case hit && drop:
		case hit && len(to) > 0:
			out = append(out, to[min(max(i, 0), len(to)-1)])
		default:
			out = append(out, c)
		}
	}
	return wrote(x.out, string(out))
}

// dump is od: bytes in hexadecimal or octal.
func dump(x *command) int {
	opts := x.flags("AtNjw")
	data, status := x.read(x.args)
	if n, ok := opts["N"]; ok {
		if amount(n) < 0 {
			return x.fail("invalid number '%s'", n)
		}
		data = data[:min(len(data), amount(n))]
	}
	format := " %03o"
	if opts.has("x") || strings.HasPrefix(opts["t"], "x") {
		format = " %02x"
	}
	for at := 0; at < len(data); at += 16 {
		if opts["A"] != "n" {
			fmt.Fprintf(x.out, "%07o", at)
		}
		for _, c := range data[at:min(at+16, len(data))] {
			fmt.Fprintf(x.out, format, c)
		}
		fmt.Fprintln(x.out)
	}
	if opts["A"] != "n" {
		fmt.Fprintf(x.out, "%07o\n", len(data))
	}
	return status
}

func grep(x *command) int {
	opts := x.flags("e")
	expr := opts["e"]
	if expr == "" && len(x.args) > 0 {
		expr, x.args = x.args[0], x.args[1:]
	}
	if opts.has("F") {
		expr = regexp.QuoteMeta(expr)
	}
	if opts.has("i") {
		expr = "(?i)" + expr
	}
	if opts.has("x") {
		expr = "^(?:" + expr + ")$"
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return 1 + x.fail("bad regex '%s'", expr)
	}
	others, quiet, only := opts.has("v"), opts.has("q"), opts.has("c")
	data, status := x.read(x.args)
	hits := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if re.MatchString(line) == others {
			continue
		}
		if hits++; !quiet && !only {
			fmt.Fprintln(x.out, line)
		}
	}
	if only {
		fmt.Fprintln(x.out, hits)
	}
	if hits == 0 {
		return max(1, status)
	}
	return status
}

func cut(x *command) int {
	opts := x.flags("dfc")
	data, status := x.read(x.args)
	from, to, several := strings.Cut(cmp.Or(opts["f"], opts["c"]), "-")
	first, last := max(1, amount(from)), amount(to)
	if !several {
		last = first
	}
	for line := range strings.Lines(string(data)) {
		separator := cmp.Or(opts["d"], "\t")
		if opts["c"] != "" {
			separator = ""
		}
		parts := strings.Split(strings.TrimSuffix(line, "\n"), separator)
		end := len(parts)
		if last > 0 {
			end = min(last, end)
		}
		fmt.Fprintln(x.out, strings.Join(parts[min(first-1, end):end], separator))
	}
	return status
}

// sorted is sort, and uniq.
func sorted(x *command) int {
	opts := x.flags("kt")
	data, status := x.read(x.args)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if x.name == "sort" && opts.has("n") {
		slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(amount(strings.TrimSpace(a)), amount(strings.TrimSpace(b))) })
	} else if x.name == "sort" {
		slices.Sort(lines)
	}
	if opts.has("r") {
		slices.Reverse(lines)
	}
	if opts.has("u") || x.name == "uniq" {
		lines = slices.Compact(lines)
	}
	if len(data) == 0 {
		return status
	}
	return max(status, wrote(x.out, strings.Join(lines, "\n")+"\n"))
}

func sequence(x *command) int {
	from, step, to := 1, 1, 1
	switch len(x.args) {
	case 1:
		to, _ = strconv.Atoi(x.args[0])
	case 2:
		from, _ = strconv.Atoi(x.args[0])
		to, _ = strconv.Atoi(x.args[1])
	case 3:
		from, _ = strconv.Atoi(x.args[0])
		step, _ = strconv.Atoi(x.args[1])
		to, _ = strconv.Atoi(x.args[2])
	}
	for n := from; step > 0 && n <= to || step < 0 && n >= to; n += step {
		if wrote(x.out, strconv.Itoa(n)+"\n") != 0 {
			return 1
		}
	}
	return 0
}
