package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const (
	workersPath = "/admin/v1/workers"
	// barWidth is that of a progress bar, in characters.
	barWidth = 20
	// watchEveryMin bounds how often --watch asks the nodes.
	watchEveryMin = 100 * time.Millisecond
)

func newWorkersCommand(a *adminCommand) *cobra.Command {
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "workers",
		Short: "Show the background workers of all nodes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < watchEveryMin {
				return &usageError{"--every is at least 100ms"}
			}
			if watch {
				return watchWorkers(cmd, a, every)
			}
			return ask(cmd.Context(), a, http.MethodGet, workersPath, nil, showWorkers)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show them again and again until none works")
	cmd.Flags().DurationVar(&every, "every", time.Second, "pause of --watch, from 100ms")
	return cmd
}

// watchWorkers shows the workers until all are idle or the command is told to stop.
func watchWorkers(cmd *cobra.Command, a *adminCommand, every time.Duration) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	for {
		workers, err := fetch[[]api.Worker](ctx, client, http.MethodGet, workersPath, nil)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !a.json && terminal(a.env.out) {
			fmt.Fprint(a.env.out, "\x1b[H\x1b[2J") // to the upper left corner, and clear
		}
		if err := show(a, workers, showWorkers); err != nil || idle(workers) {
			return err
		}
		pause := time.NewTimer(every)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

func idle(workers []api.Worker) bool {
	for i := range workers {
		if s := workers[i].State; s == "busy" || s == "throttled" {
			return false
		}
	}
	return true
}

// terminal says that w is one, and not a file or a pipe.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func showWorkers(w *tabwriter.Writer, workers []api.Worker) {
	row(w, "NODE", "WORKER", "STATE", "PROGRESS", "RATE", "ETA", "LAST RUN", "LAST ERROR")
	for i := range workers {
		x := &workers[i]
		rate, eta := "-", "-"
		if x.BytesPerSecond > 0 {
			rate = formatSize(x.BytesPerSecond) + "/s"
		}
		if x.ETASeconds > 0 {
			eta = (time.Duration(x.ETASeconds) * time.Second).String()
		}
		row(w, dash(shortPeer(x.Node)), dash(x.Name), x.State, progress(x), rate, eta, when(x.LastRun), dash(x.LastError))
	}
}

// progress draws how far a worker is. Where the end is not known, it counts.
func progress(x *api.Worker) string {
	if x.Total <= 0 {
		return fmt.Sprint(x.Done)
	}
	done := min(max(x.Done, 0), x.Total)
	part := float64(done) / float64(x.Total)
	full := int(part * barWidth)
	return fmt.Sprintf("[%s%s] %3d%% %d/%d", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), int(part*100), x.Done, x.Total)
}
