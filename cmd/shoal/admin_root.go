package main

import (
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node"
	"shoal/node/api"
)

const rootPath = "/admin/v1/root"

// rootState is the body that disables or enables root.
type rootState struct {
	Disabled bool `json:"disabled"`
}

func newRootCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "root",
		Short: "Replace what root signs with, or keep root from signing",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newRootReplaceCommand(a),
		rootChange(a, "disable", "Refuse all access keys of root, and its sessions, within a second",
			"Refuse all access keys of root, and its sessions, within a second. It is refused unless a user with the policy admin, or as many rights, has an access key that does not end. Such a user enables root again; "+
				"where there is none any more, shoal admin root recover does.", true, "Disable root?"),
		rootChange(a, "enable", "Let root's access keys in again", "Let root's access keys in again, but for those that are disabled by themselves.", false, ""),
		newRootRecoverCommand(a),
	)
	return cmd
}

func newRootReplaceCommand(a *adminCommand) *cobra.Command {
	var body struct {
		Overlap time.Duration `json:"overlap"`
	}
	cmd := &cobra.Command{
		Use: "replace", Short: "Make a new access key for root in the place of the one that asks; its secret is shown this once", Args: cobra.NoArgs,
		Long: "Make a new access key for root in the place of the one that asks; its secret is shown this once. A node that keeps the old one in root.credentials of its data directory writes the new one there, and " +
			"says so. The old one goes on for the overlap.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, http.MethodPost, rootPath+"/replace", body, showReplaced)
		},
	}
	cmd.Flags().DurationVar(&body.Overlap, "overlap", 0, "time for which the old one goes on, up to 720h")
	return a.asking(cmd, func(*cobra.Command, []string) (string, error) {
		when := "at once"
		if body.Overlap > 0 {
			when = "in " + body.Overlap.String()
		}
		return "Replace the access key of root that asks? It ends " + when + ", wherever else it is used.", nil
	})
}

func showReplaced(w *tabwriter.Writer, r api.ReplacedRoot) {
	showIssued(w, r.IssuedKey)
	for _, f := range r.Files {
		row(w, "# written to "+f.Path+" on node "+shortPeer(f.Node))
	}
	for _, f := range r.Failed {
		row(w, "# not known to be written on node "+shortPeer(f.Node)+": if the old one is in its root.credentials, put this there")
	}
	if len(r.Files)+len(r.Failed) == 0 {
		row(w, "# no node keeps the old one in a file: keep this one")
	}
}

func rootChange(a *adminCommand, use, short, long string, disabled bool, question string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if question != "" && !yes {
				if err := a.env.confirm(cmd.Context(), question); err != nil {
					return err
				}
			}
			client, err := a.connect()
			if err != nil {
				return err
			}
			state := rootState{disabled}
			if _, err := fetch[struct{}](cmd.Context(), client, http.MethodPost, rootPath, state); err != nil {
				return err
			}
			return show(a, state, func(w *tabwriter.Writer, _ rootState) { row(w, "root is "+use+"d") })
		},
	}
	if question != "" {
		cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	}
	return cmd
}

func newRootRecoverCommand(a *adminCommand) *cobra.Command {
	return &cobra.Command{
		Use: "recover", Short: "Give root a new access key at the next start of a stopped node", Args: cobra.NoArgs,
		Long: "Give root a new access key at the next start of a stopped node (--data), and enable it: for when root's secret is lost, or root is disabled and nobody can enable it. The node must run with the others for that. " +
			"It then writes the access key to root.credentials in its data directory. Other access keys of root stay: revoke them if they are not known to be safe.",
		RunE: func(*cobra.Command, []string) error {
			s, err := a.loader.load()
			if err != nil {
				return err
			}
			path, err := node.RecoverRoot(s.data)
			if err != nil {
				return err
			}
			return show(a, map[string]string{"credentials": path}, func(w *tabwriter.Writer, m map[string]string) {
				row(w, "start the node: root is enabled then, and its new access key in "+m["credentials"])
			})
		},
	}
}
