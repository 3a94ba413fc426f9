package meta

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/api"
	"shoal/node/consensus"
)

// load fills a group with the records of a golden file.
func (r *rig) load(g consensus.GroupID, path string) {
	r.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		suffix, err := hex.DecodeString(lines[i][2:])
		if err != nil {
			r.t.Fatal(err)
		}
		val, err := hex.DecodeString(strings.TrimSpace(lines[i+1]))
		if err != nil {
			r.t.Fatal(err)
		}
		if err := r.db.Set(append(appendSpace(nil, g, lines[i][0]), suffix...), val, pebble.NoSync); err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestFirstRelease opens the state that the first release wrote: everything is found, and goes on.
func TestFirstRelease(t *testing.T) {
	r := newRig(t, Config{})
	r.load(testGroup, "testdata/partition-first.golden")
	r.order([]byte("small"), 0, 2, 1)
	recount(t, &view{r: r.db, g: testGroup})
	r.refused(asResult(r.query(testGroup, &Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("small")}})), api.NoSuchKey)
	a := r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("small"), NullVersion: true, Body: true}}).GetLookup()
	if !bytes.Equal(a.Head.Version, vid(1)) || string(a.Inline) != "sealed" || a.Head.LockMode != 0 || a.Head.Tags != nil {
		t.Fatalf("%v", a)
	}
	marker := r.ask(&Query_Versions{&VersionsQuery{Bucket: 7, Prefix: []byte("small"), Max: 1}}).GetVersions().Versions[0]
	d := r.must(r.do(deletion(&DeleteItem{Key: []byte("small"), Version: marker.Head.Version, Seq: marker.Head.Seq}))).GetDeleted().Items[0]
	if !d.DeleteMarker {
		t.Fatalf("the marker was not removed: %v", d)
	}
	r.order([]byte("small"), 2, 1)
	r.must(r.do(deletion(&DeleteItem{Key: []byte("small")})))
	r.order([]byte("small"), 0, 2, 1)
	r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Mode: 1, Days: 1}}))
	r.must(r.do(object("small", 70)))
	r.order([]byte("small"), 70, 0, 2, 1)
	recount(t, &view{r: r.db, g: testGroup})
}

// TestPagesOfWhatIsRemoved removes each page of versions before it asks for the next, as programs that empty
// a bucket do: every version is met once, though the one that the page begins behind is gone.
func TestPagesOfWhatIsRemoved(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1)))
	r.must(r.do(versioning(7, "enabled")))
	for n := uint64(2); n < 20; n++ {
		if n%5 == 0 {
			r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
		} else {
			r.must(r.do(object("k", n)))
		}
	}
	r.must(r.do(object("l", 20)))
	q, seen := &VersionsQuery{Bucket: 7, Max: 3}, 0
	for more := true; more && seen < 30; {
		a := r.ask(&Query_Versions{q}).GetVersions()
		for i, v := range a.Versions {
			if v.Latest != (i == 0 || string(v.Key) == "l") {
				t.Fatalf("version %d of the page is %v", i, v)
			}
		}
		for _, v := range a.Versions {
			seen++
			r.must(r.do(deletion(&DeleteItem{Key: v.Key, Version: v.Head.Version, Seq: v.Head.Seq})))
		}
		q.AfterKey, q.AfterSeq, more = a.NextKey, a.NextSeq, a.Truncated
	}
	if seen != 20 {
		t.Fatalf("%d versions seen, want 20", seen)
	}
	r.must(r.do(&Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: 1}}))
}

// TestPagesFromNull: the version that S3 calls "null" is a place to go on from.
func TestPagesFromNull(t *testing.T) {
	r := newRig(t, Config{})
	for _, step := range []isCommand_Op{
		versioning(7, "enabled"), object("k", 1), versioning(7, "suspended"), object("k", 2), versioning(7, "enabled"), object("k", 3), object("l", 4),
	} {
		r.must(r.do(step))
	}
	page := func() (got []uint64) {
		q := &VersionsQuery{Bucket: 7, AfterKey: []byte("k"), AfterNull: true, Max: 10}
		for _, v := range r.ask(&Query_Versions{q}).GetVersions().Versions {
			got = append(got, uint64(v.Head.Version[15]))
		}
		return got
	}
	if got := page(); len(got) != 2 || got[0] != 1 || got[1] != 4 {
		t.Fatalf("behind the null version: %v", got)
	}
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k"), NullVersion: true})))
	if got := page(); len(got) != 3 || got[0] != 3 {
		t.Fatalf("the null version is gone: %v", got)
	}
}
