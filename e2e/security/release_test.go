package security

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shoal/e2e/cluster"
)

// Programs of another release, and what a program must not bring along.

func releaseAttacks() []attack {
	return []attack{
		{"A37 program that is older than its data directory", func(t *testing.T, _ *victim) { olderThan(t, "node.json") }},
		{"A37 program that is older than its drive", func(t *testing.T, _ *victim) { olderThan(t, filepath.Join("drives", "0", "drive.json")) }},
		{"A29 transports that were broken elsewhere are not in the program", withoutTransports},
	}
}

// olderThan gives what describes a directory the format of a later release. The program refuses to start on it and changes nothing: with
// the description as it was, everything is there.
func olderThan(t *testing.T, name string) {
	p := cluster.Start(t, cluster.Options{})
	s := &victim{p: p, addr: strings.TrimPrefix(p.Endpoint(), "http://")}
	s.root.id, s.root.secret = p.Credentials()
	b := s.bucket(t, "a37")
	if code := p.Stop(); code != 0 {
		t.Fatalf("it ended with code %d", code)
	}
	path := filepath.Join(p.Dir(), name)
	was, err := os.ReadFile(path)
	must(t, err)
	later := bytes.Replace(was, []byte(`"format": 1`), []byte(`"format": 2`), 1)
	if bytes.Equal(later, was) {
		t.Fatalf("%s has no format 1: %s", path, was)
	}
	must(t, os.WriteFile(path, later, 0o600))
	refuses(t, p, "format 2", "release")
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, later) {
		t.Errorf("%s was changed: %s, %v", path, now, err)
	}
	must(t, os.WriteFile(path, was, 0o600))
	p.Start()
	p.WaitReady()
	b.untouched(t)
}

// withoutTransports looks through the packages that the program is made of.
func withoutTransports(t *testing.T, _ *victim) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "shoal/cmd/shoal")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !strings.Contains(string(out), "shoal/p2p/transport\n") {
		t.Fatal("the list has no transport of peers")
	}
	for pkg := range strings.Lines(string(out)) {
		for _, bad := range []string{"quic", "webtransport", "webrtc", "bitswap"} {
			if strings.Contains(pkg, bad) {
				t.Errorf("the program has %s", pkg)
			}
		}
	}
}
