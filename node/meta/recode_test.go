package meta

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"shoal/node/api"
)

func recodeDone(n uint64, old, manifest string, streams ...uint64) *Command_Recode {
	sum := sha256.Sum256([]byte(old))
	return &Command_Recode{&Recode{Version: vid(n), OldDigest: sum[:], Manifest: []byte(manifest), Streams: streams}}
}

func recodeBegin(n uint64, streams ...uint64) *Command_Recode {
	return &Command_Recode{&Recode{Version: vid(n), Begin: true, Streams: streams}}
}

// TestRecode: the new shards have a living owner from the announcement on, the old ones until the
// manifest is replaced, and then they are garbage under the manifest that named them.
func TestRecode(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1, sharded(4, 5))))
	first := string(r.ask(&Query_Manifests{&ManifestsQuery{}}).GetManifests().Manifests[0].Manifest)
	states := func(want ...OwnerState) {
		t.Helper()
		for i, s := range r.owners(vid(1), 4, 5, 8, 9) {
			if s != want[i] {
				t.Fatalf("stream %d of 4, 5, 8, 9: %v, want %v", i, s, want[i])
			}
		}
	}
	r.refused(r.do(recodeDone(1, first, "new", 8)), api.ConditionalConflict) // not announced
	r.must(r.do(recodeBegin(1, 8)))
	states(live, live, live, dead)
	r.must(r.do(recodeBegin(1, 9))) // another worker takes over
	states(live, live, dead, live)
	r.refused(r.do(recodeDone(1, first, "new", 8)), api.ConditionalConflict)
	r.refused(r.do(recodeDone(1, "stale", "new", 9)), api.ConditionalConflict)
	r.refused(r.do(recodeBegin(1, 4)), api.InvalidArgument) // in use
	announced := func(want bool) {
		t.Helper()
		if m := r.ask(&Query_Manifests{&ManifestsQuery{}}).GetManifests().Manifests[0]; m.Recoding != want {
			t.Fatalf("a recoding is announced: %v, want %v", m.Recoding, want)
		}
	}
	announced(true)
	r.must(r.do(recodeBegin(1))) // nobody is to finish it
	announced(false)
	states(live, live, dead, dead)
	r.refused(r.do(recodeDone(1, first, "new", 9)), api.ConditionalConflict)
	r.must(r.do(recodeBegin(1, 9)))
	r.must(r.do(recodeDone(1, first, "new", 9)))
	states(dead, dead, dead, live)
	g := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage()
	if len(g.Garbage) != 1 || string(g.Garbage[0].Manifest) != first || len(g.Garbage[0].Streams) != 2 {
		t.Fatalf("garbage %v", g)
	}
	r.must(r.do(&Command_GarbageDone{&GarbageDone{Seqs: []uint64{g.Garbage[0].Seq}}}))
	m := r.ask(&Query_Manifests{&ManifestsQuery{}}).GetManifests()
	if len(m.Manifests) != 1 || string(m.Manifests[0].Manifest) != "new" || !bytes.Equal(m.Manifests[0].Version, vid(1)) {
		t.Fatalf("manifests %v", m)
	}
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	states(dead, dead, dead, dead)
	r.refused(r.do(recodeBegin(1, 10)), api.NoSuchVersion)
	r.refused(r.do(recodeDone(1, "new", "newer", 9)), api.NoSuchVersion)
	if a := r.ask(&Query_Manifests{&ManifestsQuery{}}).GetManifests(); len(a.Manifests) != 0 {
		t.Fatalf("manifests of the dead %v", a)
	}
}

func TestManifestPages(t *testing.T) {
	r := newRig(t, Config{})
	for n := uint64(1); n <= 5; n++ {
		r.must(r.do(object(string('a'+rune(n)), n, sharded(0))))
	}
	var got [][]byte
	var after []byte
	for {
		a := r.ask(&Query_Manifests{&ManifestsQuery{After: after, Max: 2}}).GetManifests()
		for _, m := range a.Manifests {
			got = append(got, m.Version)
			after = m.Version
		}
		if !a.Truncated {
			break
		}
	}
	if len(got) != 5 {
		t.Fatalf("%d manifests", len(got))
	}
	for i := range got {
		if !bytes.Equal(got[i], vid(uint64(i+1))) {
			t.Errorf("%d: %x", i, got[i])
		}
	}
}
