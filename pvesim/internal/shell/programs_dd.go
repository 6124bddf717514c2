package shell

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// dd copies blocks: if, of, bs, count, skip, seek and conv=notrunc.
func dd(x *command) int {
	opts := map[string]string{"bs": "512"}
	for _, arg := range x.args {
		name, value, _ := strings.Cut(arg, "=")
		opts[name] = value
	}
	for _, name := range []string{"bs", "count", "seek", "skip"} {
		if amount(opts[name]) < 0 {
			return x.fail("invalid number '%s'", opts[name])
		}
	}
	in, out := io.Reader(x.in), io.Writer(x.out)
	size := int64(amount(opts["bs"]))
	if name := opts["if"]; name != "" {
		r, done, err := x.open(name)
		if err != nil {
			return x.fail("can't open '%s': %v", name, err)
		}
		defer done()
		in = r
	}
	if name := opts["of"]; name != "" {
		flags := os.O_WRONLY | os.O_CREATE
		if !strings.Contains(opts["conv"], "notrunc") && opts["seek"] == "" {
			flags |= os.O_TRUNC
		}
		h, err := openFile(x.p, x.path(name), flags)
		if err != nil {
			return x.fail("can't open '%s': %v", name, err)
		}
		defer h.release()
		if f, ok := h.stream.(file); ok {
			f.StartAt(int64(amount(opts["seek"])) * size)
		}
		out = &bound{h: h, ctx: x.p.ctx}
	}
	if skip := int64(amount(opts["skip"])) * size; skip > 0 {
		_, _ = io.CopyN(io.Discard, in, skip)
	}
	whole, parts, total := 0, 0, int64(0)
	block := make([]byte, size)
	for limit := opts["count"]; limit == "" || whole+parts < amount(limit); {
		n, err := in.Read(block)
		if strings.Contains(opts["iflag"], "fullblock") && err == nil {
			var more int
			more, _ = io.ReadFull(in, block[n:])
			n += more
		}
		if n == 0 || err != nil {
			break
		}
		if _, err := out.Write(block[:n]); err != nil {
			return x.fail("error writing: %v", err)
		}
		total += int64(n)
		if int64(n) == size {
			whole++
		} else {
			parts++
		}
	}
	if opts["status"] != "none" {
		fmt.Fprintf(x.err, "%d+%d records in\n%d+%d records out\n", whole, parts, whole, parts)
		if opts["status"] != "noxfer" {
			fmt.Fprintf(x.err, "%d bytes copied, 0.001 seconds\n", total)
		}
	}
	return 0
}
