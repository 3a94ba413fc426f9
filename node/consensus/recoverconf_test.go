package consensus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// recoverConfig opens the database of a node that does not run.
func recoverConfig(t *testing.T, fs vfs.FS, self NodeID) Config {
	t.Helper()
	cfg := Config{DB: openDB(t, fs, "data"), FS: fs, Dir: "data", Self: self}
	t.Cleanup(func() {
		if err := cfg.DB.Close(); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

// offline runs f on the database of a node that does not run.
func offline(t *testing.T, fs vfs.FS, self NodeID, f func(Config) error) {
	t.Helper()
	cfg := Config{DB: openDB(t, fs, "data"), FS: fs, Dir: "data", Self: self}
	if err := errors.Join(f(cfg), cfg.DB.Close()); err != nil {
		t.Fatal(err)
	}
}

func recoverGroups(groups ...GroupID) func(Config) error {
	return func(cfg Config) error {
		_, err := Recover(cfg, groups)
		return err
	}
}

// lostMajority gives the disks of two survivors of five voters, which hold 50 writes.
func lostMajority(t *testing.T) *memCluster {
	t.Helper()
	ids := []NodeID{"a", "b", "c", "d", "e"}
	c := newMemCluster(t, ids...)
	if err := c.nodes["a"].Bootstrap(t.Context(), groupRange(2)); err != nil {
		t.Fatal(err)
	}
	for g := range GroupID(2) {
		c.grow(g, ids...)
		for i := range 50 {
			c.write(g, 'k', fmt.Sprint(i))
		}
		c.same(g)
	}
	for _, id := range ids {
		c.kill(id)
	}
	return c
}

// TestRecover lets one of two survivors of five go on as the only voter. The other one's replica and one that was lost come back, disturb
// nothing, are destroyed like remains, and the group grows again.
func TestRecover(t *testing.T) {
	c := lostMajority(t)
	offline(t, c.fs["d"], "d", recoverGroups(0, 1))
	c.start("e")
	c.start("d")
	c.start("a")
	for g := range GroupID(2) {
		c.write(g, 'k', "after")
		n, err := c.leader(g)
		if err != nil || n != c.nodes["d"] {
			t.Fatalf("group %d is not led by the survivor: %v", g, err)
		}
		st, err := n.Status(g)
		if err != nil {
			t.Fatal(err)
		}
		if st.Recovered == nil || st.Recovered.Old != 4 || st.Recovered.Times != 1 || len(st.Voters) != 1 || st.Voters[0].Node != "d" || st.Voters[0].Replica <= recoverStep {
			t.Errorf("group %d: status %+v, mark %+v", g, st, st.Recovered)
		}
		if count, _, err := readMachine(n.db, g); err != nil || count < 51 {
			t.Errorf("group %d holds %d writes, want 51: %v", g, count, err)
		}
	}
	for _, id := range []NodeID{"a", "e"} {
		st, err := c.nodes[id].Status(0)
		if err != nil || st.IsLeader {
			t.Fatalf("replica of the old membership on %s: %+v, %v", id, st, err)
		}
		if err := c.nodes[id].RemoveReplica(t.Context(), 0, st.Replica); err != nil {
			t.Fatal(err)
		}
	}
	growRecovered(t, c, 0, "a", "e")
	c.write(0, 'k', "grown")
	delete(c.nodes, "b")
	delete(c.nodes, "c")
	c.same(0)
	st, err := c.nodes["e"].Status(0)
	if err != nil || st.Recovered == nil || len(st.Voters) != 3 {
		t.Errorf("new replica: %+v, %v", st, err)
	}
}

// growRecovered adds voters beside the recovered one, with the IDs that follow its own.
func growRecovered(t *testing.T, c *memCluster, g GroupID, ids ...NodeID) {
	t.Helper()
	n, err := c.leader(g)
	if err != nil {
		t.Fatal(err)
	}
	st, err := n.Status(g)
	if err != nil {
		t.Fatal(err)
	}
	ch := Change{}
	for i, id := range ids {
		m := Member{Replica: st.MaxReplica + 1 + ReplicaID(i), Node: id}
		if err := c.nodes[id].CreateReplica(t.Context(), g, m.Replica, st.Voters...); err != nil {
			t.Fatal(err)
		}
		ch.AddLearners, ch.Promote = append(ch.AddLearners, m), append(ch.Promote, m.Replica)
	}
	c.change(g, Change{AddLearners: ch.AddLearners})
	c.change(g, Change{Promote: ch.Promote})
}

// TestRecoverVoidsChanges finds the addition of a voter, that does not exist, at the end of the survivor's log: taken over, it would leave
// the group without a majority again.
func TestRecoverVoidsChanges(t *testing.T) {
	c := lostMajority(t)
	offline(t, c.fs["e"], "e", func(cfg Config) error {
		hs, err := Survey(cfg.DB, cfg.FS, cfg.Dir)
		if err != nil {
			return err
		}
		cc := &raftpb.ConfChangeV2{
			Changes: []*raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(9))}},
			Context: appendMembers([]byte{recordFormat}, []Member{{9, "gone"}}),
		}
		data, err := proto.Marshal(cc)
		if err != nil {
			return err
		}
		for i, e := range []*raftpb.Entry{
			new(entryBuf).set(raftpb.EntryConfChangeV2, 0, hs[0].LastTerm, data), new(entryBuf).set(raftpb.EntryNormal, 0, hs[0].LastTerm, []byte("ktail")),
		} {
			v := make([]byte, entryRecordLen(e))
			putEntry(v, e)
			if err := cfg.DB.Set(entryKey(0, hs[0].LastIndex+1+uint64(i)), v, pebble.Sync); err != nil {
				return err
			}
		}
		return recoverGroups(0)(cfg)
	})
	n := c.start("e")
	c.write(0, 'x', "after")
	if v, err := readRegister(n.db, 0, 'k'); err != nil || v != "tail" {
		t.Errorf("the entry behind the void change is %q, want tail: %v", v, err)
	}
	if st, err := n.Status(0); err != nil || len(st.Voters) != 1 || st.Voters[0].Node != "e" {
		t.Errorf("status %+v, %v", st, err)
	}
	if _, err := n.Propose(t.Context(), 1, []byte("kx")); err == nil {
		t.Error("a group that was not recovered takes writes without a majority")
	}
}

