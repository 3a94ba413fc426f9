package node

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/repair"
	"shoal/node/shardstore"
)

// TestSweepSparesCopiesUnderWay: a copy adds its owner to shards that are as old as their first
// owner. That they are old must not be held against an owner that came a moment ago.
func TestSweepSparesCopiesUnderWay(t *testing.T) {
	n := start(t, Config{DataDir: filepath.Join(t.TempDir(), "data")})
	if _, err := n.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	body := pattern(7, 100_000)
	put(t, n.Store(), "b", "k", body)
	copied := shardstore.Owner{Version: [16]byte{7, 7, 7}}
	for id, st := range n.drives {
		err := st.Scan(t.Context(), shardstore.ID{}, func(in shardstore.Info) bool {
			copied.Group, copied.Bucket = in.Owners[0].Group, in.Owners[0].Bucket
			return n.server.AddOwner(t.Context(), id, []shardstore.ID{in.ID}, copied) == nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	now := time.Now()
	r := repair.New(repair.Config{
		Client: n.client, Drives: n.drives, Drop: n.server.DropOwners, OrphanGrace: time.Hour,
		Now: func() time.Time { return now },
	})
	after := func(d time.Duration) (state meta.OwnerState, owners int) {
		t.Helper()
		now = now.Add(d)
		if err := r.SweepNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		states, err := n.client.OwnerStates(t.Context(), consensus.GroupID(copied.Group),
			[]*meta.StreamOwner{{Version: copied.Version[:], Stream: copied.Stream}})
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range n.drives {
			if err := st.Scan(t.Context(), shardstore.ID{}, func(in shardstore.Info) bool {
				owners += len(in.Owners)
				return true
			}); err != nil {
				t.Fatal(err)
			}
		}
		return states[0], owners
	}
	for _, d := range []time.Duration{2 * time.Hour, time.Minute} {
		if state, owners := after(d); state != meta.OwnerState_OWNER_UNKNOWN || owners != 2 {
			t.Fatalf("%v later the copy under way is %v, the shard has %d owners", d, state, owners)
		}
	}
	if state, owners := after(time.Hour); state != meta.OwnerState_OWNER_DEAD || owners != 1 {
		t.Fatalf("the copy that never came is %v, the shard has %d owners", state, owners)
	}
	if !bytes.Equal(get(t, n.Store(), "b", "k"), body) {
		t.Fatal("a live object was swept")
	}
}
