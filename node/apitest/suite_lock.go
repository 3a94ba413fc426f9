package apitest

import (
	"slices"
	"strings"
	"time"

	"shoal/node/api"
)

// lockBucket makes a bucket with object lock.
func (r *rig) lockBucket() {
	r.Helper()
	r.bucket += "-locked"
	if _, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: r.bucket, Owner: owner, ObjectLock: true}); err != nil {
		r.Fatal(err)
	}
}

// kept says that nothing removes a version, whoever tries it how.
func (r *rig) kept(key, version string, bypass bool) {
	r.Helper()
	item := api.DeleteItem{Key: key, VersionID: version, Bypass: bypass}
	_, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: item})
	r.kind(err, api.AccessDenied)
	done, err := r.Objects.DeleteMany(r.ctx, r.bucket, []api.DeleteItem{item, {Key: key, VersionID: version, Bypass: bypass, If: api.Condition{IfMatch: "*"}}})
	if err != nil {
		r.Fatal(err)
	}
	for _, d := range done {
		r.kind(d.Err, api.AccessDenied)
	}
	if _, err := r.Objects.Head(r.ctx, r.ref(key, version)); err != nil {
		r.Errorf("the locked version: %v", err)
	}
}

func testLockBucket(r *rig) {
	r.kind(r.Versions.SetObjectLock(r.ctx, r.bucket, api.DefaultRetention{}), api.InvalidBucketState)
	r.versioning(api.VersioningSuspended)
	r.kind(r.Versions.SetObjectLock(r.ctx, r.bucket, api.DefaultRetention{}), api.InvalidBucketState)
	req := r.putRequest("k", []byte("x"))
	req.Lock = api.Lock{LegalHold: true}
	_, err := r.Objects.Put(r.ctx, req)
	r.kind(err, api.NoObjectLock)
	_, err = r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: "k", Lock: req.Lock})
	r.kind(err, api.NoObjectLock)
	r.put("k", []byte("x"))
	r.kind(r.Versions.SetLegalHold(r.ctx, r.ref("k", ""), true), api.NoObjectLock)
	r.kind(r.Versions.SetRetention(r.ctx, &api.SetRetention{ObjectRef: *r.ref("k", ""), Mode: api.Governance, Until: time.Now().Add(time.Hour)}), api.NoObjectLock)
	r.versioning(api.VersioningEnabled)
	def := api.DefaultRetention{Mode: api.Governance, Days: 2}
	if err := r.Versions.SetObjectLock(r.ctx, r.bucket, def); err != nil {
		r.Fatalf("turn object lock on: %v", err)
	}
	if v, err := r.Versions.Versioning(r.ctx, r.bucket); err != nil || v != (api.BucketVersioning{State: api.VersioningEnabled, ObjectLock: true, Default: def}) {
		r.Errorf("%+v, %v", v, err)
	}
	r.kind(r.Versions.SetVersioning(r.ctx, r.bucket, api.VersioningSuspended), api.InvalidBucketState)
	r.versioning(api.VersioningEnabled)
	w := r.put("k", []byte("y"))
	info, err := r.Objects.Head(r.ctx, r.ref("k", ""))
	if err != nil || info.Lock.Mode != api.Governance || info.Lock.Until.Sub(w.LastModified).Round(time.Minute) != 48*time.Hour {
		r.Errorf("default retention: %+v, %v", info, err)
	}
	r.kept("k", w.VersionID, false)
	r.drop("k", "null") // older than the lock
	r.lockBucket()
	if v, err := r.Versions.Versioning(r.ctx, r.bucket); err != nil || v != (api.BucketVersioning{State: api.VersioningEnabled, ObjectLock: true}) {
		r.Errorf("created with object lock: %+v, %v", v, err)
	}
	r.put("free", []byte("x"))
	info, err = r.Objects.Head(r.ctx, r.ref("free", ""))
	if err != nil || info.Lock != (api.Lock{}) {
		r.Errorf("without a default: %+v, %v", info, err)
	}
	r.drop("free", info.VersionID)
}

