package apitest

import (
	"bytes"
	"strings"

	"shoal/node/api"
)

// testACLs: the ACL of a version is kept as it is given. Neither a copy nor the next version takes it over; a
// renamed version keeps it.
func testACLs(r *rig) {
	has := func(key, version, want string) {
		r.Helper()
		info, err := r.Objects.Head(r.ctx, r.ref(key, version))
		if err != nil || string(info.ACL) != want {
			r.Errorf("%q %s: %+v, %v, want the ACL %q", key, version, info, err, want)
		}
		o, err := r.Objects.Open(r.ctx, r.ref(key, version))
		if err != nil {
			r.Fatal(err)
		}
		defer o.Close()
		if string(o.Info().ACL) != want {
			r.Errorf("%q %s, opened: ACL %q, want %q", key, version, o.Info().ACL, want)
		}
	}
	req := r.putRequest("k", []byte("x"))
	req.ACL = []byte("first")
	if _, err := r.Objects.Put(r.ctx, req); err != nil {
		r.Fatal(err)
	}
	has("k", "", "first")
	if v, err := r.Versions.SetACL(r.ctx, r.ref("k", ""), []byte("second")); err != nil || v != "" {
		r.Errorf("set an ACL: %q, %v", v, err)
	}
	has("k", "", "second")
	big := r.putRequest("big", noise(3, 3<<20))
	big.ACL = bytes.Repeat([]byte("a"), 3<<10)
	if _, err := r.Objects.Put(r.ctx, big); err != nil {
		r.Fatal(err)
	}
	has("big", "", string(big.ACL))
	for _, acl := range []string{"", "own"} {
		for _, from := range []string{"k", "big"} {
			c := api.CopyObject{Bucket: r.bucket, Key: "copy", Source: *r.ref(from, ""), ACL: []byte(acl)}
			if _, err := r.Objects.Copy(r.ctx, &c); err != nil {
				r.Fatal(err)
			}
			has("copy", "", acl)
		}
	}
	if _, err := r.Versions.Rename(r.ctx, &api.RenameObject{Bucket: r.bucket, From: "copy", To: "renamed"}); err != nil {
		r.Fatal(err)
	}
	has("renamed", "", "own")
	_, err := r.Versions.SetACL(r.ctx, r.ref("missing", ""), nil)
	r.kind(err, api.NoSuchKey)
	testVersionACLs(r, has)
	testUploadACL(r, has)
}

func testVersionACLs(r *rig, has func(key, version, want string)) {
	r.Helper()
	r.versioning(api.VersioningEnabled)
	w := r.put("k", []byte("y"))
	has("k", "", "")
	has("k", "null", "second")
	if v, err := r.Versions.SetACL(r.ctx, r.ref("k", "null"), []byte("third")); err != nil || v != "null" {
		r.Errorf("ACL of a version: %q, %v", v, err)
	}
	has("k", "null", "third")
	has("k", w.VersionID, "")
	if v, err := r.Versions.SetACL(r.ctx, r.ref("k", ""), []byte("newest")); err != nil || v != w.VersionID {
		r.Errorf("ACL of the current version: %q, %v", v, err)
	}
	if _, err := r.Versions.SetACL(r.ctx, r.ref("k", "null"), nil); err != nil {
		r.Errorf("remove an ACL: %v", err)
	}
	has("k", "null", "")
	has("k", w.VersionID, "newest")
	r.versionHolds("k", "null", []byte("x"))
	r.drop("k", "")
	_, err := r.Versions.SetACL(r.ctx, r.ref("k", ""), nil)
	r.kind(err, api.DeleteMarker)
	r.drop("k", w.VersionID)
	_, err = r.Versions.SetACL(r.ctx, r.ref("k", w.VersionID), nil)
	r.kind(err, api.NoSuchVersion)
}

func testUploadACL(r *rig, has func(key, version, want string)) {
	r.Helper()
	id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: "up", ACL: []byte("of the upload")})
	if err != nil {
		r.Fatal(err)
	}
	ref := api.UploadRef{Bucket: r.bucket, Key: "up", UploadID: id}
	part, err := r.Uploads.PutPart(r.ctx, &api.PutPart{UploadRef: ref, Number: 1, Size: 3, Body: strings.NewReader("abc")})
	if err != nil {
		r.Fatal(err)
	}
	req := &api.CompleteUpload{UploadRef: ref, Size: -1, Parts: []api.CompletedPart{{Number: 1, ETag: part.ETag}}}
	if _, err := r.Uploads.CompleteUpload(r.ctx, req); err != nil {
		r.Fatal(err)
	}
	has("up", "", "of the upload")
}
