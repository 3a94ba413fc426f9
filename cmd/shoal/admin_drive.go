package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"shoal/node"
)

func newDriveCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drive",
		Short: "Work on a drive of a stopped node",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "rebuild-index PATH",
		Short: "Make the index of a drive anew from its segments",
		Long:  "Make the index of a drive anew from its segments. The node must not run. A node does this by itself when it finds the index missing or damaged.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			report, err := node.RebuildIndex(args[0])
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(a.env.out, map[string]string{"drive": args[0], "report": report})
			}
			_, err = fmt.Fprintf(a.env.out, "%s: %s\n", args[0], report)
			return err
		},
	})
	return cmd
}
