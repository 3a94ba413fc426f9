package consensus

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRestore takes the states of two groups from a follower that runs, fills a new node with them, and lets it take writes.
func TestRestore(t *testing.T) {
	c := newMemCluster(t, "a", "b", "c")
	if err := c.nodes["a"].Bootstrap(t.Context(), groupRange(2)); err != nil {
		t.Fatal(err)
	}
	for g := range GroupID(2) {
		c.grow(g, "a", "b", "c")
		for i := range 50 {
			c.write(g, 'k', fmt.Sprint(i))
		}
	}
	for i := range byte(8) { // more than one batch of the restoration
		c.write(1, 'a'+i, string(bytes.Repeat([]byte("x"), 700<<10)))
	}
	var file bytes.Buffer
	for g := range GroupID(2) {
		if err := c.nodes["b"].ExportState(t.Context(), g, &file); err != nil {
			t.Fatal(err)
		}
	}
	whole := bufio.NewReaderSize(bytes.NewReader(file.Bytes()), StreamBuffer)
	for range 2 {
		if keys, err := CheckState(whole); err != nil || keys < 4 {
			t.Fatalf("%d keys, %v", keys, err)
		}
	}
	fs := vfs.NewMem()
	offline(t, fs, "new", func(cfg Config) error {
		re, err := BeginRestore(cfg)
		if err != nil {
			return err
		}
		r := bufio.NewReaderSize(bytes.NewReader(file.Bytes()), StreamBuffer)
		err = errors.Join(re.Group(0, r), re.Group(1, r))
		if re.Group(1, bufio.NewReader(bytes.NewReader(file.Bytes()))) == nil {
			t.Error("a group is restored twice")
		}
		return errors.Join(err, re.Close())
	})
	n := startNode(t, fs, "data", func(cfg *Config) { cfg.Self = "new" })
	for g := range GroupID(2) {
		eventually(t, func(ctx context.Context) error {
			prev, err := n.Propose(ctx, g, []byte("kafter"))
			if err == nil && prev != "49" && prev != "after" {
				t.Fatalf("group %d held %q", g, prev)
			}
			return err
		})
		st, err := n.Status(g)
		if err != nil || st.Recovered == nil || st.Recovered.Old != 0 || len(st.Voters) != 1 || st.Voters[0].Node != "new" || st.Voters[0].Replica <= recoverStep {
			t.Errorf("group %d: %+v, %v", g, st, err)
		}
	}
	want, wantHash, err := readMachine(c.nodes["b"].db, 1)
	if err != nil {
		t.Fatal(err)
	}
	if count, hash, err := readMachine(n.db, 1); err != nil || count != want+1 || hash == wantHash {
		t.Errorf("%d commands, want %d and one more: %v", count, want, err)
	}
}

func TestCheckStateRefuses(t *testing.T) {
	n := startNode(t, vfs.NewMem(), "data", nil)
	if err := n.Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		_, err := n.Propose(ctx, 0, []byte("ka"))
		return err
	})
	var file bytes.Buffer
	if err := n.ExportState(t.Context(), 0, &file); err != nil {
		t.Fatal(err)
	}
	for i := range file.Len() {
		if _, err := CheckState(bufio.NewReaderSize(bytes.NewReader(file.Bytes()[:i]), StreamBuffer)); !errors.Is(err, ErrBadSnapshot) {
			t.Fatalf("cut after %d of %d bytes: %v", i, file.Len(), err)
		}
		bad := bytes.Clone(file.Bytes())
		bad[i] ^= 1
		if _, err := CheckState(bufio.NewReaderSize(bytes.NewReader(bad), StreamBuffer)); !errors.Is(err, ErrBadSnapshot) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
	}
	if err := n.ExportState(t.Context(), 5, &file); !errors.Is(err, ErrNoReplica) {
		t.Errorf("a group that is not here: %v", err)
	}
}
