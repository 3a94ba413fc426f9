package main

import (
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
			row(w)
			row(w, "DRIVE", "STATE", "SHARDS", "SHARD BYTES", "ON DISK", "FREE", "OF", "ID")
			for _, d := range s.Drives {
				row(w, d.Path, d.State, d.Shards, formatSize(d.ShardBytes), formatSize(d.SegmentBytes),
					formatSize(d.FreeBytes), formatSize(d.TotalBytes), d.DriveID)
			}
		})
}

func newWorkersCommand(a *adminCommand) *cobra.Command {
	return query(a, "workers", "Show the background workers",
		http.MethodGet, "/admin/v1/workers", func(w *tabwriter.Writer, workers []api.Worker) {
			row(w, "WORKER", "STATE", "DONE", "OF", "LAST RUN", "LAST ERROR")
			for _, x := range workers {
				total := any("-")
				if x.Total > 0 {
					total = x.Total
				}
				row(w, x.Name, x.State, x.Done, total, when(x.LastRun), dash(x.LastError))
			}
		})
}

func newGroupsCommand(a *adminCommand) *cobra.Command {
	return query(a, "groups", "Show the metadata groups of the node",
		http.MethodGet, "/admin/v1/groups", func(w *tabwriter.Writer, groups []api.Group) {
			row(w, "GROUP", "LEADER", "TERM", "APPLIED", "VOTERS")
			for _, g := range groups {
				row(w, g.ID, dash(g.Leader), g.Term, g.Applied, strings.Join(g.Voters, ","))
			}
		})
}

func newMembersCommand(a *adminCommand) *cobra.Command {
	return query(a, "members", "Show the members of the cluster",
		http.MethodGet, "/admin/v1/members", func(w *tabwriter.Writer, members []api.Member) {
			row(w, "PEER", "ROLES", "SITE", "EPOCH", "ADDRESSES")
			for _, m := range members {
				row(w, m.PeerID, strings.Join(m.Roles, ","), m.Site, m.Epoch, strings.Join(m.Addrs, ","))
			}
		})
}

func newScrubCommand(a *adminCommand) *cobra.Command {
	return query(a, "scrub", "Check every shard of the node now and heal what is damaged",
		http.MethodPost, "/admin/v1/scrub", func(w *tabwriter.Writer, r api.ScrubReport) {
			row(w, "shards checked", r.Shards)
			row(w, "read", formatSize(r.Bytes))
			row(w, "corrupt", r.Corrupt)
			row(w, "missing", r.Missing)
			row(w, "not in the index", r.Unindexed)
			row(w, "healed", r.Healed)
			row(w, "not healed", r.Unhealed)
		})
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
