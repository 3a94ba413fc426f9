package apitest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"shoal/node/api"
)

func (r *rig) versioning(state api.VersioningState) {
	r.Helper()
	if err := r.Versions.SetVersioning(r.ctx, r.bucket, state); err != nil {
		r.Fatalf("set versioning: %v", err)
	}
}

func (r *rig) ref(key, version string) *api.ObjectRef {
	return &api.ObjectRef{Bucket: r.bucket, Key: key, VersionID: version}
}

// drop deletes a key or a version, which must succeed.
func (r *rig) drop(key, version string) api.Deleted {
	r.Helper()
	d, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: key, VersionID: version}})
	if err != nil {
		r.Fatalf("delete %q %s: %v", key, version, err)
	}
	return d
}

// versionHolds checks the content of a version.
func (r *rig) versionHolds(key, version string, want []byte) {
	r.Helper()
	o, err := r.Objects.Open(r.ctx, r.ref(key, version))
	if err != nil {
		r.Fatalf("open %q %s: %v", key, version, err)
	}
	defer o.Close()
	var out bytes.Buffer
	if err := o.WriteRange(r.ctx, &out, 0, o.Info().Size); err != nil || !bytes.Equal(out.Bytes(), want) {
		r.Errorf("%q %s holds %d bytes, %v; want %d", key, version, out.Len(), err, len(want))
	}
	if got := o.Info().VersionID; version != "" && got != version {
		r.Errorf("%q %s calls itself %s", key, version, got)
	}
}

// markerIs checks that an error is about a delete marker.
func (r *rig) markerIs(err error, kind api.Kind, version string) {
	r.Helper()
	r.kind(err, kind)
	if e := asError(err); e == nil || e.Marker == nil || e.Marker.VersionID != version || e.Marker.LastModified.IsZero() {
		r.Errorf("%v does not tell of delete marker %s", err, version)
	}
}

func asError(err error) *api.Error {
	e, _ := err.(*api.Error)
	return e
}

// history lists all versions of the bucket in pages of n: "key version", with * for the latest and - for a
// delete marker.
func (r *rig) history(n int) []string {
	r.Helper()
	var out []string
	req := &api.ListVersions{Bucket: r.bucket, Max: n}
	for range 1000 {
		page, err := r.Versions.ListVersions(r.ctx, req)
		if err != nil {
			r.Fatalf("list versions: %v", err)
		}
		if len(page.Versions) > n {
			r.Fatalf("a page of %d has %d versions", n, len(page.Versions))
		}
		for _, v := range page.Versions {
			line := v.Key + " " + v.VersionID
			if v.Latest {
				line += "*"
			}
			if v.DeleteMarker {
				line += "-"
			}
			out = append(out, line)
		}
		if !page.Truncated {
			return out
		}
		req.AfterKey, req.AfterVersion = page.NextKey, page.NextVersion
	}
	r.Fatal("the listing does not end")
	return nil
}

func (r *rig) historyIs(want ...string) {
	r.Helper()
	for _, n := range []int{1, 2, 1000} {
		if got := r.history(n); !slices.Equal(got, want) {
			r.Errorf("pages of %d: %v, want %v", n, got, want)
		}
	}
}

func testVersions(r *rig) {
	if v, err := r.Versions.Versioning(r.ctx, r.bucket); err != nil || v != (api.BucketVersioning{}) {
		r.Errorf("a new bucket: %+v, %v", v, err)
	}
	bodies := [][]byte{noise(1, 10), noise(2, 300_000), noise(3, 20), noise(4, 5<<20)}
	if w := r.put("k", bodies[0]); w.VersionID != "" {
		r.Errorf("version %q in a bucket that was never versioned", w.VersionID)
	}
	r.historyIs("k null*")
	r.versioning(api.VersioningEnabled)
	second, third := r.put("k", bodies[1]).VersionID, r.put("k", bodies[2]).VersionID
	r.historyIs("k "+third+"*", "k "+second, "k null")
	for version, body := range map[string][]byte{"": bodies[2], third: bodies[2], second: bodies[1], "null": bodies[0]} {
		r.versionHolds("k", version, body)
	}
	r.put("other", bodies[0])
	marker := r.drop("k", "")
	if !marker.DeleteMarker || marker.VersionID == "" {
		r.Errorf("delete: %+v", marker)
	}
	_, err := r.Objects.Head(r.ctx, r.ref("k", ""))
	r.markerIs(err, api.NoSuchKey, marker.VersionID)
	_, err = r.Objects.Open(r.ctx, r.ref("k", marker.VersionID))
	r.markerIs(err, api.DeleteMarker, marker.VersionID)
	if keys := r.keys(); !slices.Equal(keys, []string{"other"}) {
		r.Errorf("keys %v", keys)
	}
	r.versionHolds("k", second, bodies[1])
	if d := r.drop("k", marker.VersionID); !d.DeleteMarker || d.VersionID != marker.VersionID {
		r.Errorf("undelete: %+v", d)
	}
	r.versionHolds("k", "", bodies[2])
	if d := r.drop("k", second); d.DeleteMarker || d.VersionID != second {
		r.Errorf("delete a version: %+v", d)
	}
	if d := r.drop("k", second); d.VersionID != second {
		r.Errorf("again: %+v", d)
	}
	_, err = r.Objects.Head(r.ctx, r.ref("k", second))
	r.kind(err, api.NoSuchVersion)
	r.versionHolds("k", "null", bodies[0])
	r.kind(r.Buckets.DeleteBucket(r.ctx, r.bucket), api.BucketNotEmpty)
	for _, version := range []string{"nonsense", "NULL", second + "x", strings.Repeat("-", 32), ""} {
		if version == "" {
			continue
		}
		_, err = r.Objects.Head(r.ctx, r.ref("k", version))
		r.kind(err, api.InvalidArgument)
	}
}

