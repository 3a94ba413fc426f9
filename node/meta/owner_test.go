package meta

import (
	"testing"

	"shoal/node/api"
)

// owners asks for the states of streams of a version.
func (r *rig) owners(version []byte, streams ...uint64) []OwnerState {
	r.t.Helper()
	q := new(OwnersQuery)
	for _, s := range streams {
		q.Owners = append(q.Owners, &StreamOwner{Version: version, Stream: s})
	}
	return r.ask(&Query_Owners{q}).GetOwners().States
}

func (r *rig) condemn(version []byte, stream uint64) OwnerState {
	r.t.Helper()
	c := &Condemn{Owners: []*StreamOwner{{Version: version, Stream: stream}}}
	return r.must(r.do(&Command_Condemn{c})).GetOwners().States[0]
}

const (
	unknown = OwnerState_OWNER_UNKNOWN
	live    = OwnerState_OWNER_LIVE
	dead    = OwnerState_OWNER_DEAD
)

// TestCondemnRace: the shards of a writer that is too slow are given back; whatever it does then is
// refused, however long it takes within a week.
func TestCondemnRace(t *testing.T) {
	upload := func(r *rig) {
		r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}))
	}
	for _, c := range []struct {
		name   string
		before func(*rig)
		late   isCommand_Op
	}{
		{"put", func(*rig) {}, object("k", 1, sharded(5))},
		{"put with several streams", func(*rig) {}, object("k", 1, sharded(1, 2, 5))},
		{"part", upload, partOf(1, 1, 5, 9)},
		{"manifest node of a completion", func(r *rig) { upload(r); r.must(r.do(partOf(1, 1, 2, 9))) },
			&Command_CompleteUpload{&CompleteUpload{
				Bucket: 7, Key: []byte("k"), Upload: vid(1), Manifest: []byte("m"), Streams: []uint64{5}, Size: 9,
				Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 2}},
			}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			c.before(r)
			if s := r.owners(vid(1), 5)[0]; s != unknown {
				t.Fatalf("before: %v", s)
			}
			if s := r.condemn(vid(1), 5); s != dead {
				t.Fatalf("condemned: %v", s)
			}
			r.now += int64(condemnedTTL) - int64(600e9)
			for range 50 { // lets everything expire that may
				r.must(r.do(object("other", 100+r.index)))
			}
			if s := r.owners(vid(1), 5)[0]; s != dead {
				t.Fatalf("days later: %v", s)
			}
			r.refused(r.do(c.late), api.UploadExpired)
			if s := r.owners(vid(1), 5)[0]; s != dead {
				t.Fatalf("after the refusal: %v", s)
			}
			r.now += int64(condemnedTTL)
			r.must(r.do(object("other", 50)))
			if s := r.owners(vid(1), 5)[0]; s != unknown {
				t.Fatalf("after expiry: %v", s)
			}
		})
	}
}

// partOf is a part of the upload of key k.
func partOf(upload uint64, number uint32, stream, size uint64) *Command_PutPart {
	return &Command_PutPart{&PutPart{
		Bucket: 7, Key: []byte("k"), Upload: vid(upload), Number: number, Stream: stream, Size: size, Etag: md5Of("md5"), Manifest: []byte("part"),
	}}
}

func TestCondemnLive(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1, sharded(3, 4))))
	r.must(r.do(object("zero", 2, sharded())))
	r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(3)}}))
	r.must(r.do(partOf(3, 1, 8, 9)))
	for _, c := range []struct {
		version, stream uint64
		want            OwnerState
	}{{1, 3, live}, {1, 4, live}, {1, 5, dead}, {2, 0, live}, {2, 1, dead}, {3, 8, live}, {3, 9, dead}} {
		if s := r.condemn(vid(c.version), c.stream); s != c.want {
			t.Errorf("%d/%d: %v, want %v", c.version, c.stream, s, c.want)
		}
		if s := r.owners(vid(c.version), c.stream)[0]; s != c.want {
			t.Errorf("%d/%d afterwards: %v, want %v", c.version, c.stream, s, c.want)
		}
	}
	r.refused(r.do(&Command_Condemn{&Condemn{}}), api.InvalidArgument)
	r.refused(r.do(&Command_Condemn{&Condemn{Owners: []*StreamOwner{{Version: []byte("x")}}}}), api.InvalidArgument)
}

// TestGarbage: an entry is there from the moment its owner is dead until it is done, and its
// manifest with it.
func TestGarbage(t *testing.T) {
	r := newRig(t, Config{})
	for n := range uint64(5) {
		r.must(r.do(object("k", n+1, sharded(n+10)))) // each removes the one before
		if s := r.owners(vid(n+1), n+10)[0]; s != live {
			t.Fatalf("new version: %v", s)
		}
	}
	a := r.ask(&Query_Garbage{&GarbageQuery{After: 1, Max: 2}}).GetGarbage()
	if a.Pending != 4 || !a.Truncated || len(a.Garbage) != 2 || a.Garbage[0].Seq != 2 || a.Garbage[1].Seq != 3 {
		t.Fatalf("garbage %v", a)
	}
	g := a.Garbage[0]
	if string(g.Manifest) != "manifest" || g.Bucket != 7 || g.Streams[0] != 11 || g.Part || r.owners(g.Version, 11)[0] != dead {
		t.Fatalf("garbage %v", g)
	}
	if one := r.ask(&Query_Garbage{&GarbageQuery{MaxBytes: 1}}).GetGarbage(); len(one.Garbage) != 1 || !one.Truncated {
		t.Fatalf("within one byte: %v", one)
	}
	for range 2 { // the second time they are gone already
		r.must(r.do(&Command_GarbageDone{&GarbageDone{Seqs: []uint64{1, 2, 3, 4, 77}}}))
	}
	a = r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage()
	if a.Pending != 0 || len(a.Garbage) != 0 {
		t.Fatalf("garbage %v", a)
	}
	m := r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k"), Body: true}}).GetLookup().Manifest
	if string(m) != "manifest" {
		t.Fatalf("the live version's manifest is %q", m)
	}
}
