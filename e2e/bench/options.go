package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options are what the command line says.
type options struct {
	program  string        // the shoal to measure
	dir      string        // where its data goes; a new directory below it is used and removed
	json     string        // file for the report, or none
	quick    bool          // one minute instead of six
	nodes    int           // of a cluster with a gateway; 0 is one server
	duration time.Duration // of each row
	idle     time.Duration // of watching an idle server
	sizes    []string
	clients  []int
	only     []string // groups of rows, all when empty
	unsigned bool     // payloads without digest in the signature
	objects  int64    // in the store when it is restarted, at least
	args     []string // further arguments of the server

	bytes []int64 // sizes, parsed
}

// groups are the names that only knows, in the order in which they run.
var groups = []string{"floors", "rights", "objects", "small", "restart", "idle", "gateway", "consensus", "failover", "repair", "sites"}

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.program, "server", "bin/shoal", "program to measure")
	f.StringVar(&o.dir, "dir", os.TempDir(), "directory on the disk to measure; everything made there is removed")
	f.StringVar(&o.json, "json", "", "file for the report as JSON")
	f.BoolVar(&o.quick, "quick", false, "rough figures within a minute")
	f.IntVar(&o.nodes, "nodes", 0, "measure a cluster of that many nodes and a gateway instead of one server, 4 or more")
	f.DurationVar(&o.duration, "duration", 2500*time.Millisecond, "time of each row")
	f.DurationVar(&o.idle, "idle", 10*time.Second, "time for which an idle server is watched, after as long a rest")
	f.StringSliceVar(&o.sizes, "sizes", []string{"4KiB", "64KiB", "1MiB", "16MiB", "256MiB"}, "sizes of objects, 1B to 16MiB or multiples of 16MiB")
	f.IntSliceVar(&o.clients, "clients", []int{1, 16, 64}, "numbers of clients")
	f.StringSliceVar(&o.only, "only", nil, "rows to measure: "+strings.Join(groups, ", "))
	f.BoolVar(&o.unsigned, "unsigned", false, "sign no digests of bodies (UNSIGNED-PAYLOAD)")
	f.Int64Var(&o.objects, "objects", 0, "objects that the store holds at least when it is restarted, such as 1000000; filling takes minutes")
	f.StringArrayVar(&o.args, "arg", nil, "further argument of shoal server; repeat for more")
}

// quicken shortens what the command line did not set.
func (o *options) quicken(f *pflag.FlagSet) {
	if !o.quick {
		return
	}
	if !f.Changed("duration") {
		o.duration = 400 * time.Millisecond
	}
	if !f.Changed("idle") {
		o.idle = 3 * time.Second
	}
	if !f.Changed("clients") {
		o.clients = []int{1, 16}
	}
}

// trim leaves out of a cluster's run what the command line did not ask for and little is learnt of.
func (o *options) trim(f *pflag.FlagSet) {
	if o.nodes == 0 {
		return
	}
	if !f.Changed("sizes") {
		o.sizes = []string{"4KiB", "1MiB", "16MiB"}
	}
	if !f.Changed("clients") {
		o.clients = []int{1, 16}
	}
	if !f.Changed("duration") && !o.quick {
		o.duration = 1500 * time.Millisecond
	}
	if !f.Changed("idle") && !o.quick {
		o.idle = 30 * time.Second // groups come to rest one after the other once there are enough voters
	}
}

// validate reports every problem at once and fills in what is derived.
func (o *options) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.duration > 0 && o.idle > 0, "durations must be positive")
	check(o.nodes == 0 || o.nodes >= nodesMin && o.nodes <= nodesMax, "nodes: %d is not within %d to %d", o.nodes, nodesMin, nodesMax)
	check(o.objects >= 0, "objects: %d is negative", o.objects)
	check(len(o.clients) > 0 && len(o.sizes) > 0, "name at least one size and one number of clients")
	for _, n := range o.clients {
		check(n > 0 && n <= 1024, "clients: %d is not within 1 to 1024", n)
	}
	for _, name := range o.only {
		known := false
		for _, g := range groups {
			known = known || g == name
		}
		check(known, "only: %q is none of %s", name, strings.Join(groups, ", "))
	}
	o.bytes = nil
	for _, text := range o.sizes {
		n, err := parseSize(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		check(n <= partBytes || n%partBytes == 0, "sizes: %s is more than 16MiB and not a multiple of it", text)
		o.bytes = append(o.bytes, n)
	}
	if info, err := os.Stat(o.program); err != nil || info.IsDir() {
		errs = append(errs, fmt.Errorf("no program at %s: make build leaves it there", o.program))
	} else if o.program, err = filepath.Abs(o.program); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// wants says whether a group of rows is to be measured.
func (o *options) wants(group string) bool {
	if len(o.only) == 0 {
		return true
	}
	for _, name := range o.only {
		if name == group {
			return true
		}
	}
	return false
}
