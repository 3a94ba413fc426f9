package apitest

import (
	"fmt"
	"slices"

	"shoal/node/api"
)

func testBuckets(r *rig) {
	name := r.bucket + "-one"
	made, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: name, Owner: owner, Location: "somewhere"})
	if err != nil {
		r.Fatal(err)
	}
	found, err := r.Buckets.HeadBucket(r.ctx, name)
	if err != nil || found.ID != made.ID || found.Name != name || found.Owner != owner || found.Location != "somewhere" ||
		!found.Created.Equal(made.Created) || found.Created.IsZero() {
		r.Errorf("made %+v, found %+v, %v", made, found, err)
	}
	_, err = r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: name, Owner: owner})
	r.kind(err, api.BucketOwned)
	_, err = r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: name, Owner: "somebody"})
	r.kind(err, api.BucketExists)
	if err := r.Buckets.DeleteBucket(r.ctx, name); err != nil {
		r.Errorf("delete: %v", err)
	}
	_, err = r.Buckets.HeadBucket(r.ctx, name)
	r.kind(err, api.NoSuchBucket)
	r.kind(r.Buckets.DeleteBucket(r.ctx, name), api.NoSuchBucket)
	again, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: name, Owner: owner})
	if err != nil || again.ID == made.ID {
		r.Errorf("made again with ID %d, before %d, %v", again.ID, made.ID, err)
	}
	_, err = r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: r.bucket + "-two", Owner: owner, Location: "nowhere", Site: "nowhere"})
	r.kind(err, api.NoSuchSite)
	testNotEmpty(r)
}

// testNotEmpty checks what keeps a bucket from being deleted.
func testNotEmpty(r *rig) {
	r.put("k", []byte("x"))
	r.kind(r.Buckets.DeleteBucket(r.ctx, r.bucket), api.BucketNotEmpty)
	r.holds("k", []byte("x"))
	if _, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: "k"}}); err != nil {
		r.Fatal(err)
	}
	id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: "k"})
	if err != nil {
		r.Fatal(err)
	}
	r.kind(r.Buckets.DeleteBucket(r.ctx, r.bucket), api.BucketNotEmpty)
	if err := r.Uploads.AbortUpload(r.ctx, api.UploadRef{Bucket: r.bucket, Key: "k", UploadID: id}); err != nil {
		r.Fatal(err)
	}
	// A refused deletion leaves the bucket whole.
	r.put("k", []byte("y"))
	r.holds("k", []byte("y"))
}

func testBucketPages(r *rig) {
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("%s-page-%d", r.bucket, i)
		r.create(name)
		want = append(want, name)
	}
	if _, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: r.bucket + "-page-other", Owner: "somebody"}); err != nil {
		r.Fatal(err)
	}
	for _, size := range []int{1, 2, 3, 7, 8, 1000} {
		var got []string
		req := api.ListBuckets{Owner: owner, Prefix: r.bucket + "-page-", Max: size}
		for {
			page, err := r.Buckets.ListBuckets(r.ctx, req)
			if err != nil {
				r.Fatal(err)
			}
			if len(page.Buckets) > size || page.Truncated && (len(page.Buckets) == 0 || page.Next == "") {
				r.Fatalf("a page of %d of at most %d, truncated %v, next %q", len(page.Buckets), size, page.Truncated, page.Next)
			}
			for _, b := range page.Buckets {
				got = append(got, b.Name)
			}
			if !page.Truncated {
				break
			}
			req.After = page.Next
		}
		if !slices.Equal(got, want) {
			r.Errorf("pages of %d: %v, want %v", size, got, want)
		}
	}
	page, err := r.Buckets.ListBuckets(r.ctx, api.ListBuckets{Prefix: r.bucket + "-page-", Max: 100})
	if err != nil || len(page.Buckets) != 8 {
		r.Errorf("all owners: %d buckets, %v", len(page.Buckets), err)
	}
}
