package commands

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/registry"
	"github.com/morikuni/aec"
	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/disk"
	"github.com/docker-kasm/docker-kasm/internal/display"
	"github.com/docker-kasm/docker-kasm/internal/dockercli"
	"github.com/docker-kasm/docker-kasm/internal/doctor"
	"github.com/docker-kasm/docker-kasm/internal/helperapi"
	"github.com/docker-kasm/docker-kasm/internal/imageref"
	"github.com/docker-kasm/docker-kasm/internal/roster"
	"github.com/docker-kasm/docker-kasm/internal/version"
	"github.com/docker-kasm/docker-kasm/internal/workspace"
	"github.com/docker-kasm/docker-kasm/plugin/commands/catalog"
	"github.com/docker-kasm/docker-kasm/plugin/commands/connect"
	"github.com/docker-kasm/docker-kasm/plugin/commands/output"
	"github.com/docker-kasm/docker-kasm/plugin/commands/pipeline"
	"github.com/docker-kasm/docker-kasm/plugin/commands/usage"
)

type doctorOptions struct {
	quiet   bool
	format  string
	timeout time.Duration
}

func newDoctorCommand(dockerCLI command.Cli) *cobra.Command {
	var options doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [OPTIONS]",
		Short: "Look for what is wrong, and say how to mend it",
		Long: `Look at the plugin, the docker CLI, the context, its engine, whether that can pause
sessions, the room on its disk, credential helpers, the registries of the workspaces'
images, workspace files, records of sessions, pushes that failed, and the helper. Each
is ok, a warning, or failed, with what to do about it; the exit status is 1 if something
failed.

Nothing is changed. Each registry is asked for one image, which may count as a pull.
Credential helpers are asked for the names they know; a registry gets the login that
"docker pull" would give it.`,
		Example: `  docker kasm doctor
  docker --context remote kasm doctor --quiet --timeout 1m`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), dockerCLI, options)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.quiet, "quiet", "q", false, "Only show what is not ok")
	flags.StringVarP(&options.format, "format", "f", "", output.FormatHelp)
	flags.DurationVar(&options.timeout, "timeout", 10*time.Second, "How long each check may take")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("timeout", cobra.FixedCompletions([]string{"10s", "1m"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runDoctor(ctx context.Context, dockerCLI command.Cli, options doctorOptions) error {
	if options.timeout <= 0 {
		return usage.Error(fmt.Errorf("invalid value %q for --timeout: give a time such as 10s", options.timeout))
	}
	colour := dockerCLI.Out().IsTerminal() && os.Getenv("NO_COLOR") == ""
	out := io.Writer(dockerCLI.Out())
	if options.format != "" {
		out = display.Writer(out)
	}
	show, err := output.New(options.format, func(out io.Writer, f doctor.Finding) error { return writeFinding(out, f, colour) })
	if err != nil {
		return err
	}
	helper := newLazyHelper(dockerCLI)
	defer helper.close()
	failed := 0
	err = doctor.Run(ctx, options.timeout, checks(ctx, dockerCLI, helper, options.timeout), func(f doctor.Finding) error {
		if f.Status == doctor.Failed {
			failed++
		}
		if options.quiet && f.Status == doctor.OK {
			return nil
		}
		return show(out, f)
	})
	if err == nil && failed > 0 {
		err = cli.StatusError{StatusCode: 1}
	}
	return err
}

// checks are all of them, in the order in which one thing needs the other.
func checks(ctx context.Context, dockerCLI command.Cli, helper *lazyHelper, limit time.Duration) []doctor.Check {
	v := version.Get().Version
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	api := dockerCLI.Client()
	engine := doctor.NewEngine(ctx, limit, api, dockerCLI.CurrentContext(), dockerCLI.DockerEndpoint().Host)
	records := readOnly{dockerCLI}
	return []doctor.Check{
		doctor.Plugin(v, self, dockercli.PluginDirs(dockerCLI.ConfigFile()), dockercli.Executable),
		doctor.CLI(dockercli.Version),
		engine.Context(),
		engine.Version(),
		engine.Pause(),
		engine.Disk(api, records, helper.disk),
		doctor.Credentials(dockerCLI.ConfigFile()),
		engine.Registries(api, func(ctx context.Context) []*workspace.Workspace { return enabled(ctx, dockerCLI) },
			func(ref string) (string, bool, error) { return login(dockerCLI, ref) }),
		engine.Workspaces(func(ctx context.Context, askEngine bool) ([]doctor.WorkspaceFile, error) {
			if askEngine {
				return workspaceFiles(ctx, dockerCLI, catalog.Any)
			}
			return workspaceFiles(ctx, dockerCLI, catalog.ScopeUser)
		}),
		engine.Sessions(records.Records),
		doctor.Pushes(catalog.Pushes()),
		engine.Helper(v, helper.connect),
	}
}

// statusWidth is that of the longest status.
const statusWidth = 7

func writeFinding(out io.Writer, f doctor.Finding, colour bool) error {
	status := fmt.Sprintf("%-*s", statusWidth, f.Status)
	if colour {
		status = map[doctor.Status]aec.ANSI{doctor.OK: aec.GreenF, doctor.Warning: aec.YellowF, doctor.Failed: aec.RedF}[f.Status].Apply(status)
	}
	_, err := fmt.Fprintf(out, "%s  %-11s  %s\n", status, f.Check, display.Line(f.Text))
	if f.Advice != "" && err == nil {
		_, err = fmt.Fprintf(out, "%*s  %11s  to do: %s\n", statusWidth, "", "", display.Line(f.Advice))
	}
	return err
}

// enabled are the workspaces of all catalogs that can be read.
func enabled(ctx context.Context, dockerCLI command.Cli) []*workspace.Workspace {
	where, err := catalog.Open(dockerCLI, catalog.Any)
	if err != nil {
		return nil
	}
	defer where.Close()
	list, _ := where.List(ctx) // another check tells of those that cannot be read
	return list
}

func workspaceFiles(ctx context.Context, dockerCLI command.Cli, scope string) ([]doctor.WorkspaceFile, error) {
	where, err := catalog.Open(dockerCLI, scope)
	if err != nil {
		return nil, err
	}
	defer where.Close()
	files, err := where.Files(ctx)
	list := make([]doctor.WorkspaceFile, len(files))
	for i, f := range files {
		list[i].Name = f.Name
		if problems := f.Problems(); len(problems) > 0 {
			list[i].Err = &problems[0]
			if more := len(problems) - 1; more > 0 {
				list[i].Err = fmt.Errorf("%w (and %d more)", &problems[0], more)
			}
		}
	}
	return list, err
}

// readOnly knows the sessions that no label tells of, and drops none of them: the
// doctor changes nothing.
type readOnly struct{ dockerCLI command.Cli }

// Records has a catalog of its own for each check, as they are made at the same time.
func (r readOnly) Records(ctx context.Context, answers bool) ([]roster.Record, error) {
	where, err := catalog.Open(r.dockerCLI, catalog.Any)
	if err != nil {
		return nil, err
	}
	defer where.Close()
	return where.Records(ctx, answers)
}

// AtOnce is false: other checks ask at the same time anyway.
func (readOnly) AtOnce() bool { return false }

// Missing leaves the records as they are.
func (readOnly) Missing(context.Context, []roster.Record) {}

// login is what the registry of an image gets to see of the user, and whether that
// is anything.
func login(dockerCLI command.Cli, ref string) (string, bool, error) {
	named, err := imageref.Parse(ref)
	if err != nil {
		return "", false, err
	}
	auth, err := pipeline.Auth(dockerCLI, imageref.Host(named))
	if err != nil {
		return "", false, err
	}
	encoded, err := registry.EncodeAuthConfig(auth)
	return encoded, auth.Username != "" || auth.IdentityToken != "" || auth.RegistryToken != "", err
}

// lazyHelper reaches the engine's helper once somebody wants to know something of it.
type lazyHelper struct {
	dockerCLI command.Cli
	mu        sync.Mutex
	client    *helperapi.Client
	err       error
}

func newLazyHelper(dockerCLI command.Cli) *lazyHelper { return &lazyHelper{dockerCLI: dockerCLI} }

func (h *lazyHelper) get(ctx context.Context) (*helperapi.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client == nil && h.err == nil {
		if h.client, h.err = connect.Helper(ctx, h.dockerCLI); h.client != nil {
			h.client.Older = nil // a check tells so
		}
	}
	return h.client, h.err
}

func (h *lazyHelper) connect(ctx context.Context) (doctor.HelperAPI, error) {
	client, err := h.get(ctx)
	if err != nil {
		return nil, err
	}
	return client, nil
}

func (h *lazyHelper) disk(ctx context.Context) (disk.Space, bool) {
	client, err := h.get(ctx)
	if err != nil {
		return disk.Space{}, false
	}
	status, err := client.Status(ctx)
	if err != nil || status.Disk == nil {
		return disk.Space{}, false
	}
	return disk.Space{Free: status.Disk.Free, Total: status.Disk.Total}, true
}

func (h *lazyHelper) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		_ = h.client.Close() // it was only asked
	}
}
