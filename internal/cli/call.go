package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/demo"
	"pve-mcp/internal/tool"
)

// callCommand calls a tool from the shell: a command for each tool, with a flag for
// each argument. They are made only where they are named, since it takes every schema.
func (a *app) callCommand(named bool) *cobra.Command {
	call := &cobra.Command{
		Use:   "call TOOL",
		Short: "Call a tool",
		Long:  "Calls a tool as an MCP client would, and prints its answer as JSON.\n\nExit status: 0 done, 1 failed, 2 wrong arguments, 3 refused or needs confirmation, 4 under way.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{exitUsage, "call: name a tool; pve-mcp tools lists them"}
		},
	}
	if named {
		for _, t := range catalog.All() {
			call.AddCommand(a.callOne(t))
		}
	}
	return call
}

func (a *app) callOne(t tool.Tool) *cobra.Command {
	cmd := &cobra.Command{Use: t.Name, Short: t.Title, Long: t.Doc, Args: cobra.NoArgs}
	for _, name := range t.Input().PropertyOrder {
		addFlag(cmd.Flags(), name, t.Input().Properties[name])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		args := map[string]any{}
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if _, isArgument := t.Input().Properties[f.Name]; !isArgument {
				return
			}
			list, isList := f.Value.(pflag.SliceValue)
			switch {
			case isList && t.Input().Properties[f.Name].Type == "object":
				args[f.Name] = object(list.GetSlice())
			case isList:
				args[f.Name] = list.GetSlice()
			default:
				args[f.Name] = f.Value.String()
			}
		})
		return a.call(cmd.Context(), t, args)
	}
	return cmd
}

// addFlag adds the flag of an argument.
func addFlag(flags *pflag.FlagSet, name string, p *jsonschema.Schema) {
	doc := p.Description
	if p.Enum != nil {
		doc = fmt.Sprintf("%v %s", p.Enum, doc)
	}
	switch {
	case p.Type == "boolean":
		flags.Bool(name, false, doc)
	case p.Type == "object":
		flags.StringArray(name, nil, "key=value, once for each; "+doc)
	case p.Type == "array" && p.Items.Type == "string" && p.Items.Enum == nil: // commas may be part of it
		flags.StringArray(name, nil, doc)
	case p.Type == "array":
		flags.StringSlice(name, nil, doc)
	default:
		flags.Var(&argument{typ: p.Type}, name, doc)
	}
}

// object reads key=value pairs; an object in JSON is left to the tool.
func object(pairs []string) any {
	if len(pairs) == 1 && strings.HasPrefix(pairs[0], "{") {
		return pairs[0]
	}
	out := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		out[key] = value
	}
	return out
}

// argument is the value of a flag. The tool itself reads it, so that it is refused
// in the same words as in a client's call.
type argument struct{ text, typ string }

func (a *argument) String() string     { return a.text }
func (a *argument) Set(v string) error { a.text = v; return nil }
func (a *argument) Type() string       { return a.typ }

func (a *app) call(ctx context.Context, t tool.Tool, args map[string]any) error {
	host, cfg, err := a.host()
	if err != nil {
		return err
	}
	if _, off := catalog.Offered(selectionOf(cfg)); off[t.Name] != "" {
		return &exitError{exitRefused, t.Name + " is off: " + off[t.Name]}
	}
	data, err := json.Marshal(args)
	if err != nil {
		return failed(err)
	}
	res := t.Call(ctx, host, tool.Request{
		Arguments: data, Caller: "command line",
		Progress: func(p tool.Progress) { fmt.Fprintln(a.err, "…", p.Message) },
	})
	if res.Structured != nil {
		fmt.Fprintln(a.out, a.pretty(res.Structured))
	}
	if status := statusOf(res); status != exitOK {
		text := ""
		if res.Structured == nil {
			text = res.Text
		}
		return &exitError{status, text}
	}
	return nil
}

// pretty indents an answer for a terminal, and leaves it on a line for a pipe.
func (a *app) pretty(data json.RawMessage) string {
	var buf bytes.Buffer
	if !isTerminal(a.out) || json.Indent(&buf, data, "", "  ") != nil {
		return string(data)
	}
	return buf.String()
}

func statusOf(res tool.Result) int {
	switch {
	case res.Fault == tool.BadArguments:
		return exitUsage
	case res.Fault == tool.Refused, res.Outcome == tool.NeedsConfirmation, res.Outcome == tool.Declined:
		return exitRefused
	case res.IsError:
		return exitFailed
	case res.Outcome == tool.Running:
		return exitRunning
	}
	return exitOK
}

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show what an assistant would see, on an embedded simulated cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := demo.Run(cmd.Context(), a.out, version()); err != nil {
				return failed(err)
			}
			return nil
		},
	}
}