// testLocked tries every way round a lock.
func testLocked(r *rig) {
	r.lockBucket()
	until := time.Now().Add(24 * time.Hour).Truncate(time.Millisecond)
	for name, lock := range map[string]api.Lock{
		"governance": {Mode: api.Governance, Until: until}, "compliance": {Mode: api.Compliance, Until: until}, "hold": {LegalHold: true},
	} {
		req := r.putRequest(name, []byte(name))
		req.Lock = lock
		w, err := r.Objects.Put(r.ctx, req)
		if err != nil {
			r.Fatal(err)
		}
		lock.HoldSet = lock.LegalHold
		info, err := r.Objects.Head(r.ctx, r.ref(name, w.VersionID))
		if err != nil || !sameLock(info.Lock, lock) {
			r.Errorf("%s: %+v, %v", name, info, err)
		}
		r.kept(name, w.VersionID, name != "governance")
		r.put(name, []byte("over it"))
		r.drop(name, "")
		r.kept(name, w.VersionID, name != "governance")
		r.versionHolds(name, w.VersionID, []byte(name))
		r.put("victim", []byte("v"))
		_, err = r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: "victim", To: name})
		if err != nil {
			r.Errorf("rename onto a key with locked versions: %v", err)
		}
		r.versionHolds(name, w.VersionID, []byte(name))
		r.kind(r.Buckets.DeleteBucket(r.ctx, r.bucket), api.BucketNotEmpty)
	}
	_, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: "governance", VersionID: r.oldest("governance"), Bypass: true}})
	if err != nil {
		r.Errorf("bypass: %v", err)
	}
	version := r.oldest("hold")
	if err := r.Versions.SetLegalHold(r.ctx, r.ref("hold", version), false); err != nil {
		r.Errorf("take a hold off: %v", err)
	}
	if info, err := r.Objects.Head(r.ctx, r.ref("hold", version)); err != nil || info.Lock != (api.Lock{HoldSet: true}) {
		r.Errorf("%+v, %v", info, err)
	}
	r.drop("hold", version)
	req := r.putRequest("stays", []byte("x"))
	req.Lock = api.Lock{LegalHold: true}
	if _, err := r.Objects.Put(r.ctx, req); err != nil {
		r.Fatal(err)
	}
	_, err = r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: "stays", To: "elsewhere"})
	r.kind(err, api.AccessDenied)
	testLockedCopy(r, until)
}

func sameLock(a, b api.Lock) bool {
	return a.Mode == b.Mode && a.LegalHold == b.LegalHold && a.HoldSet == b.HoldSet && a.Until.Equal(b.Until)
}

// oldest gives the oldest version of a key.
func (r *rig) oldest(key string) string {
	r.Helper()
	page, err := r.Versions.ListVersions(r.ctx, &api.ListVersions{Bucket: r.bucket, Prefix: key, Max: 1000})
	if err != nil || len(page.Versions) == 0 {
		r.Fatalf("%v, %v", page, err)
	}
	return page.Versions[len(page.Versions)-1].VersionID
}

// testLockedCopy checks that copies and uploads are locked as asked, and that a source's lock stays with it.
func testLockedCopy(r *rig, until time.Time) {
	lock := api.Lock{Mode: api.Compliance, Until: until, LegalHold: true}
	w, err := r.Objects.Copy(r.ctx, &api.CopyObject{Bucket: r.bucket, Key: "copy", Source: *r.ref("compliance", r.oldest("compliance"))})
	if err != nil {
		r.Fatal(err)
	}
	r.drop("copy", w.VersionID)
	w, err = r.Objects.Copy(r.ctx, &api.CopyObject{Bucket: r.bucket, Key: "copy", Source: *r.ref("stays", ""), Lock: lock})
	if err != nil {
		r.Fatal(err)
	}
	r.kept("copy", w.VersionID, true)
	id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: "up", Lock: lock})
	if err != nil {
		r.Fatal(err)
	}
	ref := api.UploadRef{Bucket: r.bucket, Key: "up", UploadID: id}
	part, err := r.Uploads.PutPart(r.ctx, &api.PutPart{UploadRef: ref, Number: 1, Size: 3, Body: strings.NewReader("abc")})
	if err != nil {
		r.Fatal(err)
	}
	w, err = r.Uploads.CompleteUpload(r.ctx, &api.CompleteUpload{UploadRef: ref, Size: 3, Parts: []api.CompletedPart{{Number: 1, ETag: part.ETag}}})
	if err != nil {
		r.Fatal(err)
	}
	r.kept("up", w.VersionID, true)
}