// TestRecoverCrash loses power at every sync of a recovery: each group is as before or the survivor's, all alike, and a repetition
// succeeds.
func TestRecoverCrash(t *testing.T) {
	c := lostMajority(t)
	crashes := 0
	for _, after := range []bool{false, true} {
		for k := 0; ; k++ {
			disk := vfs.NewCrashableMem()
			copyStore(t, c.fs["d"], disk)
			fs := newCrashFS(disk)
			cfg := Config{DB: openDB(t, fs, "data"), FS: fs, Dir: "data", Self: "d"}
			fs.arm(k, after, 50, rngOf(uint64(k)))
			_, err := Recover(cfg, groupRange(2))
			clone := fs.crashed()
			if err := errors.Join(err, cfg.DB.Close()); err != nil {
				t.Fatal(err)
			}
			if clone == nil {
				break
			}
			crashes++
			checkAfterCrash(t, clone, fmt.Sprintf("sync %d, after=%v", k, after))
		}
	}
	t.Logf("%d power losses", crashes)
	if crashes < 4 {
		t.Errorf("only %d power losses", crashes)
	}
}

func checkAfterCrash(t *testing.T, disk vfs.FS, at string) {
	t.Helper()
	offline(t, disk, "d", func(cfg Config) error {
		hs, err := Survey(cfg.DB, cfg.FS, cfg.Dir)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		done := hs[0].Recovered != nil
		for _, h := range hs {
			if (h.Recovered != nil) != done || done != (len(h.Voters) == 1) || done != (h.Replica > recoverStep) {
				return fmt.Errorf("%s: half recovered: %+v", at, hs)
			}
		}
		return recoverGroups(0, 1)(cfg)
	})
	n := startNode(t, disk, "data", func(cfg *Config) { cfg.Self = "d" })
	defer n.stop(t)
	eventually(t, func(ctx context.Context) error {
		_, err := n.Propose(ctx, 1, []byte("kafter"))
		return err
	})
	if count, _, err := readMachine(n.db, 1); err != nil || count < 51 {
		t.Errorf("%s: %d writes, want 51: %v", at, count, err)
	}
}

