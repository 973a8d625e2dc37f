// Package usage makes every wrong use of a command exit with the status that
// means just that.
package usage

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/docker/docker/api/types/container"
	timetypes "github.com/docker/docker/api/types/time"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Status is the exit status for bad usage, as the docker CLI has it for
// unknown flags.
const Status = 125

// Error marks err as bad usage; nil stays nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var status cli.StatusError
	if errors.As(err, &status) {
		return err
	}
	return cli.StatusError{Cause: err, StatusCode: Status}
}

// Exclusive returns an error when both options of a pair were given.
func Exclusive(flags *pflag.FlagSet, pairs ...[2]string) error {
	for _, pair := range pairs {
		if flags.Changed(pair[0]) && flags.Changed(pair[1]) {
			return Error(fmt.Errorf("conflicting options: cannot specify both --%s and --%s", pair[0], pair[1]))
		}
	}
	return nil
}

// NoArgs is for groups: an unknown subcommand fails with status 1, as the
// docker CLI's own groups do.
func NoArgs(cmd *cobra.Command, args []string) error { return cli.NoArgs(cmd, args) }

// Install makes wrong numbers of arguments of all commands below cmd bad usage.
func Install(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		Install(sub)
		if check := sub.Args; check != nil && !sub.HasSubCommands() {
			sub.Args = func(cmd *cobra.Command, args []string) error { return Error(check(cmd, args)) }
		}
	}
}

// OneOf refuses a value of a flag that is not among those allowed.
func OneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return Error(fmt.Errorf("invalid value %q for --%s: use %s or %s", value, flag, strings.Join(allowed[:len(allowed)-1], ", "), allowed[len(allowed)-1]))
}

// Is tells whether an error is about wrong use though nobody has marked it so: about an
// option before the command's name, or a template for --format that the docker CLI's
// tables cannot be made by, which it tells by these words alone.
func Is(err error) bool {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var value *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	return errors.As(err, &unknown) || errors.As(err, &missing) || errors.As(err, &value) || errors.As(err, &syntax) ||
		strings.HasPrefix(err.Error(), "template parsing error: ")
}

// Logs checks what part of a container's log is asked for: engines take a number of
// lines that is none for all of them.
func Logs(options container.LogsOptions) error {
	if n, err := strconv.Atoi(options.Tail); options.Tail != "all" && (err != nil || n < 0) {
		return Error(fmt.Errorf("invalid value %q for --tail: give a number of lines, or all", options.Tail))
	}
	for flag, text := range map[string]string{"since": options.Since, "until": options.Until} {
		if _, err := timetypes.GetTimestamp(text, time.Now()); text != "" && err != nil {
			return Error(fmt.Errorf("invalid value %q for --%s: give a time, such as 2013-01-02T13:23:37Z, or one before now, such as 42m", text, flag))
		}
	}
	return nil
}
