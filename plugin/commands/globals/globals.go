// Package globals tells the docker CLI's own options from what follows them on a
// command line.
package globals

import (
	cliflags "github.com/docker/cli/cli/flags"
	"github.com/spf13/pflag"
)

// Of returns the docker CLI's options at the beginning of a command line, whose
// first word is the program's name. It returns none where they are not valid.
func Of(args []string) []string {
	flags := pflag.NewFlagSet("docker", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	flags.Usage = func() {}
	cliflags.NewClientOptions().InstallFlags(flags)
	// Anything that is no global option, --help among it, is for the command.
	if err := flags.Parse(args[1:]); err != nil {
		return nil
	}
	return args[1 : len(args)-flags.NArg()]
}