// testRetention changes retentions: longer is allowed, shorter is not.
func testRetention(r *rig) {
	r.lockBucket()
	until := time.Now().Add(time.Hour)
	set := func(key string, mode api.LockMode, end time.Time, bypass bool) error {
		return r.Versions.SetRetention(r.ctx, &api.SetRetention{ObjectRef: *r.ref(key, ""), Mode: mode, Until: end, Bypass: bypass})
	}
	for _, key := range []string{"g", "c"} {
		r.put(key, []byte(key))
	}
	for _, c := range []struct {
		what, key string
		mode      api.LockMode
		until     time.Time
		bypass    bool
		want      api.Kind // Internal for success
	}{
		{"first", "g", api.Governance, until, false, 0},
		{"longer", "g", api.Governance, until.Add(time.Hour), false, 0},
		{"shorter", "g", api.Governance, until, false, api.AccessDenied},
		{"to compliance", "g", api.Compliance, until.Add(2 * time.Hour), false, api.AccessDenied},
		{"removed", "g", api.NoRetention, time.Time{}, false, api.AccessDenied},
		{"shorter, bypassed", "g", api.Governance, until, true, 0},
		{"removed, bypassed", "g", api.NoRetention, time.Time{}, true, 0},
		{"compliance", "c", api.Compliance, until, false, 0},
		{"compliance longer", "c", api.Compliance, until.Add(time.Hour), false, 0},
		{"compliance shorter", "c", api.Compliance, until, true, api.AccessDenied},
		{"compliance to governance", "c", api.Governance, until.Add(2 * time.Hour), true, api.AccessDenied},
		{"compliance removed", "c", api.NoRetention, time.Time{}, true, api.AccessDenied},
	} {
		err := set(c.key, c.mode, c.until, c.bypass)
		if c.want != 0 {
			r.kind(err, c.want)
		} else if err != nil {
			r.Errorf("%s: %v", c.what, err)
		}
	}
	r.kind(set("none", api.Governance, until, false), api.NoSuchKey)
	err := r.Versions.SetRetention(r.ctx, &api.SetRetention{ObjectRef: *r.ref("c", "null"), Mode: api.Governance, Until: until})
	r.kind(err, api.NoSuchVersion)
	r.drop("c", "")
	r.kind(set("c", api.Governance, until, false), api.DeleteMarker)
	r.kind(r.Versions.SetLegalHold(r.ctx, r.ref("c", ""), true), api.DeleteMarker)
}

func testTags(r *rig) {
	tags := []api.Tag{{Key: "b", Value: "2"}, {Key: "a", Value: ""}}
	sorted := []api.Tag{{Key: "a", Value: ""}, {Key: "b", Value: "2"}}
	has := func(key, version string, want []api.Tag) {
		r.Helper()
		info, err := r.Objects.Head(r.ctx, r.ref(key, version))
		if err != nil || !slices.Equal(info.Tags, want) {
			r.Errorf("%q %s: %+v, %v, want %v", key, version, info, err, want)
		}
	}
	req := r.putRequest("k", []byte("x"))
	req.Tags = tags
	if _, err := r.Objects.Put(r.ctx, req); err != nil {
		r.Fatal(err)
	}
	has("k", "", sorted)
	if v, err := r.Versions.SetTags(r.ctx, r.ref("k", ""), tags[:1]); err != nil || v != "" {
		r.Errorf("set tags: %q, %v", v, err)
	}
	has("k", "", tags[:1])
	copied := func(key string, c api.CopyObject, want []api.Tag) {
		r.Helper()
		c.Bucket, c.Key, c.Source = r.bucket, key, *r.ref("k", "")
		if _, err := r.Objects.Copy(r.ctx, &c); err != nil {
			r.Fatal(err)
		}
		has(key, "", want)
	}
	copied("same", api.CopyObject{Tags: tags}, tags[:1])
	copied("other", api.CopyObject{ReplaceTags: true, Tags: tags}, sorted)
	copied("none", api.CopyObject{ReplaceTags: true}, nil)
	_, err := r.Versions.SetTags(r.ctx, r.ref("missing", ""), tags)
	r.kind(err, api.NoSuchKey)
	r.versioning(api.VersioningEnabled)
	w := r.put("k", []byte("y"))
	has("k", "", nil)
	if v, err := r.Versions.SetTags(r.ctx, r.ref("k", "null"), tags); err != nil || v != "null" {
		r.Errorf("tags of a version: %q, %v", v, err)
	}
	has("k", "null", sorted)
	has("k", w.VersionID, nil)
	if v, err := r.Versions.SetTags(r.ctx, r.ref("k", ""), tags); err != nil || v != w.VersionID {
		r.Errorf("tags of the current version: %q, %v", v, err)
	}
	if _, err := r.Versions.SetTags(r.ctx, r.ref("k", w.VersionID), nil); err != nil {
		r.Errorf("remove tags: %v", err)
	}
	has("k", w.VersionID, nil)
	r.versionHolds("k", "null", []byte("x"))
	r.drop("k", "")
	_, err = r.Versions.SetTags(r.ctx, r.ref("k", ""), tags)
	r.kind(err, api.DeleteMarker)
}

