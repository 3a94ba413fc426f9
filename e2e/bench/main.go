package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// poolSeed makes all runs use the same content.
const poolSeed = 7

// spaceNeeded is what a run may write to the disk, in bytes, roughly.
const spaceNeeded = 40 * gib

var processors = runtime.NumCPU()

func init() {
	// Children end with the thread that started them, and the main thread lives longest.
	runtime.LockOSThread()
}

func main() {
	var o options
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure shoal on this machine", SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A reader of the output that goes away ends the run too, and must not keep it from clearing up.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt, syscall.SIGPIPE)
			defer stop()
			o.quicken(cmd.Flags())
			o.trim(cmd.Flags())
			if err := o.validate(); err != nil {
				return err
			}
			return measure(ctx, &o)
		},
	}
	o.bind(cmd.Flags())
	cmd.AddCommand(&cobra.Command{
		Use: sinkArgument, Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return serveSink(ctx, args[0])
		},
	})
	cmd.SetArgs(twoDashes(os.Args[1:]))
	if err := cmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// twoDashes lets long flags be written with one dash too, as with go test.
func twoDashes(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if len(a) > 2 && a[0] == '-' && a[1] != '-' {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

// bench is one run.
type bench struct {
	options *options
	dir     string // of this run
	content *content
	floors  floors
	report  report
	// peak is the most memory that the server held in any row, gatewayPeak a gateway alone.
	peak, gatewayPeak int64
}

// short is the time for a floor.
func (b *bench) short() time.Duration { return min(b.options.duration, time.Second) }

// add takes a row into the table and shows it at once.
func (b *bench) add(r row) {
	b.report.Rows = append(b.report.Rows, r)
	fmt.Fprintln(os.Stderr, strings.Join(strings.Fields(strings.Join(r.cells(), " ")), " "))
}

// note takes a row that could not be measured into the table.
func (b *bench) note(name string, err error) {
	b.add(row{Name: name, Note: "not measured: " + err.Error()})
}

// measure measures everything, prints the table, and leaves nothing behind. The table is
// printed although an operation failed.
func measure(ctx context.Context, o *options) (err error) {
	release, err := exec.CommandContext(ctx, o.program, "version").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", o.program, err)
	}
	first, _, _ := strings.Cut(string(release), "\n")
	dir, err := os.MkdirTemp(o.dir, "shoal-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if free, err := availableBytes(dir); err == nil && free < spaceNeeded {
		fmt.Fprintf(os.Stderr, "%s has %d GiB left; a whole run writes up to %d\n", o.dir, free/gib, int64(spaceNeeded/gib))
	}
	b := &bench{options: o, dir: dir, content: newContent(poolSeed), report: newReport(strings.TrimPrefix(first, "shoal "))}
	err = b.all(ctx)
	b.report.Seconds = time.Since(b.report.Began).Seconds()
	if printErr := b.report.write(os.Stdout); printErr != nil {
		return errors.Join(err, printErr)
	}
	if o.json != "" {
		err = errors.Join(err, b.report.save(o.json))
	}
	return err
}

// all measures one group of rows after the other.
func (b *bench) all(ctx context.Context) error {
	if b.options.wants("floors") {
		if err := b.measureFloors(b.dir); err != nil {
			return fmt.Errorf("floors: %w", err)
		}
		if err := b.floorNetwork(ctx); err != nil {
			return fmt.Errorf("floors: %w", err)
		}
	}
	if b.options.nodes > 0 {
		return b.cluster(ctx)
	}
	if b.options.wants("rights") {
		if err := b.measureAuthorisation(ctx, b.dir); err != nil {
			return err
		}
	}
	if err := b.store(ctx); err != nil {
		return err
	}
	if b.options.wants("consensus") {
		return b.measureConsensus(ctx, b.dir)
	}
	return nil
}
