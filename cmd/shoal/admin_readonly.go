package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

// readOnlyOrder is the body that turns it on or off.
type readOnlyOrder struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"`
}

func newReadOnlyCommand(a *adminCommand) *cobra.Command {
	var bucket string
	cmd := &cobra.Command{
		Use:   "readonly",
		Short: "Refuse writes, to the whole store or to one bucket, while reads go on",
		Long: "Refuse writes, to the whole store or to one bucket, while reads go on. Once the command has ended without an error no gateway and no node takes one: what was begun before is written by then, or is " +
			"refused. Clients get 503 ServiceUnavailable and the reason. Multipart uploads and changes of buckets are refused too, and lifecycle rules wait; repair goes on. It outlives restarts.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&bucket, "bucket", "", "this bucket alone")
	cmd.AddCommand(newReadOnlyOnCommand(a, &bucket),
		&cobra.Command{
			Use: "off", Short: "Take writes again", Args: cobra.NoArgs,
			Long: "Take writes again. The order for the whole store and those for buckets are ended one by one.",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.readOnly(cmd, http.MethodPost, bucket, readOnlyOrder{})
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show what is read-only, and whether that is in force everywhere", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.readOnly(cmd, http.MethodGet, bucket, nil)
			},
		},
	)
	return cmd
}

func newReadOnlyOnCommand(a *adminCommand, bucket *string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "on", Short: "Refuse writes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.readOnly(cmd, http.MethodPost, *bucket, readOnlyOrder{true, reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "one line that clients and other operators are told")
	a.asking(cmd, func(*cobra.Command, []string) (string, error) {
		if *bucket == "" {
			return "Refuse every write to the whole store?", nil
		}
		return "Refuse every write to the bucket " + *bucket + "?", nil
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if strings.TrimSpace(reason) == "" {
			return &usageError{"give --reason: it is what clients are told"}
		}
		return nil
	}
	return cmd
}

// readOnly asks for the whole store, or one bucket, and prints the answer.
func (a *adminCommand) readOnly(cmd *cobra.Command, method, bucket string, body any) error {
	if bucket != "" {
		return ask(cmd.Context(), a, method, "/admin/v1/buckets/"+url.PathEscape(bucket)+"/readonly", body, func(w *tabwriter.Writer, b api.BucketReadOnly) {
			row(w, "WHAT", "WRITES", "SINCE", "REASON")
			rowOrder(w, b.Bucket, b.ReadOnlyOrder)
		})
	}
	return ask(cmd.Context(), a, method, "/admin/v1/readonly", body, showReadOnly)
}

func showReadOnly(w *tabwriter.Writer, s api.ReadOnlyStatus) {
	row(w, "WHAT", "WRITES", "SINCE", "REASON")
	rowOrder(w, "the whole store", s.ReadOnlyOrder)
	for _, b := range s.Buckets {
		rowOrder(w, b.Bucket, b.ReadOnlyOrder)
	}
	if len(s.Behind) == 0 {
		return
	}
	row(w)
	row(w, "in force in", strconv.Itoa(s.InForce)+" of "+strconv.Itoa(s.Groups)+" groups of metadata")
	row(w, "not known to be in", joinNumbers(s.Behind))
	row(w, "give the same order once more, with the same reason, to reach them")
}

func rowOrder(w *tabwriter.Writer, what string, o api.ReadOnlyOrder) {
	writes, since := "taken", "-"
	if o.On {
		writes = "refused"
	}
	if !o.Since.IsZero() {
		since = o.Since.UTC().Format(time.RFC3339)
	}
	row(w, what, writes, since, o.Reason)
}

func joinNumbers(ids []uint32) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.FormatUint(uint64(id), 10)
	}
	return strings.Join(text, ",")
}
