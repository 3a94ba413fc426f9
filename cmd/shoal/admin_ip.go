package main

import (
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

func newIPCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ip",
		Short: "Say which addresses are served",
		Long: "Say which addresses are served by S3 and management. Of all blocks that hold an address the smallest decides; one that no block holds is served. " +
			"To serve a few alone, block 0.0.0.0/0 and ::/0 and allow them. It holds on every gateway within a second. Management always answers loopback.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	rule := func(use, short, verdict string) *cobra.Command {
		return &cobra.Command{
			Use: use + " BLOCK", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return a.setIP(cmd, args[0], verdict) },
		}
	}
	cmd.AddCommand(
		rule("block", "Serve no requests from a block of addresses, such as 192.0.2.0/24", api.IPBlock),
		rule("allow", "Serve requests from a block of addresses within one that is blocked", api.IPAllow),
		rule("remove", "Forget the rule for a block of addresses", ""),
		&cobra.Command{
			Use: "list", Short: "List the rules", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.listIP(cmd) },
		},
	)
	return cmd
}

// setIP changes the rule for a block of addresses.
func (a *adminCommand) setIP(cmd *cobra.Command, block, verdict string) error {
	p, err := api.ParsePrefix(block)
	if err != nil {
		return &usageError{err.Error()}
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	if _, err := fetch[struct{}](cmd.Context(), client, http.MethodPost, settingsPath, change{api.IPSetting(p), verdict}); err != nil {
		return err
	}
	return show(a, api.IPRule{Prefix: p, Verdict: verdict}, func(w *tabwriter.Writer, r api.IPRule) {
		if r.Verdict == "" {
			r.Verdict = "as larger blocks say"
		}
		row(w, r.Prefix.String()+": "+r.Verdict)
	})
}

func (a *adminCommand) listIP(cmd *cobra.Command) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	settings, err := fetch[[]api.Setting](cmd.Context(), client, http.MethodGet, settingsPath, nil)
	if err != nil {
		return err
	}
	rules := api.IPRules(settings)
	if rules == nil {
		rules = []api.IPRule{}
	}
	return show(a, rules, func(w *tabwriter.Writer, rules []api.IPRule) {
		row(w, "BLOCK", "REQUESTS")
		for _, r := range rules {
			row(w, r.Prefix, r.Verdict)
		}
	})
}
