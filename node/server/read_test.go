package server

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// TestReadOfRemovedReplica: a reader may hang between the barrier and the reading, and meanwhile the
// group may go on elsewhere and the replica here be taken away. That nothing is found then says nothing.
func TestReadOfRemovedReplica(t *testing.T) {
	mem := vfs.NewMem()
	db, err := pebble.Open("db", &pebble.Options{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	machine := meta.New(meta.Config{})
	host, err := consensus.Open(consensus.Config{DB: db, FS: mem, Dir: "side", Self: "n1", Machine: machine, Fatal: make(chan error, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- host.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := host.Bootstrap(ctx, []consensus.GroupID{1}); err != nil {
		t.Fatal(err)
	}
	for host.ReadBarrier(ctx, 1) != nil && ctx.Err() == nil {
		<-time.After(time.Millisecond)
	}
	s := &Server{Config: Config{Host: host}}
	answer, err := read(ctx, s, 1, func() (string, error) { return "here", nil })
	if answer != "here" || err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
	answer, err = read(ctx, s, 1, func() (string, error) {
		return "nothing", host.RemoveReplica(ctx, 1, 1)
	})
	if api.KindOf(err) != api.Unavailable || answer != "" {
		t.Errorf("read while the replica was taken away: %q, %v", answer, err)
	}
}
