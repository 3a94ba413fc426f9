package shardstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"shoal/chunker"
)

func openTest(t *testing.T) *Store {
	t.Helper()
	cfg := Config{Dir: t.TempDir() + "/drive", Cluster: [16]byte{1}, Drive: [16]byte{2}, IndexMemTableBytes: 256 << 10}
	if err := Format(OS(), cfg.Dir, cfg.Cluster, cfg.Drive); err != nil {
		t.Fatal(err)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func internalShard(r *rand.Rand, n int) *Shard {
	p := alignedBytes(n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	h := chunker.HashShard(p)
	hashes := []chunker.ShardHash{h}
	return &Shard{ID: ID{Chunk: chunker.ChunkIDOf(hashes)}, K: 1, ChunkLen: uint32(n), Hashes: hashes, Owner: Owner{Group: 1}, Payload: p}
}

func newOp(kind opKind, sh *Shard) *op {
	o := &op{kind: kind, id: sh.ID, owner: sh.Owner, done: make(chan struct{}, 1)}
	if kind == putOp {
		outboard, _ := chunker.HashShardOutboard(sh.Payload, nil)
		o.head = &shardHead{
			id: sh.ID, k: sh.K, m: sh.M, chunkLen: sh.ChunkLen, hashes: sh.Hashes,
			owners: []Owner{sh.Owner}, outboard: outboard,
		}
		o.payload, o.length = sh.Payload, len(sh.Payload)
	}
	return o
}

// TestBatchKeepsOrder: in a batch the control record comes last, so a record must not share a batch
// with an operation on its shard that came before it.
func TestBatchKeepsOrder(t *testing.T) {
	s := openTest(t)
	sh := internalShard(rand.New(rand.NewPCG(1, 1)), pageSize)
	run := func(wantDone int, ops ...*op) {
		t.Helper()
		if done, err := s.tryBatch(ops); done != wantDone || err != nil {
			t.Fatalf("%d of %d operations done (%v), want %d", done, len(ops), err, wantDone)
		}
	}
	run(3, newOp(putOp, sh), newOp(addOp, sh), newOp(dropOp, sh))
	if _, err := s.Stat(sh.ID); !errors.Is(err, ErrNotFound) {
		t.Fatalf("put, then dropped: %v", err)
	}
	run(1, newOp(putOp, sh))
	run(1, newOp(dropOp, sh), newOp(putOp, sh))
	if len(s.carry) != 0 {
		t.Fatal("tryBatch carries nothing; its caller does")
	}
	run(1, newOp(putOp, sh))
	if info, err := s.Stat(sh.ID); err != nil || len(info.Owners) != 1 {
		t.Fatalf("stat: %+v, %v", info, err)
	}
}

// TestReadAtAllocatesNothing keeps the path of a hot GET free of garbage.
func TestReadAtAllocatesNothing(t *testing.T) {
	s := openTest(t)
	sh := internalShard(rand.New(rand.NewPCG(1, 1)), pageSize)
	if _, err := s.tryBatch([]*op{newOp(putOp, sh)}); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, pageSize)
	read := func() {
		if _, err := s.ReadAt(context.Background(), sh.ID, p, 0); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if n := testing.AllocsPerRun(100, read); n > 0 {
		t.Fatalf("ReadAt of a shard read before allocates %v times", n)
	}
}

// TestCheckpointPrunesBatchKeys runs past a checkpoint and expects the index to open, with the batch
// keys before it gone.
func TestCheckpointPrunesBatchKeys(t *testing.T) {
	s := openTest(t)
	touch := &op{kind: callOp, done: make(chan struct{}, 1), change: func(*index, *txn) error { return nil }}
	for range checkpointEvery {
		if _, err := s.tryBatch([]*op{touch}); err != nil {
			t.Fatal(err)
		}
	}
	if !s.idx.pending {
		t.Fatal("no checkpoint was begun")
	}
	n := <-s.idx.flushed // as the next batch would, but not before the flush is over
	s.idx.flushed <- n
	for range 3 {
		if _, err := s.tryBatch([]*op{touch}); err != nil {
			t.Fatal(err)
		}
	}
	keys := 0
	count := func(_, _ []byte) error { keys++; return nil }
	if err := s.idx.each([]byte{keyBatch}, []byte{keyBatch + 1}, count); err != nil {
		t.Fatal(err)
	}
	if keys != 3 {
		t.Fatalf("%d batch keys are left, want 3", keys)
	}
	if err := s.idx.check(); err != nil {
		t.Fatal(err)
	}
	// A batch that is gone from the middle must not pass.
	if err := s.idx.db.Delete(batchKey(n+2), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.idx.check(); !errors.Is(err, errIndexDamaged) {
		t.Fatalf("an index without its batch %d: %v", n+2, err)
	}
}
