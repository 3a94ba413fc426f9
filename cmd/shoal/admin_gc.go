package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const (
	collectPath    = "/admin/v1/gc"
	collectionPath = "/admin/v1/gc/status"
)

// errUnclean is the failure of a verification.
var errUnclean = errors.New("it is not proven that nothing is left")

func newGCCommand(a *adminCommand) *cobra.Command {
	var verify string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Give back now what deleted versions take",
		Long: "Give back now what deleted versions take: their shards are dropped from all drives, shards that nobody owns are looked for, drives and metadata give back what is free. The same happens by itself within " +
			"seconds to hours. Shards of uploads that broke off stay for a day. With --verify BUCKET/PREFIX all nodes are asked, afterwards, whether a shard is left of what was deleted below PREFIX. What is left of a key that is no longer remembered counts, too: an hour after the deletion, if a node was away meanwhile. " +
			"The command fails unless it is proven that nothing is.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&verify, "verify", "", "`BUCKET/PREFIX` below which no shard of a deleted version should be left")
	cmd.AddCommand(
		&cobra.Command{
			Use: "start", Short: "Begin a collection on all nodes and wait for its end", Args: cobra.NoArgs,
			Long: "Begin a collection on all nodes and wait for its end. It goes on when the command is interrupted.",
			RunE: func(cmd *cobra.Command, _ []string) error {
				client, err := a.connect()
				if err == nil {
					err = a.collect(cmd.Context(), client)
				}
				if err != nil {
					return err
				}
				return a.showCollection(cmd.Context(), client, verify)
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show how far a collection is", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				client, err := a.connect()
				if err != nil {
					return err
				}
				return a.showCollection(cmd.Context(), client, verify)
			},
		},
	)
	return cmd
}

// collect begins a collection and waits until no node is at work any more.
func (a *adminCommand) collect(ctx context.Context, client *adminClient) error {
	s, err := fetch[api.Collection](ctx, client, http.MethodPost, collectPath, nil)
	out := io.Discard
	if terminal(a.env.err) {
		out = a.env.err
	}
	for err == nil && s.Running {
		fmt.Fprint(out, "\r\x1b[K"+collecting(&s))
		pause := time.NewTimer(scrubLook)
		select {
		case <-ctx.Done():
			pause.Stop()
			return errors.New("interrupted; the collection goes on: shoal admin gc status tells how far it is")
		case <-pause.C:
		}
		s, err = fetch[api.Collection](ctx, client, http.MethodGet, collectionPath, nil)
	}
	fmt.Fprint(out, "\r\x1b[K") // clears the line
	return err
}

// collecting says how far all nodes are together.
func collecting(s *api.Collection) string {
	text := progress(&api.Worker{Done: s.Done, Total: s.Total}) + "  freed " + formatSize(s.FreedBytes)
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Step != "" {
			text += "  " + dash(shortPeer(n.Node)) + ": " + n.Step
		}
	}
	return text
}

func (a *adminCommand) showCollection(ctx context.Context, client *adminClient, verify string) error {
	path := collectionPath
	if verify != "" {
		path += "?verify=" + strings.ReplaceAll(url.QueryEscape(verify), "+", "%20")
	}
	s, err := fetch[api.Collection](ctx, client, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := show(a, s, showCollection); err != nil {
		return err
	}
	if s.Verified != nil && !s.Verified.Clean {
		return errUnclean
	}
	return nil
}

func showCollection(w *tabwriter.Writer, s api.Collection) {
	row(w, "NODE", "STATE", "STEPS", "BEGAN", "ENDED", "FREED", "LAST ERROR")
	for i := range s.Nodes {
		n := &s.Nodes[i]
		state := "done"
		switch {
		case n.Began.IsZero():
			state = "never"
		case n.Step != "":
			state = n.Step
		}
		row(w, dash(shortPeer(n.Node)), state, fmt.Sprintf("%d/%d", n.Steps, len(api.CollectionSteps)), when(n.Began), when(n.Ended), formatSize(n.FreedBytes), dash(n.LastError))
	}
	row(w)
	row(w, "freed", formatSize(s.FreedBytes))
	row(w, "pending drops", s.PendingDrops)
	showSilent(w, s.Silent)
	if s.Verified != nil {
		row(w)
		showDropped(w, s.Verified)
	}
}

func showDropped(w *tabwriter.Writer, d *api.Dropped) {
	answer := "no: something may be left"
	if d.Clean {
		answer = "yes: no shard of what was deleted below it is left"
	}
	row(w, "verified "+d.Bucket+"/"+d.Prefix, answer)
	living := fmt.Sprint(d.Living)
	if d.Living >= api.MaxListObjects {
		living += " or more"
	}
	row(w, "versions not deleted below it", living)
	row(w, "deleted versions to drop", fmt.Sprintf("%d, of unknown keys %d", d.Pending, d.PendingUnnamed))
	row(w, "shards of deleted versions", fmt.Sprintf("%d (%s)", d.Dead, formatSize(d.DeadBytes)))
	row(w, "shards of unknown owners", fmt.Sprintf("%d (%s)", d.Unknown, formatSize(d.UnknownBytes)))
	row(w, "of these, of unknown keys", d.Unnamed)
	row(w, "shards of uploads under way", d.Fresh)
	row(w, "shards looked at", d.Looked)
	showSilent(w, d.Silent)
	if len(d.Missing) > 0 {
		row(w, "missing drives", strings.Join(d.Missing, ","))
	}
}
