package apitest

import (
	"errors"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// copyRequest copies key src of the rig's bucket.
func (r *rig) copyRequest(src, dst string) *api.CopyObject {
	return &api.CopyObject{Bucket: r.bucket, Key: dst, Source: api.ObjectRef{Bucket: r.bucket, Key: src}}
}

func testCopy(r *rig) {
	other := r.bucket + "-other"
	r.create(other)
	for _, size := range []int{0, 1000, 100_000, 5 << 20} {
		body := noise(uint64(size), size)
		req := r.putRequest("src", body)
		req.Metadata = api.Metadata{ContentType: "a/b", User: map[string]string{"a": "b"}}
		req.Digests, req.Store = checksum.CRC32, checksum.CRC32
		if _, err := r.Objects.Put(r.ctx, req); err != nil {
			r.Fatal(err)
		}
		var seen *api.ObjectInfo
		cp := r.copyRequest("src", "dst")
		cp.Check = func(info *api.ObjectInfo) error { seen = info; return nil }
		w, err := r.Objects.Copy(r.ctx, cp)
		if err != nil {
			r.Fatalf("copy of %d bytes: %v", size, err)
		}
		if seen == nil || seen.Size != int64(size) || seen.Metadata.User["a"] != "b" || seen.ETag != etag(body) {
			r.Errorf("Check saw %+v", seen)
		}
		want := api.Checksum{Algorithm: checksum.CRC32, Value: sum(checksum.CRC32, body)}
		if w.ETag != etag(body) || w.Size != int64(size) || w.Checksum != want {
			r.Errorf("copy of %d bytes: %+v", size, w)
		}
		info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "dst"})
		if err != nil || info.Metadata.ContentType != "a/b" || info.Metadata.User["a"] != "b" {
			r.Errorf("described as %+v, %v", info, err)
		}
		away := r.copyRequest("src", "away")
		away.Bucket = other
		away.Replace = &api.Metadata{ContentType: "c/d"}
		away.Store = checksum.SHA256
		if w, err = r.Objects.Copy(r.ctx, away); err != nil || w.Checksum.Algorithm != checksum.SHA256 || w.Checksum.Value != sum(checksum.SHA256, body) {
			r.Errorf("copy to another bucket: %+v, %v", w, err)
		}
		// A copy onto itself, and copies that outlive their source.
		self := r.copyRequest("dst", "dst")
		self.Replace = &api.Metadata{ContentType: "e/f"}
		if _, err := r.Objects.Copy(r.ctx, self); err != nil {
			r.Errorf("copy onto itself: %v", err)
		}
		r.remove("src")
		r.holds("dst", body)
		there := &rig{T: r.T, Stores: r.Stores, ctx: r.ctx, bucket: other}
		there.holds("away", body)
		info, err = r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: other, Key: "away"})
		if err != nil || info.Metadata.ContentType != "c/d" || len(info.Metadata.User) != 0 {
			r.Errorf("replaced metadata: %+v, %v", info, err)
		}
		r.remove("dst")
		there.holds("away", body)
	}
}

func testCopyRefused(r *rig) {
	body := noise(1, 100_000)
	r.put("src", body)
	r.put("dst", []byte("old"))
	attempt := func(change func(*api.CopyObject)) error {
		cp := r.copyRequest("src", "dst")
		change(cp)
		_, err := r.Objects.Copy(r.ctx, cp)
		return err
	}
	r.kind(attempt(func(c *api.CopyObject) { c.Source.Key = "none" }), api.NoSuchKey)
	r.kind(attempt(func(c *api.CopyObject) { c.Source.Bucket = r.bucket + "-none" }), api.NoSuchBucket)
	r.kind(attempt(func(c *api.CopyObject) { c.Bucket = r.bucket + "-none" }), api.NoSuchBucket)
	r.kind(attempt(func(c *api.CopyObject) { c.Source.VersionID = "00112233445566778899aabbccddeeff" }), api.NoSuchVersion)
	r.kind(attempt(func(c *api.CopyObject) { c.If.IfNoneMatch = true }), api.PreconditionFailed)
	r.kind(attempt(func(c *api.CopyObject) { c.If.IfMatch = "no" }), api.PreconditionFailed)
	r.kind(attempt(func(c *api.CopyObject) { c.Key, c.If.IfMatch = "none", "no" }), api.NoSuchKey)
	if err := attempt(func(c *api.CopyObject) { c.Check = func(*api.ObjectInfo) error { return errRefused } }); !errors.Is(err, errRefused) {
		r.Errorf("Check refused, the copy gave %v", err)
	}
	r.holds("dst", []byte("old"))
	// Check may decide on the metadata after it has seen the source's.
	cp := r.copyRequest("src", "dst")
	cp.Check = func(info *api.ObjectInfo) error {
		md := info.Metadata
		md.WebsiteRedirect = "/set"
		cp.Replace = &md
		return nil
	}
	if _, err := r.Objects.Copy(r.ctx, cp); err != nil {
		r.Fatal(err)
	}
	if info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "dst"}); err != nil || info.Metadata.WebsiteRedirect != "/set" {
		r.Errorf("metadata that Check set: %+v, %v", info, err)
	}
	r.holds("dst", body)
}
