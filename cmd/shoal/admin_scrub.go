package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

// scrubLook is the time between looks at how far a scrub is.
const scrubLook = time.Second

func newScrubCommand(a *adminCommand) *cobra.Command {
	return &cobra.Command{
		Use:   "scrub",
		Short: "Check every shard of all nodes now and heal what is damaged",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.connect()
			if err != nil {
				return err
			}
			stop := func() {}
			if terminal(a.env.err) {
				stop = showScrubbing(cmd.Context(), client, a.env.err)
			}
			report, err := fetch[api.ScrubReport](cmd.Context(), client, http.MethodPost, "/admin/v1/scrub", nil)
			stop()
			if err != nil {
				return err
			}
			return show(a, report, showScrub)
		},
	}
}

func showScrub(w *tabwriter.Writer, r api.ScrubReport) {
	row(w, "nodes", r.Nodes)
	row(w, "shards checked", r.Shards)
	row(w, "read", formatSize(r.Bytes))
	row(w, "corrupt", r.Corrupt)
	row(w, "missing", r.Missing)
	row(w, "not in the index", r.Unindexed)
	row(w, "healed", r.Healed)
	row(w, "not healed", r.Unhealed)
	showSilent(w, r.Silent)
}

// showScrubbing keeps one line that says how far all nodes are, until what it returns is called.
func showScrubbing(ctx context.Context, client *adminClient, out io.Writer) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(scrubLook)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprint(out, "\r\x1b[K") // clears the line
				return
			case <-t.C:
			}
			// Whoever does not learn how far it is waits for the end all the same.
			if workers, err := fetch[[]api.Worker](ctx, client, http.MethodGet, workersPath, nil); err == nil {
				fmt.Fprint(out, "\r\x1b[K"+scrubbing(workers))
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// scrubbing says how far all scrubs are together.
func scrubbing(workers []api.Worker) string {
	var sum api.Worker
	nodes := 0
	for i := range workers {
		w := &workers[i]
		if w.Name != "scrub" || w.State != "busy" && w.State != "throttled" {
			continue
		}
		nodes++
		sum.Done += w.Done
		sum.Total += w.Total
		sum.BytesPerSecond += w.BytesPerSecond
		sum.ETASeconds = max(sum.ETASeconds, w.ETASeconds)
	}
	if nodes == 0 {
		return "no node scrubs at the moment"
	}
	return fmt.Sprintf("%s  %s/s, about %v left, nodes at work: %d", progress(&sum), formatSize(sum.BytesPerSecond), time.Duration(sum.ETASeconds)*time.Second, nodes)
}
