package main

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

func newBucketCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bucket",
		Short: "Look at a bucket, bound what it may hold, and say who may do what",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuotaCommand(a), newPermissionsCommand(a))
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

// permissions are those of the management port: by whom they are given to.
type permissions map[string][]string

func newPermissionsCommand(a *adminCommand) *cobra.Command {
	var set []string
	var none bool
	cmd := &cobra.Command{
		Use:   "permissions BUCKET",
		Short: "Show what a bucket's ACL grants, or replace it",
		Long: "Show what a bucket's ACL grants, or replace it. With --set, given once for each grantee, or --none, the whole ACL is replaced; root keeps full control. A grantee is the name of a user, AllUsers, " +
			"AuthenticatedUsers or LogDelivery. Permissions are read (to list), write (to put objects), read_acp and write_acp (to see and to change the ACL), and full_control, which is all of them. " +
			"An ACL counts only where the bucket's object ownership is ObjectWriter or BucketOwnerPreferred; policies say more.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			method, body := http.MethodGet, any(nil)
			switch {
			case len(set) > 0 && none:
				return &usageError{"--none does not go with --set"}
			case len(set) > 0 || none:
				p, err := readPermissions(set)
				if err != nil {
					return err
				}
				method, body = http.MethodPut, p
			}
			return ask(cmd.Context(), a, method, "/admin/v1/buckets/"+url.PathEscape(args[0])+"/permissions", body, printPermissions)
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "what a grantee is given, `WHO=PERMISSION,…`; may be repeated")
	cmd.Flags().BoolVar(&none, "none", false, "take everything from everybody but root")
	return a.asking(cmd, func(_ *cobra.Command, args []string) (string, error) {
		p, err := readPermissions(set)
		if err != nil {
			return "", err
		}
		for _, group := range [...]struct{ name, who string }{{"AllUsers", "everybody, without a signature"}, {"AuthenticatedUsers", "every user of the store"}} {
			if list := p[group.name]; len(list) > 0 {
				return "Give " + strings.Join(list, ",") + " of the bucket " + args[0] + " to " + group.who + "?", nil
			}
		}
		return "", nil
	})
}

// readPermissions reads values of --set.
func readPermissions(set []string) (permissions, error) {
	p := permissions{}
	for _, s := range set {
		who, list, ok := strings.Cut(s, "=")
		if !ok || who == "" || list == "" {
			return nil, &usageError{"--set is WHO=PERMISSION,…"}
		}
		switch who {
		case api.RootPrincipal, "AllUsers", "AuthenticatedUsers", "LogDelivery":
		default:
			who = api.UserPrincipal + who
		}
		p[who] = append(p[who], strings.Split(list, ",")...)
	}
	return p, nil
}

func printPermissions(w *tabwriter.Writer, p permissions) {
	row(w, "GRANTEE", "PERMISSIONS")
	for _, who := range slices.Sorted(maps.Keys(p)) {
		row(w, strings.TrimPrefix(who, api.UserPrincipal), strings.Join(p[who], ","))
	}
}

func printUsage(w *tabwriter.Writer, u api.Usage) {
	bound := func(n int64, text string) string {
		if n == 0 {
			return "none"
		}
		return text
	}
	row(w, "bucket", "owner", "bytes", "of", "objects", "of", "versions", "uploads", "their bytes")
	row(w, u.Bucket, u.Owner, formatSize(u.Bytes), bound(u.Quota.Bytes, formatSize(u.Quota.Bytes)), strconv.FormatInt(u.Objects, 10),
		bound(u.Quota.Objects, strconv.FormatInt(u.Quota.Objects, 10)), strconv.FormatInt(u.Versions, 10), strconv.FormatInt(u.Uploads, 10), formatSize(u.PartBytes))
}