func testRename(r *rig) {
	big := noise(7, 6<<20)
	for key, body := range map[string][]byte{"small": []byte("s"), "big": big} {
		before := r.put(key, body)
		r.put("new "+key, []byte("in the way"))
		w, err := r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: key, To: "new " + key, Token: "t"})
		if err != nil || w.ETag != before.ETag || !w.LastModified.Equal(before.LastModified) || w.VersionID != "" {
			r.Errorf("rename: %+v, %v", w, err)
		}
		r.gone(key)
		r.holds("new "+key, body)
		if again, err := r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: key, To: "new " + key, Token: "t"}); err != nil || again.ETag != w.ETag {
			r.Errorf("the same request once more: %+v, %v", again, err)
		}
		_, err = r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: key, To: "new " + key})
		r.kind(err, api.NoSuchKey)
	}
	rename := func(req api.RenameObject) error {
		req.Bucket = r.bucket
		_, err := r.Versions.Rename(r.ctx, &req)
		return err
	}
	r.put("from", []byte("f"))
	r.put("to", []byte("t"))
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, c := range []api.RenameObject{
		{Source: api.RenameCondition{IfMatch: "x"}}, {Source: api.RenameCondition{IfNoneMatch: etag([]byte("f"))}},
		{Source: api.RenameCondition{IfModified: &future}}, {Source: api.RenameCondition{IfUnmodified: &past}},
		{Target: api.RenameCondition{IfMatch: "x"}}, {Target: api.RenameCondition{IfNoneMatch: "*"}},
		{Target: api.RenameCondition{IfModified: &future}}, {Target: api.RenameCondition{IfUnmodified: &past}},
	} {
		c.From, c.To = "from", "to"
		r.kind(rename(c), api.PreconditionFailed)
	}
	r.kind(rename(api.RenameObject{From: "from", To: "absent", Target: api.RenameCondition{IfMatch: "*"}}), api.PreconditionFailed)
	r.kind(rename(api.RenameObject{From: "from", To: "from"}), api.InvalidArgument)
	if err := rename(api.RenameObject{From: "from", To: "absent", Source: api.RenameCondition{IfMatch: etag([]byte("f")), IfModified: &past},
		Target: api.RenameCondition{IfNoneMatch: "*", IfUnmodified: &past}}); err != nil {
		r.Errorf("conditions that hold: %v", err)
	}
	r.holds("absent", []byte("f"))
	testVersionedRename(r)
}

func testVersionedRename(r *rig) {
	r.versioning(api.VersioningEnabled)
	old := r.put("v", []byte("old")).VersionID
	r.put("v", noise(8, 200_000))
	there := r.put("w", []byte("there")).VersionID
	w, err := r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: "v", To: "w"})
	if err != nil || w.VersionID == "" {
		r.Fatalf("rename: %+v, %v", w, err)
	}
	r.versionHolds("w", w.VersionID, noise(8, 200_000))
	r.versionHolds("w", there, []byte("there"))
	r.versionHolds("v", old, []byte("old"))
	_, err = r.Objects.Head(r.ctx, r.ref("v", ""))
	if e := asError(err); api.KindOf(err) != api.NoSuchKey || e == nil || e.Marker == nil {
		r.Errorf("the old key has no delete marker: %v", err)
	}
	r.drop("w", w.VersionID)
	r.holds("w", []byte("there"))
}
