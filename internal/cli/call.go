package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/docs"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// callCommand calls a tool from the shell: a command for each tool, with a flag for
// each argument. They are made only if they are named, since it takes every schema.
func (a *app) callCommand(named bool) *cobra.Command {
	call := &cobra.Command{
		Use:   "call TOOL",
		Short: "Call a tool",
		Long: "Calls a tool as an MCP client would. On a terminal the answer is shown as tables and lines, elsewhere as JSON.\n\n" +
			"A change is waited for to its end, unless --wait or PVE_MCP_TASK_WAIT says otherwise; ctrl-c ends the waiting alone.\n" +
			"What needs consent is asked on the terminal.\n\n" +
			"Exit status: 0 done, 1 failed or unknown, 2 wrong arguments, 3 refused or not confirmed, 4 under way. That of\npve_audit is by its worst finding: 11 low, 12 medium, 13 high, 14 critical.",
		Args: a.noCommand,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{exitUsage, "call: name a tool; pve-mcp tools lists them"}
		},
	}
	uses(call, config.Connection, config.Safety, config.Tools, config.Logging)
	if named {
		for _, t := range toolset.All() {
			call.AddCommand(a.callOne(t))
		}
	}
	return call
}

func (a *app) callOne(t tool.Tool) *cobra.Command {
	return a.callWith(t, func(ctx context.Context, args map[string]any, o *output) error { return a.call(ctx, t, args, o) })
}

// callWith makes the command of a tool, which runs something with its arguments.
func (a *app) callWith(t tool.Tool, run func(ctx context.Context, args map[string]any, o *output) error) *cobra.Command {
	subject, label := docs.Subject(t.Input())
	cmd := &cobra.Command{Use: strings.TrimSpace(t.Name + " " + label), Short: t.Title, Long: t.Doc, Args: oneSubject(t.Name, label)}
	if t.Risk == policy.Read {
		uses(cmd, config.Connection, config.Tools, config.Logging)
	}
	if ask := live[subject]; ask != nil {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 || cmd.Flags().Changed(subject) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.askCluster(cmd, ask), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		}
	}
	for _, name := range t.Input().PropertyOrder {
		addFlag(cmd.Flags(), name, t.Input().Properties[name], slices.Contains(t.Input().Required, name))
		a.complete(cmd, name, t.Input().Properties[name])
	}
	if wait := cmd.Flags().Lookup("wait"); wait != nil && t.Risk != policy.Read {
		wait.Usage = "seconds; default: PVE_MCP_TASK_WAIT, else to the end" // the schema's is for clients
	}
	o := outputFlags(cmd, t)
	cmd.RunE = func(cmd *cobra.Command, positional []string) error {
		args := map[string]any{}
		if len(positional) > 0 {
			if cmd.Flags().Changed(subject) {
				what := strings.ToLower(strings.Trim(label, "[]"))
				return &exitError{exitUsage, "the " + what + " is named twice: as " + positional[0] + " and by --" + subject}
			}
			args[subject] = typed(positional[0], t.Input().Properties[subject].Type)
		}
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
				args[f.Name] = typed(f.Value.String(), t.Input().Properties[f.Name].Type)
			}
		})
		return run(cmd.Context(), args, o)
	}
	return cmd
}

// oneSubject refuses positional arguments, except the one that names the tool's subject.
func oneSubject(tool, label string) cobra.PositionalArgs {
	allowed := 0
	if label != "" {
		allowed = 1
	}
	return func(_ *cobra.Command, args []string) error {
		if len(args) <= allowed {
			return nil
		}
		return &exitError{exitUsage, fmt.Sprintf("%q is no argument of %s: each has a name, as pve-mcp call %s --help shows", args[allowed], tool, tool)}
	}
}

// typed is a text as the JSON that a client would send for it. What is not of the type is
// left to the tool, which says so.
func typed(text, typ string) any {
	switch typ {
	case "integer":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "boolean":
		if on, err := strconv.ParseBool(text); err == nil {
			return on
		}
	}
	return text
}

// addFlag adds the flag of an argument.
func addFlag(flags *pflag.FlagSet, name string, p *jsonschema.Schema, required bool) {
	doc := p.Description
	if p.Type == "" && !strings.Contains(doc, "name") {
		doc = "id or name: " + doc
	}
	if required {
		doc = strings.TrimSpace(doc + " (required)")
	}
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
		flags.Var(&argument{typ: cmp.Or(p.Type, "guest")}, name, doc)
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