func testSuspended(r *rig) {
	r.versioning(api.VersioningEnabled)
	first := r.put("k", []byte("1")).VersionID
	r.versioning(api.VersioningSuspended)
	if v, err := r.Versions.Versioning(r.ctx, r.bucket); err != nil || v.State != api.VersioningSuspended {
		r.Errorf("suspended: %+v, %v", v, err)
	}
	for _, body := range []string{"2", "3"} { // the second takes the place of the first
		if w := r.put("k", []byte(body)); w.VersionID != "null" {
			r.Errorf("version %q while versioning is suspended", w.VersionID)
		}
	}
	r.historyIs("k null*", "k "+first)
	r.versionHolds("k", "null", []byte("3"))
	if d := r.drop("k", ""); !d.DeleteMarker || d.VersionID != "null" {
		r.Errorf("delete: %+v", d)
	}
	r.historyIs("k null*-", "k "+first)
	_, err := r.Objects.Head(r.ctx, r.ref("k", "null"))
	r.markerIs(err, api.DeleteMarker, "null")
	r.versioning(api.VersioningEnabled)
	again := r.put("k", []byte("4")).VersionID
	r.historyIs("k "+again+"*", "k null-", "k "+first)
	r.drop("k", "null")
	r.drop("k", again)
	r.historyIs("k " + first + "*")
	r.drop("k", first)
	r.historyIs()
	if err := r.Buckets.DeleteBucket(r.ctx, r.bucket); err != nil {
		r.Errorf("delete a bucket whose versions are gone: %v", err)
	}
}

func testVersionedWrites(r *rig) {
	r.versioning(api.VersioningEnabled)
	body := noise(5, 5<<20+1)
	old := r.put("k", body)
	r.drop("k", "")
	// A delete marker counts as no object.
	req := r.putRequest("k", []byte("new"))
	req.If.IfMatch = "*"
	_, err := r.Objects.Put(r.ctx, req)
	r.kind(err, api.NoSuchKey)
	req = r.putRequest("k", []byte("new"))
	req.If.IfNoneMatch = true
	if _, err := r.Objects.Put(r.ctx, req); err != nil {
		r.Errorf("if-none-match on a delete marker: %v", err)
	}
	_, err = r.Objects.Put(r.ctx, r.putIf("k", api.Condition{IfNoneMatch: true}))
	r.kind(err, api.PreconditionFailed)
	// An older version is brought back by a copy of it.
	w, err := r.Objects.Copy(r.ctx, &api.CopyObject{Bucket: r.bucket, Key: "k", Source: *r.ref("k", old.VersionID)})
	if err != nil || w.VersionID == old.VersionID || w.VersionID == "" {
		r.Fatalf("copy of an older version: %+v, %v", w, err)
	}
	r.holds("k", body)
	r.drop("k", old.VersionID)
	r.versionHolds("k", w.VersionID, body) // it has shards of its own claim
	_, err = r.Objects.Copy(r.ctx, &api.CopyObject{Bucket: r.bucket, Key: "l", Source: *r.ref("k", old.VersionID)})
	r.kind(err, api.NoSuchVersion)
	marker := r.drop("m", "")
	if !marker.DeleteMarker {
		r.Errorf("a key that never was gets a delete marker as well: %+v", marker)
	}
	_, err = r.Objects.Copy(r.ctx, &api.CopyObject{Bucket: r.bucket, Key: "l", Source: *r.ref("m", marker.VersionID)})
	r.kind(err, api.DeleteMarker)
	_, err = r.Objects.Copy(r.ctx, &api.CopyObject{Bucket: r.bucket, Key: "l", Source: *r.ref("m", "")})
	r.kind(err, api.NoSuchKey)
	testVersionedUpload(r)
}

