// Package prompt asks the user on a terminal whether to go on.
package prompt

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/cli/cli/command"
)

// Ask asks a question that is answered with yes or no; "" asks whether to go on.
func Ask(ctx context.Context, dockerCLI command.Cli, question string) (bool, error) {
	//nolint:staticcheck // the only prompt that docker/cli 28 exports
	return command.PromptForConfirmation(ctx, dockerCLI.In(), dockerCLI.Err(), question)
}

// Texts are what is said around a question.
type Texts struct {
	// Warning tells what will happen, in a sentence that a terminal may be shown.
	Warning string
	// NoTerminal is the error where nobody can be asked, Declined that of a no.
	NoTerminal, Declined string
}

// Confirm returns nil if the user lets a command go on.
func Confirm(ctx context.Context, dockerCLI command.Cli, say Texts) error {
	if !dockerCLI.In().IsTerminal() {
		return errors.New(say.NoTerminal)
	}
	fmt.Fprintln(dockerCLI.Err(), say.Warning)
	yes, err := Ask(ctx, dockerCLI, "")
	if err != nil {
		return err
	}
	if !yes {
		return errors.New(say.Declined)
	}
	return nil
}
