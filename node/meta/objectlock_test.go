package meta

import (
	"testing"
	"time"

	"shoal/acl/lock"
	"shoal/node/api"
)

const year = int64(365 * 24 * time.Hour)

// lockedRig is a bucket 7 with object lock.
func lockedRig(t *testing.T) *rig {
	r := newRig(t, Config{})
	r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Initial: true}}))
	return r
}

func retained(mode lock.Mode, until int64) func(*PutVersion) {
	return func(c *PutVersion) { c.Lock = &Lock{Mode: uint32(mode), Until: until} }
}

// removal tries to remove a version; agreed is what the voters say, 0 for nothing.
func (r *rig) removal(item *DeleteItem, agreed int64) *Deleted {
	r.t.Helper()
	op := deletion(item)
	return r.must(r.doOn(testGroup, &Command{Agreed: agreed, Op: op})).GetDeleted().Items[0]
}

func (r *rig) denied(d *Deleted) {
	r.t.Helper()
	if api.KindOf(d.Err("test")) != api.AccessDenied {
		r.t.Fatalf("removed: %v", d)
	}
}

// TestClockSetForward: one leader whose clock runs a century ahead ends no retention, however often it proposes,
// and neither does a group that has not agreed on any time.
func TestClockSetForward(t *testing.T) {
	r := lockedRig(t)
	until := r.now + int64(time.Hour)
	r.must(r.do(object("k", 1, retained(lock.Compliance, until))))
	item := &DeleteItem{Key: []byte("k"), Version: vid(1)}
	right := r.now
	r.now += 100 * year
	r.denied(r.removal(item, 0))
	r.denied(r.removal(item, right))
	r.refused(r.do(&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: []byte("k"), Change: &AlterVersion_Retention{&Lock{}}}}), api.AccessDenied)
	r.refused(r.do(&Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("k"), To: []byte("l")}}), api.AccessDenied)
	r.denied(r.removal(item, until-1))
	if d := r.removal(item, until); d.Code != 0 {
		t.Fatalf("the retention is over: %v", d)
	}
}

// TestAgreedNeverGoesBack: what the voters agreed on once stays so for later commands.
func TestAgreedNeverGoesBack(t *testing.T) {
	r := lockedRig(t)
	until := r.now + int64(time.Hour)
	r.must(r.do(object("k", 1, retained(lock.Governance, until))))
	r.must(r.doOn(testGroup, &Command{Agreed: until, Op: object("other", 2)}))
	if d := r.removal(&DeleteItem{Key: []byte("k"), Version: vid(1)}, 1); d.Code != 0 {
		t.Fatalf("the time agreed on before is forgotten: %v", d)
	}
}

// TestClockBehind: a default retention is counted from the later of what the leader's clock and its voters say.
func TestClockBehind(t *testing.T) {
	r := lockedRig(t)
	r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Mode: uint32(lock.Compliance), Days: 1}}))
	agreed := r.now + 10*year
	r.must(r.doOn(testGroup, &Command{Agreed: agreed, Op: object("k", 1)}))
	h := r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k")}}).GetLookup().Head
	if want := agreed + int64(24*time.Hour); h.RetainUntil != want {
		t.Fatalf("retained until %d, want %d", h.RetainUntil, want)
	}
}

// TestUnknownModeProtects: a lock of a later release, or a damaged one, is the strictest.
func TestUnknownModeProtects(t *testing.T) {
	r := lockedRig(t)
	r.must(r.do(object("k", 1)))
	var h head
	v := &view{r: r.db, g: testGroup}
	buf, found, err := v.current(&h, nil, 7, []byte("k"), true)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	h.lockMode, h.until = 300, r.now+year
	if err := r.db.Set(v.objectKey(spaceCurrent, 7, []byte("k")), h.append(nil), nil); err != nil {
		t.Fatal(err)
	}
	_ = buf
	r.denied(r.removal(&DeleteItem{Key: []byte("k"), Version: vid(1), Bypass: true}, r.now))
}

// TestNothingSuspendsALock: the states of a bucket that would let a version be replaced cannot be reached.
func TestNothingSuspendsALock(t *testing.T) {
	r := lockedRig(t)
	r.refused(r.do(versioning(7, "suspended")), api.InvalidBucketState)
	r.refused(r.do(versioning(7, "off")), api.InvalidBucketState)
	r.refused(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: "versioning", Remove: true}}), api.InvalidArgument)
	r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Mode: 2, Years: 1}}))
	r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Initial: true}})) // changes nothing
	cfg := r.ask(&Query_BucketConfig{&BucketConfigQuery{Bucket: 7}}).GetBucketConfig()
	if cfg.ObjectLock.GetYears() != 1 || cfg.Versioning != Versioning_VERSIONING_ENABLED {
		t.Fatalf("%v", cfg)
	}
	r.must(r.do(object("k", 1)))
	r.refused(r.do(&Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: 1}}), api.BucketNotEmpty)
	for _, c := range []*SetObjectLock{{Bucket: 7, Mode: 1}, {Bucket: 7, Days: 1}, {Bucket: 7, Mode: 3, Days: 1}, {Bucket: 7, Mode: 1, Days: 1, Years: 1}, {Bucket: 7, Mode: 1 << 20, Days: 1}} {
		r.refused(r.do(&Command_SetObjectLock{c}), api.InvalidArgument)
	}
}

