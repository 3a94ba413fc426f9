package meta

import (
	"bytes"
	"testing"

	"shoal/acl/lock"
	"shoal/node/api"
)

func inClass(class api.StorageClass) func(*PutVersion) {
	return func(c *PutVersion) { c.StorageClass = uint32(class) }
}

// transition gives versions of bucket 7 a class and returns the kinds of the refusals, 0 for a success.
func (r *rig) transition(class api.StorageClass, items ...*TransitionItem) []api.Kind {
	r.t.Helper()
	res := r.must(r.do(&Command_Transition{&Transition{Bucket: 7, StorageClass: uint32(class), Items: items}}))
	kinds := make([]api.Kind, len(items))
	for i, code := range res.GetTransitioned().Codes {
		if code != 0 {
			kinds[i], _ = api.KindFromWire(code)
		}
	}
	return kinds
}

func (r *rig) head(key string, version []byte) *Head {
	r.t.Helper()
	return r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte(key), Version: version}}).GetLookup().Head
}

// TestClassIsKept: a version has the class it was written with, in its head, in listings and for those who recode.
func TestClassIsKept(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(versioning(7, "enabled")))
	r.must(r.do(object("k", 1, inClass(api.ReducedRedundancy), sharded(1))))
	r.must(r.do(object("k", 2, sharded(1))))
	r.must(r.do(object("small", 3, inClass(api.ReducedRedundancy))))
	r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("up"), Upload: vid(9), StorageClass: 1}}))
	if u := r.ask(&Query_Uploads{&UploadsQuery{Bucket: 7, Max: 9}}).GetUploads().Uploads; len(u) != 1 || u[0].Class() != api.ReducedRedundancy {
		t.Errorf("uploads %v", u)
	}
	r.must(r.do(&Command_PutPart{&PutPart{Bucket: 7, Key: []byte("up"), Upload: vid(9), Number: 1, Stream: 4, Size: 1, Etag: md5Of("md5"), Manifest: []byte("m")}}))
	r.must(r.do(&Command_CompleteUpload{&CompleteUpload{
		Bucket: 7, Key: []byte("up"), Upload: vid(9), Manifest: []byte("whole"), Size: 1, Etag: []byte("e-1"), Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 4}},
	}}))
	r.must(r.do(&Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("up"), To: []byte("renamed")}}))
	listed, err := r.m.List(r.db, testGroup, &ListQuery{Bucket: 7, Max: 9})
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseListPage(AppendListPage(nil, listed))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []*ListPage{listed, again} {
		got := ""
		for _, e := range page.Entries {
			got += string(e.Key) + " " + e.Class.String() + ", "
		}
		if got != "k STANDARD, renamed REDUCED_REDUNDANCY, small REDUCED_REDUNDANCY, " {
			t.Errorf("listed %s", got)
		}
	}
	got := ""
	for _, v := range r.ask(&Query_Versions{&VersionsQuery{Bucket: 7, Prefix: []byte("k"), Max: 9}}).GetVersions().Versions {
		got += v.Head.StorageClass().String() + " "
	}
	if got != "STANDARD REDUCED_REDUNDANCY " {
		t.Errorf("versions %s", got)
	}
	for _, m := range r.ask(&Query_Manifests{&ManifestsQuery{}}).GetManifests().Manifests {
		want := api.ReducedRedundancy
		if bytes.Equal(m.Version, vid(2)) {
			want = api.StandardClass
		}
		if m.Class() != want {
			t.Errorf("version %x is to be recoded as %v", m.Version, m.Class())
		}
	}
	r.refused(r.do(object("k", 4, inClass(2))), api.InvalidArgument)
	r.refused(r.do(object("k", 4, inClass(255))), api.InvalidArgument)
	r.refused(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("up"), Upload: vid(10), StorageClass: 1 << 16}}), api.InvalidArgument)
}