// putIf is a request to put a few bytes under a condition.
func (r *rig) putIf(key string, cond api.Condition) *api.PutObject {
	req := r.putRequest(key, []byte("x"))
	req.If = cond
	return req
}

func testVersionedUpload(r *rig) {
	before := r.put("up", []byte("before")).VersionID
	id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: "up", Tags: []api.Tag{{Key: "of", Value: "upload"}}})
	if err != nil {
		r.Fatal(err)
	}
	ref := api.UploadRef{Bucket: r.bucket, Key: "up", UploadID: id}
	part, err := r.Uploads.PutPart(r.ctx, &api.PutPart{UploadRef: ref, Number: 1, Size: 3, Body: strings.NewReader("abc")})
	if err != nil {
		r.Fatal(err)
	}
	req := &api.CompleteUpload{UploadRef: ref, Size: -1, Parts: []api.CompletedPart{{Number: 1, ETag: part.ETag}}}
	req.If.IfMatch = "another"
	_, err = r.Uploads.CompleteUpload(r.ctx, req)
	r.kind(err, api.PreconditionFailed)
	req.If.IfMatch = etag([]byte("before"))
	w, err := r.Uploads.CompleteUpload(r.ctx, req)
	if err != nil || w.VersionID == "" || w.VersionID == before {
		r.Fatalf("complete: %+v, %v", w, err)
	}
	r.versionHolds("up", w.VersionID, []byte("abc"))
	r.versionHolds("up", before, []byte("before"))
	info, err := r.Objects.Head(r.ctx, r.ref("up", w.VersionID))
	if err != nil || !slices.Equal(info.Tags, []api.Tag{{Key: "of", Value: "upload"}}) {
		r.Errorf("%+v, %v", info, err)
	}
	if again, err := r.Uploads.CompleteUpload(r.ctx, req); err != nil || again.VersionID != w.VersionID {
		r.Errorf("completed again: %+v, %v", again, err)
	}
}

func testDeleteVersions(r *rig) {
	r.versioning(api.VersioningEnabled)
	var ids []string
	for i := range 3 {
		ids = append(ids, r.put("k", fmt.Append(nil, i)).VersionID)
	}
	items := []api.DeleteItem{
		{Key: "k"}, {Key: "k", VersionID: ids[1]}, {Key: "k", VersionID: "malformed"}, {Key: "none", VersionID: ids[0]},
		{Key: "k", VersionID: ids[0], If: api.Condition{IfMatch: "other"}}, {Key: "k", VersionID: ids[0], If: api.Condition{IfMatch: etag([]byte("0"))}},
	}
	done, err := r.Objects.DeleteMany(r.ctx, r.bucket, items)
	if err != nil || len(done) != len(items) {
		r.Fatalf("%v, %v", done, err)
	}
	if d := done[0]; !d.DeleteMarker || d.VersionID == "" || d.Err != nil {
		r.Errorf("marker: %+v", d)
	}
	for _, i := range []int{1, 3, 5} {
		if d := done[i]; d.Err != nil || d.VersionID != items[i].VersionID || d.DeleteMarker {
			r.Errorf("item %d: %+v", i, d)
		}
	}
	r.kind(done[2].Err, api.InvalidArgument)
	r.kind(done[4].Err, api.PreconditionFailed)
	r.historyIs("k "+done[0].VersionID+"*-", "k "+ids[2])
}

