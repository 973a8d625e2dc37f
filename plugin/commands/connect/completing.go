package connect

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// Completing is the context of a command that completes an argument by what an
// engine or a helper says: nobody waits longer at a press of the tab key.
func Completing(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), 2*time.Second)
}