// TestTransition: a version gets its class only as it was listed, and nothing else of it changes.
func TestTransition(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1, sharded(1))))
	r.must(r.do(object("small", 2)))
	before := r.head("k", nil)
	current := func(key string) *TransitionItem {
		return &TransitionItem{Key: []byte(key), Mtime: r.head(key, nil).Mtime}
	}
	late := current("k")
	late.Mtime++
	kinds := r.transition(api.ReducedRedundancy, current("k"), current("small"), late, &TransitionItem{Key: []byte("none")}, &TransitionItem{}, &TransitionItem{Key: []byte("k"), Version: []byte("x")})
	for i, want := range []api.Kind{0, 0, api.PreconditionFailed, api.NoSuchKey, api.InvalidArgument, api.InvalidArgument} {
		if kinds[i] != want {
			t.Errorf("item %d: %v, want %v", i, kinds[i], want)
		}
	}
	after := r.head("k", nil)
	if after.StorageClass() != api.ReducedRedundancy || r.head("small", nil).StorageClass() != api.ReducedRedundancy {
		t.Error("the class did not change")
	}
	if after.Flags = before.Flags; after.String() != before.String() {
		t.Errorf("%v became %v", before, after)
	}
	if m := r.ask(&Query_Manifests{&ManifestsQuery{}}).GetManifests().Manifests; len(m) != 1 || m[0].Class() != api.ReducedRedundancy {
		t.Errorf("manifests %v", m)
	}
	counters := r.ask(&Query_Counters{&CountersQuery{Bucket: 7}}).GetCounters().Bucket
	if counters.Objects != 2 || counters.Bytes != 8 || counters.Versions != 2 {
		t.Errorf("counted %v", counters)
	}
	events := r.ask(&Query_Feed{&FeedQuery{}}).GetFeed().Events
	if last := events[len(events)-1]; len(events) != 4 || last.Kind != Event_TRANSITIONED || string(last.Key) != "small" {
		t.Errorf("events %v", events)
	}
	if kinds := r.transition(api.ReducedRedundancy, current("k")); kinds[0] != 0 {
		t.Errorf("again: %v", kinds)
	}
	if n := len(r.ask(&Query_Feed{&FeedQuery{}}).GetFeed().Events); n != 4 {
		t.Errorf("a transition that changes nothing is an event: %d", n)
	}
	// More redundancy is promised of what is coded so, and of nothing else.
	if kinds := r.transition(api.StandardClass, current("k")); kinds[0] != api.InvalidArgument {
		t.Errorf("back: %v", kinds)
	}
	for _, c := range []*Transition{{Bucket: 7}, {Bucket: 7, StorageClass: 2, Items: []*TransitionItem{current("k")}}, {Bucket: 7, Items: make([]*TransitionItem, 1001)}} {
		r.refused(r.do(&Command_Transition{c}), api.InvalidArgument)
	}
	r.must(r.do(&Command_FenceBucket{&FenceBucket{Bucket: 8, Epoch: 1}}))
	r.refused(r.do(&Command_Transition{&Transition{Bucket: 8, StorageClass: 1, Items: []*TransitionItem{current("k")}}}), api.NoSuchBucket)
}

// TestTransitionOfVersions: noncurrent versions are named, locked ones may go too, delete markers have no class.
func TestTransitionOfVersions(t *testing.T) {
	r := lockedRig(t)
	r.must(r.do(object("k", 1, sharded(1), retained(lock.Compliance, r.now+year))))
	r.must(r.do(object("k", 2, sharded(1))))
	old, now := r.head("k", vid(1)), r.head("k", vid(2))
	item := func(h *Head) *TransitionItem {
		return &TransitionItem{Key: []byte("k"), Version: h.Version, Seq: h.Seq, Mtime: h.Mtime, Noncurrent: true}
	}
	other := item(old)
	other.Seq++
	kinds := r.transition(api.ReducedRedundancy, item(now), other, item(old))
	if kinds[0] != api.PreconditionFailed || kinds[1] != api.NoSuchVersion || kinds[2] != 0 {
		t.Errorf("outcomes %v", kinds)
	}
	if r.head("k", vid(2)).StorageClass() != api.StandardClass || r.head("k", vid(1)).StorageClass() != api.ReducedRedundancy {
		t.Error("the wrong version changed")
	}
	if h := r.head("k", vid(1)); h.LockMode != uint32(lock.Compliance) || h.RetainUntil != old.RetainUntil {
		t.Errorf("the lock became %v", h)
	}
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	if kinds := r.transition(api.ReducedRedundancy, &TransitionItem{Key: []byte("k")}); kinds[0] != api.DeleteMarker {
		t.Errorf("a delete marker: %v", kinds)
	}
}
