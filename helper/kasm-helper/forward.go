package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/docker-kasm/docker-kasm/internal/forward"
)

// newForwardCommand is the far end of `docker kasm session open`.
func newForwardCommand() *cobra.Command {
	return &cobra.Command{
		Use:    forward.Command + " PORT",
		Short:  "Carry connections between standard input and output and a port here",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			port, err := strconv.ParseUint(args[0], 10, 16)
			if err != nil || port == 0 {
				return invalidError{fmt.Errorf("invalid port %q: give a number from 1 to 65535", args[0])}
			}
			return forward.Serve(cmd.Context(), os.Stdin, os.Stdout, uint16(port), func(line string) { fmt.Fprintln(os.Stderr, line) })
		},
	}
}
