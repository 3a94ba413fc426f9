package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/gateway/audit"
)

func newAdminAuditCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Look at where the records of the logs go",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(query(a, "targets", "Show where the process at --admin sends the records of its logs, and what waits for that", http.MethodGet, "/admin/v1/audit/targets", showTargets))
	return cmd
}

func showTargets(w *tabwriter.Writer, all []audit.TargetStatus) {
	row(w, "TARGET", "KIND", "LOG", "STATE", "WAITING", "OF", "FULL", "OLDEST", "DELIVERED", "SKIPPED", "LAST DELIVERY", "LAST ERROR")
	for i := range all {
		t := &all[i]
		row(w, t.Target, t.Kind, t.Log, t.State, fmt.Sprintf("%d, %s", t.QueueRecords, formatSize(t.QueueBytes)), formatSize(t.QueueBytesMax), t.Full,
			whenever(t.Oldest), t.Delivered, t.Skipped, when(t.LastDelivery), dash(t.LastError))
	}
}
