package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node"
)

func newDriveCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drive",
		Short: "Work on a drive of a node",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDriveRemoveCommand(a), &cobra.Command{
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

// driveName names the drive that a request is about.
type driveName struct {
	Drive string `json:"drive"`
}

func newDriveRemoveCommand(a *adminCommand) *cobra.Command {
	var yes, stopped bool
	cmd := &cobra.Command{
		Use:   "remove DRIVE",
		Short: "Forget a drive that is gone for good",
		Long: "Forget a drive that is gone for good, or was replaced by an empty one: what it held is made again from the other drives. DRIVE is the drive's path, its ID, or 6 or more digits of " +
			"the beginning of its ID (shoal admin space). The node must run without it (--degraded). With --stopped the command works on the data directory (--data) of a node that does not run; " +
			"started again, the node takes an empty directory at --drive as a new drive.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				if err := a.env.confirm(cmd.Context(), fmt.Sprintf("Forget the drive %s? What only this drive holds is lost.", args[0])); err != nil {
					return err
				}
			}
			if stopped {
				return a.removeStopped(args[0])
			}
			client, err := a.connect()
			if err != nil {
				return err
			}
			body := driveName{args[0]}
			if _, err := fetch[struct{}](cmd.Context(), client, http.MethodPost, "/admin/v1/drives/remove", body); err != nil {
				return err
			}
			return show(a, body, func(w *tabwriter.Writer, d driveName) {
				row(w, "the drive "+d.Drive+" is forgotten; shoal admin health tells when what it held is made again")
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&stopped, "stopped", false, "work on the data directory of a node that does not run")
	return cmd
}

// removeStopped makes the stopped node of the data directory forget a drive.
func (a *adminCommand) removeStopped(name string) error {
	s, err := a.loader.load()
	if err != nil {
		return err
	}
	report, err := node.RemoveDrive(s.data, name)
	if err != nil {
		return err
	}
	return show(a, map[string]string{"drive": name, "report": report}, func(w *tabwriter.Writer, m map[string]string) {
		row(w, m["report"])
	})
}