// copyStore copies a node's disk durably.
func copyStore(t *testing.T, from, to vfs.FS) {
	t.Helper()
	for _, dir := range []string{"data", "data/meta"} {
		if err := to.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		names, err := from.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if st, err := from.Stat(dir + "/" + name); err != nil || st.IsDir() {
				continue
			}
			copyFile(t, from, to, dir+"/"+name)
			f, err := to.Open(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{"data/meta", "data", ""} {
		if err := syncDir(to, dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecoverRefuses(t *testing.T) {
	fs := vfs.NewMem()
	n := startNode(t, fs, "data", nil)
	if err := errors.Join(n.Bootstrap(t.Context(), groupRange(2)), n.CreateReplica(t.Context(), 2, 7), n.RemoveReplica(t.Context(), 1, 1)); err != nil {
		t.Fatal(err)
	}
	n.stop(t)
	cfg := recoverConfig(t, fs, "n1")
	for g, want := range map[GroupID]string{1: "was removed", 2: "never filled", 3: "no live replica"} {
		if _, err := Recover(cfg, []GroupID{0, g}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("group %d: %v, want %q", g, err, want)
		}
	}
	hs, err := Survey(cfg.DB, cfg.FS, cfg.Dir)
	if err != nil || len(hs) != 3 || hs[0].Recovered != nil || hs[0].Role != RoleVoter {
		t.Errorf("after refusals: %+v, %v", hs, err)
	}
}

func TestRecoverRefusesLostLog(t *testing.T) {
	cfg := recoverConfig(t, lostTail(t), "n1")
	if _, err := Recover(cfg, []GroupID{1}); !errors.Is(err, ErrLogLost) {
		t.Errorf("recover: %v", err)
	}
	if hs, err := Survey(cfg.DB, cfg.FS, cfg.Dir); !errors.Is(err, ErrLogLost) || len(hs) != 2 {
		t.Errorf("survey: %+v, %v", hs, err)
	}
}

func TestDiscard(t *testing.T) {
	c := lostMajority(t)
	offline(t, c.fs["e"], "e", func(cfg Config) error {
		_, err := Discard(cfg, groupRange(2))
		return err
	})
	offline(t, c.fs["e"], "e", func(cfg Config) error {
		_, err := Discard(cfg, groupRange(2)) // again
		return err
	})
	n := c.start("e")
	if g := n.Groups(); len(g) != 0 {
		t.Errorf("groups %v are left", g)
	}
	if err := n.CreateReplica(t.Context(), 0, 5); err == nil {
		t.Error("an ID that was used is taken again")
	}
	if err := n.CreateReplica(t.Context(), 0, 6); err != nil {
		t.Errorf("a fresh ID: %v", err)
	}
}

// TestDiscardLostLog: a store that lost writes is of use again when none of its replicas is left, and before that stays refused.
func TestDiscardLostLog(t *testing.T) {
	fs := lostTail(t)
	cfg := recoverConfig(t, fs, "n1")
	hs, err := Survey(cfg.DB, cfg.FS, cfg.Dir)
	if !errors.Is(err, ErrLogLost) || len(hs) != 2 {
		t.Fatalf("%d groups, %v", len(hs), err)
	}
	if _, err := Discard(cfg, []GroupID{hs[0].Group}); !errors.Is(err, ErrLogLost) {
		t.Fatalf("one of two groups discarded: %v", err)
	}
	if _, err := Survey(cfg.DB, cfg.FS, cfg.Dir); !errors.Is(err, ErrLogLost) {
		t.Fatalf("after a refusal: %v", err)
	}
	out, err := Discard(cfg, []GroupID{hs[0].Group, hs[1].Group})
	if err != nil || len(out) != 2 {
		t.Fatalf("%d discarded, %v", len(out), err)
	}
	left, err := Survey(cfg.DB, cfg.FS, cfg.Dir)
	if err != nil {
		t.Fatalf("afterwards: %v", err)
	}
	for _, h := range left {
		if h.Unfit == "" {
			t.Errorf("group %d has a replica still: %+v", h.Group, h)
		}
	}
}
