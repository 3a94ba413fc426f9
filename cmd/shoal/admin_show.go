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

func newSpaceCommand(a *adminCommand) *cobra.Command {
	return query(a, "space", "Show what is stored and what it takes on the drives",
		http.MethodGet, "/admin/v1/space", func(w *tabwriter.Writer, s api.Space) {
			row(w, "objects", s.Objects)
			row(w, "object bytes", formatSize(s.ObjectBytes))
			row(w, "open uploads", s.Uploads)
			row(w, "pending drops", s.PendingDrops)
			row(w, "metadata", formatSize(s.MetaBytes))
			if len(s.Uncounted) > 0 {
				row(w, "not counted", "metadata groups "+joinInts(s.Uncounted)+", which do not answer")
			}
			showSilent(w, s.Silent)
			row(w)
			row(w, "NODE", "DRIVE", "STATE", "SHARDS", "SHARD BYTES", "ON DISK", "FREE", "OF", "ID")
			for _, d := range s.Drives {
				row(w, dash(shortPeer(d.Node)), d.Path, d.State, d.Shards, formatSize(d.ShardBytes), formatSize(d.SegmentBytes),
					formatSize(d.FreeBytes), formatSize(d.TotalBytes), d.DriveID)
			}
		})
}

// showSilent names the nodes whose part is missing in what is shown.
func showSilent(w *tabwriter.Writer, nodes []string) {
	if len(nodes) > 0 {
		row(w, "without answer", shortPeers(nodes))
	}
}

func newGroupsCommand(a *adminCommand) *cobra.Command {
	return query(a, "groups", "Show the metadata groups of the cluster",
		http.MethodGet, "/admin/v1/groups", func(w *tabwriter.Writer, groups []api.Group) {
			row(w, "GROUP", "LEADER", "VOTERS", "LEARNERS", "TERM", "APPLIED", "LAG", "QUIET", "RECOVERED", "PENDING")
			for _, g := range groups {
				leader, lag := "none", "-"
				if g.Leader != "" {
					leader, lag = shortPeer(g.Leader), fmt.Sprint(g.Lag)
				}
				if g.Lag > 0 && g.Slowest != "" {
					lag += " (" + shortPeer(g.Slowest) + ")"
				}
				pending := dash(g.Pending)
				if g.Broken != "" {
					pending = "broken: " + g.Broken
				}
				row(w, g.ID, leader, shortPeers(g.Voters), dash(shortPeers(g.Learners)), g.Term, g.Applied, lag, yesNo(g.Quiet), whenever(g.Recovered), pending)
			}
		})
}

func newPlacementCommand(a *adminCommand) *cobra.Command {
	return query(a, "placement", "Show where shards belong, and what has still to move there",
		http.MethodGet, "/admin/v1/placement", func(w *tabwriter.Writer, p api.Placement) {
			row(w, "epoch", p.Epoch)
			row(w, "profile", p.Profile)
			row(w, "reduced redundancy", dash(p.Reduced))
			row(w, "tables of width", joinInts(p.Widths))
			row(w, "epochs still moved from", dash(joinInts(p.Earlier)))
			least := ""
			if len(p.Silent) > 0 {
				least = "at least "
			}
			row(w, "shards still to move", fmt.Sprintf("%s%d (%s)", least, p.Moving.Shards, formatSize(p.Moving.Bytes)))
			showSilent(w, p.Silent)
			row(w)
			row(w, "SITE", "NODE", "WEIGHT", "SHARE", "DRIVE")
			for _, d := range p.Drives {
				row(w, d.Site, shortPeer(d.Node), fmt.Sprintf("%d GiB", d.Weight), fmt.Sprintf("%.2f%%", 100*d.Share), d.DriveID)
			}
		})
}

func newHealthCommand(a *adminCommand) *cobra.Command {
	return query(a, "health", "Say whether the cluster is whole, and if not what is wrong",
		http.MethodGet, "/admin/v1/health", func(w *tabwriter.Writer, h api.ClusterHealth) {
			if h.Whole {
				row(w, "whole")
				return
			}
			row(w, "not whole:")
			for _, r := range h.Reasons {
				row(w, "  "+r)
			}
			if h.More > 0 {
				row(w, fmt.Sprintf("  and %d more", h.More))
			}
		})
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// whenever is a time, or a dash for none.
func whenever(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return when(t)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func joinInts[T int | uint32 | uint64](list []T) string { return strings.Trim(fmt.Sprint(list), "[]") }
