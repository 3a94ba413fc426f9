package main

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

func newBucketCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bucket",
		Short: "Look at a bucket and bound what it may hold",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuotaCommand(a))
	return cmd
}

func newQuotaCommand(a *adminCommand) *cobra.Command {
	var size byteCount
	var objects int64
	var none bool
	cmd := &cobra.Command{
		Use:   "quota BUCKET",
		Short: "Show what a bucket holds, or bound what it may hold",
		Long: "Show what a bucket holds, or bound what it may hold. With --bytes or --objects the quota is set, with --none it is taken away. Writes that would exceed it are refused with " +
			"QuotaExceeded from then on; what is there already stays. All versions count until they are deleted, parts of open uploads do not.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			method, body := http.MethodGet, any(nil)
			switch set := cmd.Flags().Changed("bytes") || cmd.Flags().Changed("objects"); {
			case set && none:
				return errors.New("--none goes with neither --bytes nor --objects")
			case none:
				method = http.MethodDelete
			case set:
				method, body = http.MethodPut, api.Quota{Bytes: int64(size), Objects: objects}
			}
			return ask(cmd.Context(), a, method, "/admin/v1/buckets/"+url.PathEscape(args[0])+"/quota", body, printUsage)
		},
	}
	cmd.Flags().Var(&size, "bytes", "greatest size of all versions, such as 500GiB")
	cmd.Flags().Int64Var(&objects, "objects", 0, "greatest `number` of objects")
	cmd.Flags().BoolVar(&none, "none", false, "take the quota away")
	return cmd
}

func printUsage(w *tabwriter.Writer, u api.Usage) {
	bound := func(n int64, text string) string {
		if n == 0 {
			return "none"
		}
		return text
	}
	row(w, "bucket", "owner", "bytes", "of", "objects", "of", "versions", "uploads")
	row(w, u.Bucket, u.Owner, formatSize(u.Bytes), bound(u.Quota.Bytes, formatSize(u.Quota.Bytes)), strconv.FormatInt(u.Objects, 10),
		bound(u.Quota.Objects, strconv.FormatInt(u.Quota.Objects, 10)), strconv.FormatInt(u.Versions, 10), strconv.FormatInt(u.Uploads, 10))
}
