package tidy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway"
	"shoal/gateway/audit"
	"shoal/node"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.lock")

// description is how the library prints what a metric is.
var description = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// recorder is a registry that remembers what is registered.
type recorder struct {
	*prometheus.Registry
	lines []string
}

// Register is that of prometheus.Registerer.
func (r *recorder) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() {
		c.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		m := description.FindStringSubmatch(d.String())
		if m == nil || !strings.HasPrefix(m[1], "shoal_") {
			continue
		}
		var labels []string
		for _, pair := range strings.Split(m[3], ",") {
			if name, _, ok := strings.Cut(pair, "="); ok {
				labels = append(labels, name)
			}
		}
		for _, name := range strings.Split(m[4], ",") {
			if name != "" {
				labels = append(labels, name)
			}
		}
		r.lines = append(r.lines, fmt.Sprintf("%s{%s} | %s", m[1], strings.Join(labels, ","), m[2]))
	}
	return r.Registry.Register(c)
}

// MustRegister is that of prometheus.Registerer.
func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// registered gives a line for every metric of a server.
func registered(t *testing.T) []string {
	t.Helper()
	r := &recorder{Registry: prometheus.NewRegistry()}
	const anyPort = "127.0.0.1:0"
	log := slog.New(slog.DiscardHandler)
	n, err := node.Open(t.Context(), node.Config{DataDir: filepath.Join(t.TempDir(), "data"), P2PAddr: anyPort,
		P2PBulkAddr: anyPort, P2PJoinAddr: anyPort, Partitions: 1, Logger: log, Registerer: r})
	if err != nil {
		t.Fatal(err)
	}
	st := n.Store()
	g, err := gateway.New(gateway.Config{S3Addr: anyPort, AdminAddr: anyPort, Buckets: st, Objects: st, Uploads: st, Versions: st,
		Credentials: st, Identities: st, Health: st, Admin: st, Logger: log, Registerer: r, Gatherer: r,
		Logs: audit.Config{Dir: t.TempDir(), Writer: "writer"}})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// Both close what they hold when they run under an ended context.
	if err := errors.Join(g.Run(ended), n.Run(ended)); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	slices.Sort(r.lines)
	return slices.Compact(r.lines)
}

func TestMetricsLock(t *testing.T) {
	lines := registered(t)
	got := "# Every metric of a server, with its labels. Made by a test of e2e/tidy; do not edit.\n" + strings.Join(lines, "\n") + "\n"
	path := filepath.Join(root(t), "docs", "metrics.lock")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, filepath.Join("docs", "metrics.lock")); got != want {
		t.Errorf("docs/metrics.lock is not true; if the change is meant, run make generate. It should be\n%s", got)
	}
	named := regexp.MustCompile(`^shoal_[a-z0-9]+_[a-z0-9_]+$`)
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "{")
		if !named.MatchString(name) {
			t.Errorf("%s is not shoal_PACKAGE_NOUN_UNIT", name)
		}
		for _, label := range []string{"bucket", "key", "principal", "user"} {
			if strings.Contains(line[:strings.Index(line, "}")], label) {
				t.Errorf("%s has a label without bound: %s", name, label)
			}
		}
	}
}