func testListVersions(r *rig) {
	r.versioning(api.VersioningEnabled)
	for _, key := range []string{"a", "a/1", "a/2", "b", "c/1"} {
		r.put(key, []byte(key))
		r.put(key, []byte(key))
	}
	r.drop("c/1", "")
	page := func(req api.ListVersions) *api.VersionPage {
		r.Helper()
		req.Bucket = r.bucket
		p, err := r.Versions.ListVersions(r.ctx, &req)
		if err != nil {
			r.Fatalf("%+v: %v", req, err)
		}
		return p
	}
	p := page(api.ListVersions{Delimiter: "/", Max: 1000})
	if len(p.Versions) != 4 || !slices.Equal(p.CommonPrefixes, []string{"a/", "c/"}) || p.Truncated {
		r.Errorf("with a delimiter: %+v", p)
	}
	p = page(api.ListVersions{Delimiter: "/", Max: 3})
	if len(p.Versions) != 2 || !slices.Equal(p.CommonPrefixes, []string{"a/"}) || !p.Truncated || p.NextKey != "a/" || p.NextVersion != "" {
		r.Errorf("first page: %+v", p)
	}
	p = page(api.ListVersions{Delimiter: "/", Max: 3, AfterKey: p.NextKey, AfterVersion: p.NextVersion})
	if len(p.Versions) != 2 || p.Versions[0].Key != "b" || !slices.Equal(p.CommonPrefixes, []string{"c/"}) || p.Truncated {
		r.Errorf("second page: %+v", p)
	}
	p = page(api.ListVersions{Prefix: "a/", Max: 1000})
	if len(p.Versions) != 4 || p.Versions[0].Key != "a/1" || p.Versions[0].Size != 3 || p.Versions[0].ETag != etag([]byte("a/1")) {
		r.Errorf("with a prefix: %+v", p)
	}
	if p = page(api.ListVersions{AfterKey: "b", Max: 1000}); len(p.Versions) != 3 || !p.Versions[0].DeleteMarker {
		r.Errorf("behind b: %+v", p)
	}
	r.put("alone", []byte("x"))
	if _, err := r.Versions.SetTags(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "b"}, []api.Tag{{Key: "t", Value: "1"}}); err != nil {
		r.Fatal(err)
	}
	for _, v := range page(api.ListVersions{Max: 1000}).Versions {
		if v.Tags != nil {
			r.Errorf("%s is listed with tags that nobody asked for", v.Key)
		}
	}
	shown := 0
	for _, v := range page(api.ListVersions{History: true, Tags: true, Max: 1000}).Versions {
		shown++
		if v.Key == "alone" || (len(v.Tags) == 1 && v.Tags[0].Value == "1") != (v.Key == "b" && v.Latest) {
			r.Errorf("with a history: %+v", v)
		}
	}
	if shown != 11 {
		r.Errorf("%d versions of keys with a history", shown)
	}
	if p = page(api.ListVersions{Max: 0}); len(p.Versions) != 0 || p.Truncated {
		r.Errorf("no versions wanted: %+v", p)
	}
	_, err := r.Versions.ListVersions(r.ctx, &api.ListVersions{Bucket: r.bucket, AfterKey: "a", AfterVersion: "malformed", Max: 1})
	r.kind(err, api.InvalidArgument)
	r.emptyByPages()
}

// emptyByPages removes each page of versions before it asks for the next.
func (r *rig) emptyByPages() {
	r.Helper()
	req := &api.ListVersions{Bucket: r.bucket, Max: 3}
	for range 100 {
		page, err := r.Versions.ListVersions(r.ctx, req)
		if err != nil {
			r.Fatal(err)
		}
		for _, v := range page.Versions {
			r.drop(v.Key, v.VersionID)
		}
		if !page.Truncated {
			break
		}
		req.AfterKey, req.AfterVersion = page.NextKey, page.NextVersion
	}
	r.historyIs()
}

// testDeleteNoncurrent removes versions only while newer ones stand above them.
func testDeleteNoncurrent(r *rig) {
	r.versioning(api.VersioningEnabled)
	one, two := r.put("k", []byte("1")).VersionID, r.put("k", []byte("2")).VersionID
	item := func(version string) []api.DeleteItem {
		return []api.DeleteItem{{Key: "k", VersionID: version, Noncurrent: true}}
	}
	remove := func(version string) error {
		r.Helper()
		done, err := r.Objects.DeleteMany(r.ctx, r.bucket, item(version))
		if err != nil {
			r.Fatal(err)
		}
		return done[0].Err
	}
	r.kind(remove(two), api.PreconditionFailed)
	r.versionHolds("k", two, []byte("2"))
	r.drop("k", two)
	r.kind(remove(one), api.PreconditionFailed) // it is the current one again
	r.put("k", []byte("3"))
	if err := remove(one); err != nil {
		r.Errorf("remove a noncurrent version: %v", err)
	}
	_, err := r.Objects.Head(r.ctx, r.ref("k", one))
	r.kind(err, api.NoSuchVersion)
	if err := remove(one); err != nil {
		r.Errorf("remove it again: %v", err)
	}
	r.holds("k", []byte("3"))
}
