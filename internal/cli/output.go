package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// output is how an answer is printed.
type output struct {
	format string // the value of --output, "" if it was not given
	chart  bool   // as a picture
	file   string // for the picture; "" is stdout
	// optional says that the answer has text, too, so that no picture goes to stdout.
	optional bool
}

// pictureArgument asks a tool whose answer may be text for a picture.
const pictureArgument = "picture"

func asksForPicture(t tool.Tool) bool {
	_, asks := t.Input().Properties[pictureArgument]
	return t.Attaches && asks
}

func outputs() []string { return []string{"table", "json"} }

func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "string" }

func (o *output) Set(v string) error {
	if v != "table" && v != "json" {
		return fmt.Errorf("it is table or json")
	}
	o.format = v
	return nil
}

// outputFlags adds the flags that say how the answer of a tool is printed.
func outputFlags(cmd *cobra.Command, t tool.Tool) *output {
	o := &output{}
	cmd.Flags().VarP(o, "output", "o", "table or json; default: a table on a terminal, JSON elsewhere")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs(), cobra.ShellCompDirectiveNoFileComp)))
	if t.Chart != "" {
		cmd.Flags().BoolVar(&o.chart, "chart", false, "draw it, as "+t.Chart+" does")
	}
	switch {
	case asksForPicture(t):
		cmd.Flags().StringVar(&o.file, "out", "", "file for a picture (PNG)")
	case t.Chart != "" || t.Attaches:
		cmd.Flags().StringVar(&o.file, "out", "", "file for the picture (PNG); default: stdout, if it is no terminal")
	}
	return o
}
