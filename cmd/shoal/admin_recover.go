package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node"
)

// recovery are the flags of shoal admin recover.
type recovery struct {
	groups       []uint
	all          bool
	dry, discard bool
	yes          bool
}

func newRecoverCommand(a *adminCommand) *cobra.Command {
	var r recovery
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Let metadata groups go on after a majority of their voters was lost for good",
		Long: `Let metadata groups go on after a majority of their voters was lost for good. It works on the data directory of a stopped node.

Run it with --dry-run on every surviving node first. For each group choose the node with the greatest LAST TERM, and of those the greatest LAST INDEX; run it
there with --group N or --all. That replica becomes the only voter of its group. Never recover a group on two nodes, and never start the lost nodes
again. With --discard it destroys the node's replicas instead, and leaves its drives alone: for the other survivors of a store that was restored from a backup.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd, a) },
	}
	f := cmd.Flags()
	f.UintSliceVar(&r.groups, "group", nil, "`number` of a group; repeat for more")
	f.BoolVar(&r.all, "all", false, "all groups that this node has a replica of and that are not alone here")
	f.BoolVar(&r.dry, "dry-run", false, "only show what this node holds")
	f.BoolVar(&r.discard, "discard", false, "destroy the replicas instead of recovering them")
	f.BoolVar(&r.yes, "yes", false, "do not ask")
	return cmd
}

func (r *recovery) run(cmd *cobra.Command, a *adminCommand) error {
	s, err := a.loader.load()
	if err != nil {
		return err
	}
	groups := make([]uint32, len(r.groups))
	for i, g := range r.groups {
		if g > 1<<32-1 {
			return &usageError{fmt.Sprintf("group: %d is no group", g)}
		}
		groups[i] = uint32(g)
	}
	if !r.dry && r.all == (len(groups) > 0) {
		return &usageError{"give --group N or --all, or --dry-run to look"}
	}
	held, err := node.ReadHoldings(s.data)
	if err != nil {
		return err
	}
	if r.dry {
		return show(a, held, showHoldings)
	}
	change, question := node.RecoverGroups, r.question(s.data)
	if r.discard {
		change = node.DiscardGroups
	}
	if !r.yes {
		w := tabwriter.NewWriter(a.env.err, 0, 0, 2, ' ', 0)
		showHoldings(w, held)
		if err := w.Flush(); err != nil {
			return err
		}
		if err := a.env.confirm(cmd.Context(), question); err != nil {
			return err
		}
	}
	if held, err = change(s.data, groups); err != nil {
		return err
	}
	return show(a, held, func(w *tabwriter.Writer, h *node.Holdings) {
		showHoldings(w, h)
		row(w)
		row(w, r.after())
	})
}

func (r *recovery) question(data string) string {
	what := "all groups above that are not alone here"
	if !r.all {
		what = fmt.Sprintf("group %v", r.groups)
	}
	if r.discard {
		return fmt.Sprintf("Destroy the replicas in %s of %s? Their metadata must be elsewhere.", data, what)
	}
	return fmt.Sprintf("Make %s the only voter of %s? What a majority elsewhere has acknowledged beyond LAST INDEX is lost. The lost nodes must never run again.", data, what)
}

func (r *recovery) after() string {
	if r.discard {
		return "The replicas marked * are destroyed. Start the node: it gets new ones when the store wants it to."
	}
	return "The groups marked * have their only voter here now. What was acknowledged beyond their LAST INDEX is lost. Start the node, and revoke the lost members."
}

func showHoldings(w *tabwriter.Writer, h *node.Holdings) {
	row(w, "node", h.PeerID)
	row(w, "cluster", h.Cluster)
	if h.LogLost != "" {
		row(w, "LOST", h.LogLost)
	}
	row(w)
	row(w, "GROUP", "ROLE", "LAST TERM", "LAST INDEX", "APPLIED", "VOTERS", "RECOVERED", "NOTE")
	for i := range h.Groups {
		g := &h.Groups[i]
		note := g.Unfit
		switch {
		case g.Changed:
			note = "*"
		case g.Alone:
			note = "alone already"
		}
		row(w, g.Group, g.Role, g.LastTerm, g.LastIndex, g.Applied, dash(shortPeers(g.Voters)), whenever(g.Recovered), dash(note))
	}
}
