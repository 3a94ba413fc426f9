package apitest

import (
	"bytes"
	"maps"

	"shoal/node/api"
)

func testConfiguration(r *rig) {
	fresh := r.configuration()
	if fresh.Epoch != 0 || len(fresh.Documents) != 0 {
		r.Errorf("a new bucket has %+v", fresh)
	}
	r.set(api.ConfigTagging, "one")
	r.set(api.ConfigCORS, "two")
	r.set(api.ConfigTagging, "three")
	both := r.configuration()
	if len(both.Documents) != 2 || string(both.Documents[api.ConfigTagging]) != "three" || string(both.Documents[api.ConfigCORS]) != "two" || both.Epoch < 3 {
		r.Errorf("set twice: %+v", both)
	}
	stale := both.Epoch - 1
	r.kind(r.Buckets.SetConfiguration(r.ctx, &api.SetConfiguration{Bucket: r.bucket, Name: api.ConfigCORS, Document: []byte("x"), IfEpoch: &stale}), api.ConditionalConflict)
	if err := r.Buckets.SetConfiguration(r.ctx, &api.SetConfiguration{Bucket: r.bucket, Name: api.ConfigCORS, Document: []byte("four"), IfEpoch: &both.Epoch}); err != nil {
		r.Errorf("set at epoch %d: %v", both.Epoch, err)
	}
	for range 2 {
		r.set(api.ConfigTagging, "")
	}
	left := r.configuration()
	if len(left.Documents) != 1 || string(left.Documents[api.ConfigCORS]) != "four" {
		r.Errorf("after a removal: %+v", left)
	}
	r.kind(r.Buckets.SetConfiguration(r.ctx, &api.SetConfiguration{Bucket: r.bucket, Name: api.ConfigPolicy, Document: make([]byte, api.MaxConfigSize+1)}), api.InvalidArgument)
	r.kind(r.Buckets.SetConfiguration(r.ctx, &api.SetConfiguration{Bucket: "nobody", Name: api.ConfigPolicy, Document: []byte("x")}), api.NoSuchBucket)
	_, err := r.Buckets.Configuration(r.ctx, "nobody", 0)
	r.kind(err, api.NoSuchBucket)
	testConfigurationEpoch(r)
	testNewBucketHasNone(r)
	testInitialConfiguration(r)
}

// testInitialConfiguration checks that a bucket has what it was created with, also beside object lock, and that this is changed as
// anything else.
func testInitialConfiguration(r *rig) {
	for _, lock := range []bool{false, true} {
		r.bucket += "-initial"
		docs := map[string][]byte{api.ConfigOwnership: []byte("owned"), api.ConfigACL: []byte("granted")}
		if _, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: r.bucket, Owner: owner, Documents: docs, ObjectLock: lock}); err != nil {
			r.Fatal(err)
		}
		if c := r.configuration(); !maps.EqualFunc(c.Documents, docs, bytes.Equal) {
			r.Errorf("created with %q, it has %q", docs, c.Documents)
		}
		r.set(api.ConfigOwnership, "")
		r.set(api.ConfigACL, "changed")
		if c := r.configuration(); len(c.Documents) != 1 || string(c.Documents[api.ConfigACL]) != "changed" {
			r.Errorf("changed, it has %q", c.Documents)
		}
	}
}

// testConfigurationEpoch checks that objects tell the epoch, and that what is got for it is right.
func testConfigurationEpoch(r *rig) {
	before := r.put("k", []byte("x"))
	r.set(api.ConfigTagging, "five")
	info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k"})
	if err != nil || info.ConfigEpoch <= before.ConfigEpoch || r.configuration().Epoch != info.ConfigEpoch {
		r.Fatalf("written at epoch %d, read at %d: %v", before.ConfigEpoch, info.ConfigEpoch, err)
	}
	for range 2 {
		c, err := r.Buckets.Configuration(r.ctx, r.bucket, info.ConfigEpoch)
		if err != nil || c.Epoch != info.ConfigEpoch || string(c.Documents[api.ConfigTagging]) != "five" {
			r.Errorf("asked for epoch %d: %+v, %v", info.ConfigEpoch, c, err)
		}
	}
	r.set(api.ConfigTagging, "")
	if c := r.configuration(); c.Epoch == info.ConfigEpoch || c.Documents[api.ConfigTagging] != nil {
		r.Errorf("a copy was given for the present: %+v", c)
	}
	if _, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: "k"}}); err != nil {
		r.Fatal(err)
	}
}

// testNewBucketHasNone checks that a bucket of the same name does not inherit anything.
func testNewBucketHasNone(r *rig) {
	if err := r.Buckets.DeleteBucket(r.ctx, r.bucket); err != nil {
		r.Fatal(err)
	}
	_, err := r.Buckets.Configuration(r.ctx, r.bucket, 0)
	r.kind(err, api.NoSuchBucket)
	r.create(r.bucket)
	if c := r.configuration(); c.Epoch != 0 || len(c.Documents) != 0 {
		r.Errorf("made again, it has %+v", c)
	}
	big := bytes.Repeat([]byte("x"), api.MaxConfigSize)
	r.set(api.ConfigPolicy, string(big))
	if c := r.configuration(); !bytes.Equal(c.Documents[api.ConfigPolicy], big) {
		r.Errorf("the greatest document came back with %d bytes", len(c.Documents[api.ConfigPolicy]))
	}
}

func (r *rig) configuration() *api.Configuration {
	r.Helper()
	c, err := r.Buckets.Configuration(r.ctx, r.bucket, 0)
	if err != nil {
		r.Fatalf("configuration of %s: %v", r.bucket, err)
	}
	return c
}

func (r *rig) set(name, document string) {
	r.Helper()
	if err := r.Buckets.SetConfiguration(r.ctx, &api.SetConfiguration{Bucket: r.bucket, Name: name, Document: []byte(document)}); err != nil {
		r.Fatalf("set %s: %v", name, err)
	}
}
