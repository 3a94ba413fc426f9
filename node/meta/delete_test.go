package meta

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

// TestDeleteConditions: If-Match on a key without an object is NoSuchKey, as S3 answers; size and
// time guard only an object that is there.
func TestDeleteConditions(t *testing.T) {
	for _, c := range []struct {
		name    string
		item    *DeleteItem
		missing api.Kind
		present api.Kind
	}{
		{"none", &DeleteItem{}, ok, ok},
		{"any", &DeleteItem{IfMatch: []byte("*")}, api.NoSuchKey, ok},
		{"right ETag", &DeleteItem{IfMatch: []byte("etag")}, api.NoSuchKey, ok},
		{"wrong ETag", &DeleteItem{IfMatch: []byte("else")}, api.NoSuchKey, api.PreconditionFailed},
		{"right size", &DeleteItem{IfSize: proto.Uint64(4)}, ok, ok},
		{"wrong size", &DeleteItem{IfSize: proto.Uint64(0)}, ok, api.PreconditionFailed},
		{"right time", &DeleteItem{IfModified: proto.Int64(testEpoch/1e9 + 1)}, ok, ok},
		{"wrong time", &DeleteItem{IfModified: proto.Int64(testEpoch / 1e9)}, ok, api.PreconditionFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.must(r.do(object("there", 1)))
			var items []*DeleteItem
			for _, key := range []string{"missing", "there"} {
				item := proto.Clone(c.item).(*DeleteItem)
				item.Key = []byte(key)
				items = append(items, item)
			}
			got := r.must(r.do(deletion(items...))).GetDeleted().Items
			for i, want := range []api.Kind{c.missing, c.present} {
				err := got[i].Err("test")
				if (err == nil) != (want == ok) || err != nil && api.KindOf(err) != want {
					t.Errorf("%s: %v, want %v", items[i].Key, err, want)
				}
			}
			a := r.query(testGroup, &Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("there")}})
			if gone := a.Code != 0; gone != (c.present == ok) {
				t.Errorf("gone %v", gone)
			}
		})
	}
}

// TestVersioned goes through the states of a bucket as the S3 user guide has them: "Deleting object
// versions from a versioning-suspended bucket", "Adding objects to versioning-suspended buckets".
func TestVersioned(t *testing.T) {
	r := newRig(t, Config{})
	key := []byte("k")
	put := func(n uint64) *Written { return r.must(r.do(object("k", n))).GetWritten() }
	remove := func(item *DeleteItem) *Deleted {
		item.Key = key
		return r.must(r.do(deletion(item))).GetDeleted().Items[0]
	}
	if w := put(1); !w.NullVersion || w.Versioning != Versioning_VERSIONING_OFF {
		t.Fatalf("unversioned: %v", w)
	}
	r.must(r.do(versioning(7, "enabled")))
	if w := put(2); w.NullVersion || w.Versioning != Versioning_VERSIONING_ENABLED {
		t.Fatalf("enabled: %v", w)
	}
	r.order(key, 2, 1)
	marker := remove(&DeleteItem{})
	if !marker.DeleteMarker || len(marker.Version) != 16 || !marker.Versioned {
		t.Fatalf("delete marker: %v", marker)
	}
	if again := remove(&DeleteItem{}); bytes.Equal(again.Version, marker.Version) {
		t.Fatal("two delete markers have one ID")
	}
	r.refused(asResult(r.query(testGroup, &Query_Lookup{&LookupQuery{Bucket: 7, Key: key}})), api.NoSuchKey)
	if d := remove(&DeleteItem{Version: marker.Version}); !d.DeleteMarker || !bytes.Equal(d.Version, marker.Version) {
		t.Fatalf("delete marker removed: %v", d)
	}
	r.must(r.do(versioning(7, "suspended")))
	if w := put(3); !w.NullVersion { // takes the place of version 1, which is null too
		t.Fatalf("suspended: %v", w)
	}
	r.order(key, 3, 0, 2)
	if d := remove(&DeleteItem{}); !d.DeleteMarker || !d.NullVersion { // version 3 was null: it is gone
		t.Fatalf("null delete marker: %v", d)
	}
	r.order(key, 0, 0, 2)
	if d := remove(&DeleteItem{NullVersion: true}); !d.DeleteMarker || !d.NullVersion {
		t.Fatalf("null version removed: %v", d)
	}
	if d := remove(&DeleteItem{NullVersion: true}); d.Code != 0 || d.DeleteMarker {
		t.Fatalf("no null version is left, so that its removal does nothing: %v", d)
	}
	r.order(key, 0, 2)
	r.refused(r.do(versioning(7, "off")), api.InvalidArgument)
}

func asResult(a *Answer) *Result { return &Result{Code: a.Code, Detail: a.Detail} }

// order checks a key's versions, the newest first; 0 stands for a delete marker.
func (r *rig) order(key []byte, want ...uint64) {
	r.t.Helper()
	got := r.ask(&Query_Versions{&VersionsQuery{Bucket: 7, Prefix: key, Max: 100}}).GetVersions().Versions
	if len(got) != len(want) {
		r.t.Fatalf("versions %v, want %v", got, want)
	}
	for i, v := range got {
		if marker := want[i] == 0; marker != v.Head.DeleteMarker() || !marker && !bytes.Equal(v.Head.Version, vid(want[i])) || v.Latest != (i == 0) {
			r.t.Fatalf("version %d is %v, want %d", i, v, want[i])
		}
	}
}

func TestDeleteMalformed(t *testing.T) {
	r := newRig(t, Config{})
	r.refused(r.do(deletion()), api.InvalidArgument)
	r.refused(r.do(deletion(make([]*DeleteItem, 1001)...)), api.InvalidArgument)
	items := r.must(r.do(deletion(
		&DeleteItem{}, &DeleteItem{Key: make([]byte, 1025)}, &DeleteItem{Key: []byte("k"), Version: []byte("short")},
		&DeleteItem{Key: []byte("k"), Version: vid(1), NullVersion: true},
	))).GetDeleted().Items
	for _, d := range items {
		if api.KindOf(d.Err("test")) != api.InvalidArgument {
			t.Errorf("%v", d)
		}
	}
}

// TestSameKeyTwice: items of one deletion see what the items before them did.
func TestSameKeyTwice(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1, sharded(1))))
	item := &DeleteItem{Key: []byte("k"), IfMatch: []byte("etag")}
	items := r.must(r.do(deletion(item, item))).GetDeleted().Items
	if items[0].Code != 0 || api.KindOf(items[1].Err("test")) != api.NoSuchKey {
		t.Fatalf("%v", items)
	}
	if a := r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage(); len(a.Garbage) != 1 {
		t.Fatalf("garbage %v", a)
	}
}
