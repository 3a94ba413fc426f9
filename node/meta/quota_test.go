package meta

import (
	"testing"

	"shoal/node/api"
)

// TestQuota fills a bucket to its brim, in each way that versions come.
func TestQuota(t *testing.T) {
	r := newRig(t, Config{})
	limit := func(q api.Quota) {
		t.Helper()
		doc := api.AppendQuota(nil, q)
		r.must(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: api.ConfigQuota, Value: doc, Remove: len(doc) == 0}}))
	}
	n := uint64(0)
	put := func(key string, size uint64) *Result {
		n++
		return r.do(&Command_PutVersion{&PutVersion{Bucket: 7, Key: []byte(key), Version: vid(n), Size: size, Etag: []byte("e"), Manifest: []byte("m")}})
	}
	r.must(put("a", 60))
	limit(api.Quota{Bytes: 100, Objects: 2})
	r.refused(put("b", 41), api.QuotaExceeded)
	r.must(put("b", 40))
	r.refused(put("c", 0), api.QuotaExceeded) // a third object
	r.must(put("a", 60))                      // takes the place of as much
	r.refused(put("a", 61), api.QuotaExceeded)
	r.must(put("a", 10))
	r.must(put("a", 60))

	limit(api.Quota{Bytes: 50}) // there is more already: it stays, and may only shrink
	r.refused(put("c", 1), api.QuotaExceeded)
	r.must(put("c", 0))
	r.must(put("a", 59))
	r.refused(put("a", 60), api.QuotaExceeded)

	r.must(r.do(versioning(7, "enabled")))
	limit(api.Quota{Bytes: 150})
	r.must(put("a", 51)) // beside 59 and 40
	r.refused(put("a", 1), api.QuotaExceeded)
	r.must(r.do(versioning(7, "suspended")))
	r.must(put("a", 59)) // in place of the null version below the current one
	r.refused(put("a", 60), api.QuotaExceeded)
	limit(api.Quota{})
	r.must(put("z", 1<<40))
	for _, doc := range []string{"", "{}", `{"bytes":-1}`, "x"} {
		r.refused(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: api.ConfigQuota, Value: []byte(doc)}}), api.InvalidArgument)
	}
}
