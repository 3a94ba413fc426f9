package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/gateway/audit"
	"shoal/p2p"
	"shoal/p2p/transport"
)

func newAuditCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check the access log and the log of acts",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a := &adminCommand{env: env, loader: newLoader(env, cmd, partAdmin)}
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON instead of a table")
	cmd.AddCommand(newVerifyCommand(a), newCheckpointsCommand(a))
	return cmd
}

func newVerifyCommand(a *adminCommand) *cobra.Command {
	var o audit.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify [FILE|DIR]...",
		Short: "Find records that were changed, removed, reordered, inserted or cut off",
		Long: `Find records that were changed, removed, reordered, inserted or cut off. It works on the files alone, also while they are written; without
arguments on DATA/logs. Checkpoints beside the log are used. Who can rewrite the whole disk can rewrite these as well, so give it what other members
keep: their DATA/logs/checkpoints, or what "shoal audit checkpoints" prints when it asks one of them.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.loader.load()
			if err != nil {
				return err
			}
			if o.Paths = args; len(args) == 0 {
				o.Paths = []string{logDir(s.data)}
			}
			o.KeyOf = func(peerID string) (ed25519.PublicKey, error) { return transport.PublicKey(p2p.NodeID(peerID)) }
			report, err := audit.Verify(cmd.Context(), &o)
			if err != nil {
				return err
			}
			if err := show(a, report, showReport); err != nil {
				return err
			}
			if !report.Whole() {
				return errors.New("the log is not what was written")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Checkpoints, "checkpoints", nil, "`file` or directory of checkpoints that another member keeps; repeat for more")
	f.StringVar(&o.Writer, "writer", "", "`peer` whose logs must be there")
	f.BoolVar(&o.Partial, "partial", false, "the files are a part of the log: others may be missing before and behind")
	return cmd
}

func showReport(w *tabwriter.Writer, r *audit.Report) {
	for i := range r.Chains {
		showChain(w, &r.Chains[i])
	}
	for _, f := range r.Findings {
		showFinding(w, &f)
	}
}

func showChain(w *tabwriter.Writer, c *audit.Chain) {
	row(w, "log", c.Log)
	row(w, "writer", c.Writer)
	row(w, "chain", c.Chain)
	row(w, "records", fmt.Sprintf("%d to %d in %d files", c.First, c.Last, c.Files))
	if c.Pruned > 0 {
		row(w, "pruned", fmt.Sprintf("1 to %d, by the log itself", c.Pruned))
	}
	attested := "none: a rewritten disk would not be noticed"
	if c.Attested > 0 {
		attested = fmt.Sprintf("up to record %d, of %s", c.Attested, when(c.AttestedAt))
	}
	row(w, "attested", attested)
	if c.Foreign > 0 {
		row(w, "by others", fmt.Sprintf("up to record %d", c.Foreign))
	}
	if c.Crashes > 0 {
		row(w, "crashes", fmt.Sprintf("%d, which broke off %d bytes of records that were not answered for", c.Crashes, c.Torn))
	}
	if c.Open > 0 {
		row(w, "open", fmt.Sprintf("%d acts that were begun and have no outcome: under way, or for the next start to resolve", c.Open))
	}
	if c.Shed > 0 {
		row(w, "shed", fmt.Sprintf("%d requests without a record, since the disk took none", c.Shed))
	}
	if c.Unfinished > 0 {
		row(w, "unfinished", fmt.Sprintf("%d bytes at the end: a crash, or a record that is being written", c.Unfinished))
	}
	for _, f := range c.Findings {
		showFinding(w, &f)
	}
	if c.More > 0 {
		row(w, "FOUND", fmt.Sprintf("%d more", c.More))
	}
	row(w)
}

func showFinding(w *tabwriter.Writer, f *audit.Finding) {
	where := f.File
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	if where != "" {
		where = " (" + where + ")"
	}
	row(w, "FOUND", string(f.Kind)+": "+f.Text+where)
}

func newCheckpointsCommand(a *adminCommand) *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoints",
		Short: "Print the checkpoints that the process at --admin keeps, of its own logs and of other members'",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.connect()
			if err != nil {
				return err
			}
			resp, err := client.send(cmd.Context(), http.MethodGet, "/admin/v1/checkpoints", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err := io.Copy(a.env.out, resp.Body); err != nil {
				return fmt.Errorf("read the checkpoints: %w", err)
			}
			return nil
		},
	}
}
