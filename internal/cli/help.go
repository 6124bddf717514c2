package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pve-mcp/pve-mcp/internal/cli/terminal"
	"github.com/pve-mcp/pve-mcp/internal/config"
)

const (
	// groupOf is the annotation of a flag that says what it is about: a config.Group.
	groupOf = "group"
	// usedBy is the annotation of a command that lists the groups, and the single flags, that
	// it and its subcommands take notice of.
	usedBy = "uses"
)

// uses notes which settings a command takes notice of: its help shows no others.
func uses(cmd *cobra.Command, groups ...config.Group) {
	var names []string
	for _, g := range groups {
		names = append(names, string(g))
	}
	usesFlags(cmd, names...)
}

func usesFlags(cmd *cobra.Command, names ...string) {
	cmd.Annotations = map[string]string{usedBy: strings.Join(names, "\n")}
}

// used are the groups and flags that a command or the nearest one above it has noted; the
// program itself does not count.
func used(cmd *cobra.Command) []string {
	for c := cmd; c != nil; c = c.Parent() {
		if names, noted := c.Annotations[usedBy]; noted && (c.HasParent() || c == cmd) {
			return strings.Split(names, "\n")
		}
	}
	return nil
}

// help shows what a command does and the flags that it takes notice of, as wide as the
// terminal.
func (a *app) help(cmd *cobra.Command, _ []string) {
	width := columns(a.out)
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text != "" {
			fmt.Fprintf(a.out, "\n%s:\n%s\n", title, text)
		}
	}
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintln(a.out, terminal.Wrap(about, width))
	use := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		use += "\n  " + cmd.CommandPath() + " COMMAND"
	}
	section("Usage", "  "+use)
	section("Examples", cmd.Example)
	var commands strings.Builder
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&commands, "  %-*s %s\n", c.NamePadding(), c.Name(), c.Short)
		}
	}
	section("Commands", commands.String())
	own, groups := pflag.NewFlagSet("", pflag.ContinueOnError), map[config.Group]*pflag.FlagSet{}
	own.SortFlags = false // a tool's arguments have an order
	names := used(cmd)
	cmd.LocalNonPersistentFlags().VisitAll(own.AddFlag)
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		group := strings.Join(f.Annotations[groupOf], "")
		if !slices.Contains(names, group) && !slices.Contains(names, f.Name) {
			return
		}
		g := config.Group(group)
		if groups[g] == nil {
			groups[g] = pflag.NewFlagSet("", pflag.ContinueOnError)
		}
		groups[g].AddFlag(f)
	})
	section("Flags", usages(own, width))
	for _, g := range config.Groups() {
		if groups[g] != nil {
			section(string(g), usages(groups[g], width))
		}
	}
}

// usages describes flags. That --read-only could be --read-only=true as well is left out.
func usages(f *pflag.FlagSet, width int) string {
	const noise = "[=true|false]"
	return strings.ReplaceAll(f.FlagUsagesWrapped(width), noise, strings.Repeat(" ", len(noise)))
}

// noCommand complains of a word that is no command, and says which may have been meant.
func (a *app) noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if cmd.Name() == "call" {
		text += "; pve-mcp tools lists the tools"
	}
	prefix := strings.TrimPrefix(cmd.CommandPath()+" ", cmd.Root().Name()+" ")
	meant := didYouMean(cmd, args[0], cmd.Root().Name()+" "+prefix)
	if strings.HasPrefix(args[0], "pve_") && !cmd.HasParent() {
		meant = didYouMean(a.callCommand(true), args[0], cmd.Name()+" call ")
	}
	if meant == "" && !cmd.HasParent() {
		text += "; pve-mcp --help lists the commands"
	}
	return &exitError{exitUsage, text + meant}
}

// didYouMean names a subcommand that may have been meant, after a prefix; "" for none.
func didYouMean(cmd *cobra.Command, name, prefix string) string {
	var found []string
	for distance := 1; distance <= 2 && len(found) == 0; distance++ {
		cmd.SuggestionsMinimumDistance = distance
		found = cmd.SuggestionsFor(name)
	}
	for _, c := range cmd.Commands() { // a part of a name, such as list_guests
		if len(found) == 0 && len(name) > 3 && strings.Contains(c.Name(), name) {
			found = append(found, c.Name())
		}
	}
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return ". Did you mean " + prefix + found[0] + "?"
}
