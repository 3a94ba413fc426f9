package main

import (
	"github.com/spf13/cobra"
)

func newDriveCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drive",
		Short: "Work on a drive of a stopped node",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	return cmd
}
