package main

import (
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const keysPath = "/admin/v1/keys"

func newKeyCommand(a *adminCommand) *cobra.Command {
	cmd := query(a, "key", "Show the access keys; create, rotate and revoke them below it", http.MethodGet, keysPath, showKeys)
	cmd.AddCommand(
		newKeyCreateCommand(a), newKeyRotateCommand(a), newKeyRevokeCommand(a), newKeyRevokeAllCommand(a),
		keyChange(a, "enable", "Let an access key in again", api.DoEnable),
		a.asking(keyChange(a, "disable", "Refuse an access key, until it is enabled", api.DoDisable),
			aboutFirst("Disable access key %s? It and its sessions are refused within a second.")),
	)
	return cmd
}

func showKeys(w *tabwriter.Writer, keys []api.AccessKey) {
	row(w, "ACCESS KEY", "OWNER", "STATE", "CREATED", "AGE", "LAST USED", "EXPIRES", "NARROWED", "DESCRIPTION")
	for i := range keys {
		k := &keys[i]
		state, expires, narrowed := "enabled", "-", "-"
		switch {
		case k.Disabled:
			state = "disabled"
		case !k.Expires.IsZero() && time.Now().After(k.Expires):
			state = "expired"
		}
		if !k.Expires.IsZero() {
			expires = k.Expires.Local().Format(time.DateTime)
		}
		if k.SessionPolicy != "" {
			narrowed = "yes"
		}
		row(w, k.AccessKeyID, strings.TrimPrefix(k.Principal, api.UserPrincipal), state, when(k.Created), age(k.Created), whenever(k.LastUsed), expires, narrowed, dash(k.Description))
	}
}

// age is how old something is, in whole days, or hours of the first day.
func age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	hours := int(max(time.Since(since), 0).Hours())
	if hours < 24 {
		return fmt.Sprint(hours, "h")
	}
	return fmt.Sprint(hours/24, "d")
}

func newKeyCreateCommand(a *adminCommand) *cobra.Command {
	var req api.NewKey
	var file string
	cmd := &cobra.Command{
		Use:   "create WHO",
		Short: "Create an access key for a user or root; its secret is shown this once",
		Long:  "Create an access key for a user or root; its secret is shown this once. With --session-policy the key may do no more than its owner and no more than the policy says: a service account.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Principal = principalOf(args[0])
			if file != "" {
				var err error
				if req.SessionPolicy, err = readPolicy(cmd.InOrStdin(), file); err != nil {
					return err
				}
			}
			return ask(cmd.Context(), a, http.MethodPost, keysPath, req, showIssued)
		},
	}
	cmd.Flags().StringVar(&file, "session-policy", "", "`file` of a policy that narrows what the key may do; - reads standard input")
	cmd.Flags().StringVar(&req.Description, "description", "", "what it is for, up to 256 bytes")
	cmd.Flags().DurationVar(&req.Life, "life", 0, "time after which it ends; 0 is never")
	return cmd
}

// showIssued prints an access key in the form that AWS tools read.
func showIssued(w *tabwriter.Writer, k api.IssuedKey) {
	row(w, "[default]")
	row(w, "aws_access_key_id = "+k.AccessKeyID)
	row(w, "aws_secret_access_key = "+k.Secret)
}

func newKeyRotateCommand(a *adminCommand) *cobra.Command {
	var req api.NewKey
	cmd := &cobra.Command{
		Use:   "rotate ACCESSKEY",
		Short: "Create an access key in the place of another, which goes on for a while",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Replaces = args[0]
			return ask(cmd.Context(), a, http.MethodPost, keysPath, req, showIssued)
		},
	}
	cmd.Flags().DurationVar(&req.Overlap, "overlap", 24*time.Hour, "time for which the old one goes on, up to 720h")
	cmd.Flags().DurationVar(&req.Life, "life", 0, "time after which the new one ends; 0 is never")
	return cmd
}

func newKeyRevokeCommand(a *adminCommand) *cobra.Command {
	return a.asking(keyChange(a, "revoke", "Revoke an access key for good: every gateway refuses it within a second", api.DoRevoke),
		aboutFirst("Revoke access key %s? It cannot be brought back."))
}

func newKeyRevokeAllCommand(a *adminCommand) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke-all",
		Short: "Revoke every access key but the one that asks, and all sessions, within a second",
		Long:  "Revoke every access key but the one that asks, and with them all sessions: every gateway refuses them within a second. Asked by a user, those of root stay; root's last one always does.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				if err := a.env.confirm(cmd.Context(), "Revoke every access key but the one that asks? None can be brought back."); err != nil {
					return err
				}
			}
			return ask(cmd.Context(), a, http.MethodPost, keysPath+"/revoke-all", nil, func(w *tabwriter.Writer, r api.RevokedKeys) {
				row(w, "ACCESS KEY", "STATE")
				for _, id := range r.Revoked {
					row(w, id, "revoked")
				}
				for _, id := range r.Kept {
					row(w, id, "kept")
				}
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func keyChange(a *adminCommand, use, short, do string) *cobra.Command {
	return &cobra.Command{
		Use:   use + " ACCESSKEY",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := api.KeyChange{AccessKeyID: args[0], Do: do}
			client, err := a.connect()
			if err != nil {
				return err
			}
			if _, err := fetch[struct{}](cmd.Context(), client, http.MethodPost, keysPath+"/change", c); err != nil {
				return err
			}
			return show(a, c, func(w *tabwriter.Writer, c api.KeyChange) {
				row(w, c.AccessKeyID+" is "+strings.TrimSuffix(c.Do, "e")+"ed")
			})
		},
	}
}