// TestNullIsNotReplacedWhileLocked: were versioning ever off in a bucket with locks, a write would still not
// remove a locked version.
func TestNullIsNotReplacedWhileLocked(t *testing.T) {
	for _, mode := range []Versioning{Versioning_VERSIONING_OFF, Versioning_VERSIONING_SUSPENDED} {
		r := newRig(t, Config{})
		r.must(r.do(object("k", 1)))
		r.must(r.do(versioning(7, "enabled")))
		r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7}}))
		r.must(r.do(&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: []byte("k"), NullVersion: true, Change: &AlterVersion_LegalHold{true}}}))
		var s bucketState
		v := &view{r: r.db, g: testGroup}
		if _, err := v.bucket(&s, 7); err != nil {
			t.Fatal(err)
		}
		s.versioning = uint64(mode)
		if err := r.db.Set(v.uintKey(spaceBucket, 7), s.append(nil), nil); err != nil {
			t.Fatal(err)
		}
		r.refused(r.do(object("k", 2)), api.AccessDenied)
		r.denied(r.removal(&DeleteItem{Key: []byte("k")}, r.now))
		r.must(r.do(object("l", 3)))
		r.refused(r.do(&Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("l"), To: []byte("k")}}), api.AccessDenied)
		r.refused(r.do(&Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("k"), To: []byte("m")}}), api.AccessDenied)
		h := r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k")}}).GetLookup().Head
		if h.Version[15] != 1 || !h.LegalHold() {
			t.Fatalf("in mode %v: %v", mode, h)
		}
	}
}

// TestPlaceOfAVersion: a name with another place in the order of versions names nothing.
func TestPlaceOfAVersion(t *testing.T) {
	r := lockedRig(t)
	r.must(r.do(object("first", 9)))
	w := r.must(r.do(object("k", 1))).GetWritten()
	if w.Seq < 2 {
		t.Fatal("the place is not told")
	}
	for _, seq := range []uint64{w.Seq - 1, w.Seq + 1} {
		q := &LookupQuery{Bucket: 7, Key: []byte("k"), Version: vid(1), Seq: seq}
		r.refused(asResult(r.query(testGroup, &Query_Lookup{q})), api.NoSuchVersion)
		r.refused(r.do(&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: []byte("k"), Version: vid(1), Seq: seq, Change: &AlterVersion_Tags{}}}), api.NoSuchVersion)
		if d := r.removal(&DeleteItem{Key: []byte("k"), Version: vid(1), Seq: seq}, 0); d.Code != 0 || d.DeleteMarker {
			t.Fatalf("%v", d)
		}
	}
	if d := r.removal(&DeleteItem{Key: []byte("k"), Version: vid(1), Seq: w.Seq}, 0); d.Code != 0 || d.Seq != w.Seq {
		t.Fatalf("%v", d)
	}
	r.order([]byte("k"))
}

// TestListingSkipsMarkers: a listing of objects reads no record of a key whose current version is a delete marker.
func TestListingSkipsMarkers(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(versioning(7, "enabled")))
	r.must(r.do(object("b", 1)))
	r.must(r.do(deletion(&DeleteItem{Key: []byte("b")}, &DeleteItem{Key: []byte("a")})))
	v := &view{r: r.db, g: testGroup}
	if empty, err := v.empty(v.uintKey(spaceCurrent, 7)); err != nil || !empty {
		t.Fatalf("markers lie among the current versions: %v", err)
	}
	r.order([]byte("b"), 0, 1)
	r.must(r.do(object("b", 2)))
	if empty, err := v.empty(v.objectKey(spaceBuried, 7, []byte("b"))); err != nil || !empty {
		t.Fatalf("the marker is in two places: %v", err)
	}
	r.order([]byte("b"), 2, 0, 1)
}

// TestVersionsWithoutTags: a page of versions carries neither metadata nor tags, which could make it large.
func TestVersionsWithoutTags(t *testing.T) {
	r := lockedRig(t)
	r.must(r.do(object("k", 1, func(c *PutVersion) { c.Tags, c.Metadata = make([]byte, MaxTagsBytes), make([]byte, MaxMetadataBytes) })))
	v := r.ask(&Query_Versions{&VersionsQuery{Bucket: 7, Max: 1}}).GetVersions().Versions[0]
	if len(v.Head.Tags) != 0 || len(v.Head.Metadata) != 0 || v.Head.Size == 0 {
		t.Fatalf("%v", v)
	}
	r.refused(r.do(object("l", 2, func(c *PutVersion) { c.Tags = make([]byte, MaxTagsBytes+1) })), api.InvalidArgument)
}

// TestRenameKeepsANullVersion: in a bucket whose versioning is suspended, the delete marker that a rename leaves takes
// the place of the null version, and of nothing else.
func TestRenameKeepsANullVersion(t *testing.T) {
	r := newRig(t, Config{})
	for _, step := range []isCommand_Op{object("k", 1), versioning(7, "enabled"), object("k", 2), object("k", 3)} {
		r.must(r.do(step))
	}
	rename := &Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("k"), To: []byte("l")}}
	r.must(r.do(rename))
	r.order([]byte("k"), 0, 2, 1)
	r.order([]byte("l"), 3)
	r.must(r.do(object("k", 4)))
	r.must(r.do(versioning(7, "suspended")))
	r.must(r.do(rename))
	r.order([]byte("k"), 0, 0, 2)
	r.order([]byte("l"), 4, 3)
	recount(t, &view{r: r.db, g: testGroup})
}
