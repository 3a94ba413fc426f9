package meta

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
)

const testGroup consensus.GroupID = 3

var testEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()

// rig is a machine on a database in memory, with a clock of its own.
type rig struct {
	t     testing.TB
	m     *Machine
	db    *pebble.DB
	now   int64
	index uint64
	disk  *vfs.MemFS

	keep    bool
	log     []consensus.Entry // everything applied, when keep
	results []*Result         // of log
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, m: New(cfg), now: testEpoch}
	r.open(vfs.NewCrashableMem())
	t.Cleanup(r.close)
	return r
}

func (r *rig) open(disk *vfs.MemFS) {
	r.t.Helper()
	c := consensus.PebbleConfig{FS: disk}
	if _, bench := r.t.(*testing.B); !bench {
		c.CacheBytes, c.MemTableBytes = 1<<20, 1<<20
	}
	db, err := pebble.Open("", consensus.PebbleOptions(c))
	if err != nil {
		r.t.Fatal(err)
	}
	r.disk, r.db = disk, db
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

// reopen opens the database again, as a disk has it.
func (r *rig) reopen(disk *vfs.MemFS) {
	r.t.Helper()
	r.close()
	r.open(disk)
}

// apply commits encoded commands in one batch.
func (r *rig) apply(g consensus.GroupID, cmds ...[]byte) []*Result {
	r.t.Helper()
	es := make([]consensus.Entry, len(cmds))
	for i, c := range cmds {
		r.index++
		es[i] = consensus.Entry{Group: g, Index: r.index, Term: 1, Data: c}
	}
	results := r.applyEntries(g, es)
	if r.keep {
		r.log, r.results = append(r.log, es...), append(r.results, results...)
	}
	return results
}

func (r *rig) applyEntries(g consensus.GroupID, es []consensus.Entry) []*Result {
	r.t.Helper()
	b := r.db.NewIndexedBatch()
	out, err := r.m.Apply(b, g, es)
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	if err == nil && r.keep {
		err = b.Set(appliedKey, binary.BigEndian.AppendUint64(nil, es[len(es)-1].Index), nil)
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	results := make([]*Result, len(out))
	for i := range out {
		results[i] = out[i].(*Result)
	}
	return results
}

// do applies one command on the test's partition group, a second later than the last.
func (r *rig) do(op isCommand_Op) *Result { return r.doOn(testGroup, &Command{Op: op}) }

func (r *rig) sys(op isCommand_Op) *Result {
	return r.doOn(consensus.SystemGroup, &Command{Op: op})
}

func (r *rig) doOn(g consensus.GroupID, c *Command) *Result {
	r.t.Helper()
	r.now += int64(time.Second)
	if c.Stamp == 0 {
		c.Stamp = r.now
	}
	return r.apply(g, encode(r.t, c))[0]
}

func encode(t testing.TB, c *Command) []byte {
	t.Helper()
	b, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must fails the test unless the result is a success.
func (r *rig) must(res *Result) *Result {
	r.t.Helper()
	if err := res.Err("test"); err != nil {
		r.t.Fatalf("refused: %v", err)
	}
	return res
}

// refused fails the test unless the result is a refusal of that kind.
func (r *rig) refused(res *Result, want api.Kind) {
	r.t.Helper()
	if err := res.Err("test"); err == nil || api.KindOf(err) != want {
		r.t.Fatalf("got %v, want %v", err, want)
	}
}

func (r *rig) query(g consensus.GroupID, q isQuery_Q) *Answer {
	r.t.Helper()
	a, err := r.m.Query(r.db, g, &Query{Q: q})
	if err != nil {
		r.t.Fatalf("query: %v", err)
	}
	return a
}

// ask is query on the test's partition group, which must succeed.
func (r *rig) ask(q isQuery_Q) *Answer {
	r.t.Helper()
	a := r.query(testGroup, q)
	if err := a.Err("test"); err != nil {
		r.t.Fatalf("query: %v", err)
	}
	return a
}

// vid makes a version ID from a number.
func vid(n uint64) []byte {
	id := make([]byte, 16)
	id[0] = 0x5a
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// stateHash hashes every state key of a group.
func (r *rig) stateHash(g consensus.GroupID) [32]byte {
	r.t.Helper()
	h := sha256.New()
	lo, hi := consensus.StateSpan(g)
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		r.t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		for _, b := range [][]byte{it.Key(), it.Value()} {
			h.Write(binary.AppendUvarint(nil, uint64(len(b))))
			h.Write(b)
		}
	}
	return [32]byte(h.Sum(nil))
}
