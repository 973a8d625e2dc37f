package commands

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/completion"
	"github.com/docker/cli/opts"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docker-kasm/docker-kasm/internal/runspec"
	"github.com/docker-kasm/docker-kasm/internal/session"
)

// runSettings are the flags that override settings of the workspace. They are
// named, and written, as those of `docker run`.
type runSettings struct {
	env, envFile, volumes, ports, networks, ulimits opts.ListOpts
	cpus, memory, shmSize, gpus                     setting
	remove                                          bool
	flags                                           *pflag.FlagSet
}

func (s *runSettings) install(dockerCLI command.Cli, cmd *cobra.Command) {
	*s = runSettings{
		env: opts.NewListOpts(opts.ValidateEnv), envFile: opts.NewListOpts(nil),
		volumes: opts.NewListOpts(absolute),
		ports:   opts.NewListOpts(checked(func(texts []string) error { _, _, err := runspec.Ports(texts); return err })),
		networks: opts.NewListOpts(checked(func(texts []string) error {
			_, _, err := runspec.Networks(texts)
			return err
		})),
		ulimits: opts.NewListOpts(checked(func(texts []string) error { _, err := runspec.Ulimits(texts); return err })),
		cpus:    setting{kind: "decimal", check: func(text string) error { _, err := runspec.CPUs(text); return err }},
		memory:  setting{kind: "bytes", check: func(text string) error { _, err := runspec.Size(text); return err }},
		shmSize: setting{kind: "bytes", check: func(text string) error { _, err := runspec.Size(text); return err }},
		gpus:    setting{kind: "gpu-request", check: func(text string) error { _, err := runspec.GPUs(text); return err }},
	}
	flags := cmd.Flags()
	flags.VarP(&s.env, "env", "e", "Set environment variables")
	flags.Var(&s.envFile, "env-file", "Read in a file of environment variables")
	flags.VarP(&s.volumes, "volume", "v", "Bind mount a volume")
	flags.VarP(&s.ports, "publish", "p", "Publish a session's port(s) to the host")
	flags.Var(&s.networks, "network", "Connect the session to a network")
	flags.Var(&s.ulimits, "ulimit", "Ulimit options")
	flags.Var(&s.cpus, "cpus", "Number of CPUs")
	flags.VarP(&s.memory, "memory", "m", "Memory limit")
	flags.Var(&s.shmSize, "shm-size", "Size of /dev/shm")
	flags.Var(&s.gpus, "gpus", `GPU devices to add to the session ("all" to pass all GPUs)`)
	flags.BoolVar(&s.remove, "rm", false, "Delete the session and its anonymous volumes when it stops")
	s.flags = flags
	for name, complete := range map[string]cobra.CompletionFunc{
		"env": completion.EnvVarNames, "env-file": completion.FileNames, "volume": completeVolume(dockerCLI),
		"network": completion.NetworkNames(dockerCLI), "gpus": completion.FromList("all"),
		"publish": cobra.NoFileCompletions, "ulimit": completeUlimit, "cpus": cobra.NoFileCompletions,
		"memory": cobra.NoFileCompletions, "shm-size": cobra.NoFileCompletions,
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, complete)
	}
}

// overrides are what the flags say.
func (s *runSettings) overrides() (session.Overrides, error) {
	env, err := opts.ReadKVEnvStrings(s.envFile.GetSlice(), s.env.GetSlice())
	if err != nil {
		return session.Overrides{}, err
	}
	// Each is right by itself; together they can contradict each other.
	if _, _, err := runspec.Networks(s.networks.GetSlice()); err != nil {
		return session.Overrides{}, fmt.Errorf("--network: %w", err)
	}
	var remove *bool
	if s.flags.Changed("rm") {
		remove = &s.remove
	}
	return session.Overrides{
		Env: env, Ports: s.ports.GetSlice(), Volumes: s.volumes.GetSlice(), Ulimits: s.ulimits.GetSlice(), Networks: s.networks.GetSlice(),
		CPUs: s.cpus.text, Memory: s.memory.text, ShmSize: s.shmSize.text, GPUs: s.gpus.text, Remove: remove,
	}, nil
}

// checked makes a validator of a flag's values out of a parser of several.
func checked(parse func(texts []string) error) opts.ValidatorFctType {
	return func(text string) (string, error) { return text, parse([]string{text}) }
}

// absolute checks a volume. A path that is relative to the current folder becomes
// absolute: the engine knows no such folder.
func absolute(text string) (string, error) {
	v, err := runspec.ParseVolume(text)
	if err != nil || !strings.HasPrefix(v.Source, ".") {
		return text, err
	}
	if v.Source, err = filepath.Abs(v.Source); err != nil {
		return text, err
	}
	return v.String(), nil
}

// completeVolume completes the volume's name, or else a path.
func completeVolume(dockerCLI command.Cli) cobra.CompletionFunc {
	names := completion.VolumeNames(dockerCLI)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if strings.ContainsAny(toComplete, "/.:") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		list, directive := names(cmd, args, toComplete)
		for i := range list {
			list[i] += ":"
		}
		return list, directive | cobra.ShellCompDirectiveNoSpace
	}
}

// completeUlimit completes the names of the limits that Linux has
// (https://docs.docker.com/reference/cli/docker/container/run/#ulimit).
func completeUlimit(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{
		"as=", "chroot=", "core=", "cpu=", "data=", "fsize=", "locks=", "maxlogins=", "maxsyslogins=", "memlock=", "msgqueue=",
		"nice=", "nofile=", "nproc=", "priority=", "rss=", "rtprio=", "sigpending=", "stack=",
	}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// setting is a flag with one value, which is kept as it is written; text is nil
// unless it is given.
type setting struct {
	kind  string
	check func(text string) error
	text  *string
}

func (s *setting) Set(text string) error {
	if err := s.check(text); err != nil {
		return err
	}
	s.text = &text
	return nil
}

func (s *setting) Type() string { return s.kind }

func (s *setting) String() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}
