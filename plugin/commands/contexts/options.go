// Package contexts does what a command does in several contexts of the docker
// CLI, in all of them at the same time.
package contexts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/context/store"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

const (
	allFlag     = "all-contexts"
	namesFlag   = "contexts"
	timeoutFlag = "context-timeout"
)

// defaultTimeout is what a context on the other side of the world needs, by ssh and
// with a slow login.
const defaultTimeout = 10 * time.Second

// Options say which contexts a command is for. Without their flags that is the
// current one, as for every command.
type Options struct {
	all     bool
	names   []string
	timeout time.Duration
}

// Install adds the flags to a command.
func (o *Options) Install(cmd *cobra.Command, dockerCLI command.Cli) {
	flags := cmd.Flags()
	flags.BoolVar(&o.all, allFlag, false, "Do it in all contexts at once")
	flags.StringSliceVar(&o.names, namesFlag, nil, "Do it in these contexts at once")
	flags.DurationVar(&o.timeout, timeoutFlag, defaultTimeout, "Time that each of several contexts may take to answer")
	_ = cmd.RegisterFlagCompletionFunc(namesFlag, completeList(dockerCLI))
	_ = cmd.RegisterFlagCompletionFunc(timeoutFlag, cobra.NoFileCompletions)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return usage.Error(o.check(cmd)) }
}

// Several tells whether the flags ask for other than the current context.
func (o *Options) Several() bool { return o.all || len(o.names) > 0 }

func (o *Options) check(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if err := usage.Exclusive(flags, [2]string{allFlag, namesFlag}); err != nil {
		return err
	}
	given := namesFlag
	if o.all {
		given = allFlag
	}
	switch {
	case flags.Changed(namesFlag) && len(o.names) == 0:
		return fmt.Errorf("--%s names no context: `docker context ls` lists them", namesFlag)
	case !o.Several() && flags.Changed(timeoutFlag):
		return fmt.Errorf("--%s is for --%s and --%s", timeoutFlag, allFlag, namesFlag)
	case !o.Several():
		return nil
	case o.timeout <= 0:
		return fmt.Errorf("invalid value %s for --%s: use more than 0", o.timeout, timeoutFlag)
	}
	for _, name := range o.names {
		if name == command.DefaultContextName {
			continue
		}
		if err := store.ValidateContextName(name); err != nil {
			return fmt.Errorf("invalid value %q for --%s: %w", name, namesFlag, err)
		}
	}
	// These say what the current context is, which is not asked for. DOCKER_HOST
	// says what the default context is, as for `docker context ls`.
	for _, global := range []string{"context", "host"} {
		if cmd.Root().Flags().Changed(global) {
			return fmt.Errorf("conflicting options: cannot specify both --%s and --%s", global, given)
		}
	}
	return nil
}

// completeList completes a list of contexts, without those that are in it.
func completeList(dockerCLI command.Cli) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		var before string
		if i := strings.LastIndex(toComplete, ","); i >= 0 {
			before = toComplete[:i+1]
		}
		var words []string
		for _, e := range known(dockerCLI.ContextStore()) {
			if e.err == nil && !slices.Contains(strings.Split(before, ","), e.name) {
				words = append(words, before+e.name)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// Open returns the contexts that the flags name. One that cannot be used is among
// them, and fails by itself once it is asked. The caller closes the set.
func (o *Options) Open(dockerCLI command.Cli) (*Set, error) {
	headers, err := customHeaders(dockerCLI.ConfigFile().HTTPHeaders)
	if err != nil {
		return nil, err
	}
	contexts := dockerCLI.ContextStore()
	var entries []entry
	if o.all {
		entries = known(contexts)
	}
	for _, name := range o.names {
		// What is misspelled is not to be found out from a row among many.
		if _, err := contexts.GetMetadata(name); err != nil && cerrdefs.IsNotFound(err) {
			return nil, fmt.Errorf("there is no context %q: `docker context ls` lists them", name)
		}
		entries = append(entries, entry{name: name})
	}
	set := &Set{timeout: o.timeout}
	for _, e := range sorted(entries) {
		set.contexts = append(set.contexts, open(dockerCLI, e, headers))
	}
	return set, nil
}
