package security

import (
	"bytes"
	"fmt"
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
		{"A37 programs that are not those that were released", forgedReleases},
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

// forgedReleases changes a signed release in the ways of somebody who can write where it is kept, and has no key.
func forgedReleases(t *testing.T, _ *victim) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	keys := t.TempDir()
	run := func(name string, args ...string) error {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	for _, name := range []string{"own", "mallory"} {
		must(t, run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(keys, name)))
	}
	public, err := os.ReadFile(filepath.Join(keys, "own.pub"))
	must(t, err)
	signers := filepath.Join(keys, "signers")
	must(t, os.WriteFile(signers, append([]byte("release namespaces=\"shoal-release\" "), public...), 0o600))
	const sums = "shoal-v1.sha256"
	for _, tt := range []struct {
		name, change string
		good         bool
	}{
		{"as it was made", "true", true},
		{"a program changed", "printf x >> shoal-v1-linux-amd64", false},
		{"a program and its digest changed", "printf x >> shoal-v1-linux-amd64; sha256sum shoal-v1-*64 > " + sums, false},
		{"signed by somebody else", "printf x >> shoal-v1-linux-amd64; sha256sum shoal-v1-*64 > " + sums + "; rm " + sums + ".sig; ssh-keygen -q -Y sign -f " + filepath.Join(keys, "mallory") + " -n shoal-release " + sums, false},
		{"signed for something else", "rm " + sums + ".sig; ssh-keygen -q -Y sign -f " + filepath.Join(keys, "own") + " -n mail " + sums, false},
		{"not signed", "rm " + sums + ".sig", false},
		{"a program left out", "rm shoal-v1-linux-arm64", false},
		{"a program added", "cp shoal-v1-linux-arm64 shoal-v1-linux-riscv64", false},
		{"an older program under the new name", "printf v0 > shoal-v1-linux-amd64", false},
	} {
		dir := t.TempDir()
		for _, arch := range []string{"amd64", "arm64"} {
			must(t, os.WriteFile(filepath.Join(dir, "shoal-v1-linux-"+arch), []byte("program for "+arch), 0o700))
		}
		script := "cd " + dir + " && sha256sum shoal-v1-*64 > " + sums + " && ssh-keygen -q -Y sign -f " + filepath.Join(keys, "own") + " -n shoal-release " + sums + " && { " + tt.change + "; }"
		must(t, run("bash", "-c", script))
		if err := run(filepath.Join("..", "..", ".ci", "verify-release"), dir, signers); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
