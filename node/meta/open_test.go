package meta

import (
	"testing"

	"shoal/node/api"
)

// TestQuotaOfParts: parts of open uploads count, those uploaded before there was a quota or a level too, until they are replaced, or the
// upload ends; what replaces as much is taken.
func TestQuotaOfParts(t *testing.T) {
	r := newRig(t, Config{})
	at := func(level uint32, op isCommand_Op) *Result {
		t.Helper()
		return r.doOn(testGroup, &Command{Op: op, Level: level})
	}
	holds := func(parts, bytes uint64) {
		t.Helper()
		if c := r.ask(&Query_Counters{&CountersQuery{Bucket: 7, Parts: true}}).GetCounters().Bucket; c.PartBytes != parts || c.Bytes != bytes {
			t.Fatalf("%v, want %d bytes of parts and %d of versions", c, parts, bytes)
		}
	}
	open := func(upload uint64) {
		t.Helper()
		r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(upload)}}))
	}
	sized := func(key string, version, size uint64) *Command_PutVersion {
		return &Command_PutVersion{&PutVersion{Bucket: 7, Key: []byte(key), Version: vid(version), Size: size, Etag: []byte("e"), Manifest: []byte("m")}}
	}
	open(1)
	r.must(at(1, partOf(1, 1, 11, 50)))
	r.must(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: api.ConfigQuota, Value: api.AppendQuota(nil, api.Quota{Bytes: 100})}}))
	r.must(at(2, sized("a", 100, 20)))
	r.refused(at(2, partOf(1, 2, 12, 31)), api.QuotaExceeded)
	r.refused(at(2, sized("b", 101, 31)), api.QuotaExceeded)
	r.must(at(2, sized("a", 102, 50)))  // in place of 20
	r.must(at(2, partOf(1, 1, 13, 50))) // in place of as much
	r.refused(at(2, partOf(1, 1, 14, 51)), api.QuotaExceeded)
	holds(50, 50)
	r.must(at(1, partOf(1, 2, 15, 40))) // a replica does not know that it counts
	holds(90, 50)
	r.must(at(2, partOf(1, 2, 16, 39))) // there is more than the quota, and less than before
	r.refused(at(2, partOf(1, 3, 17, 1)), api.QuotaExceeded)
	r.must(at(2, &Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}))
	holds(0, 50)

	open(2)
	r.must(at(2, partOf(2, 1, 21, 50)))
	r.must(at(2, partOf(2, 2, 22, 0)))
	r.refused(at(2, partOf(2, 3, 23, 1)), api.QuotaExceeded)
	r.must(at(2, &Command_CompleteUpload{&CompleteUpload{
		Bucket: 7, Key: []byte("k"), Upload: vid(2), Manifest: []byte("whole"), Size: 50, Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 21}},
	}}))
	holds(0, 100)
	open(3)
	r.refused(at(2, partOf(3, 1, 31, 1)), api.QuotaExceeded)
	r.must(at(2, deletion(&DeleteItem{Key: []byte("k")})))
	r.must(at(2, partOf(3, 1, 32, 50)))
	r.m = New(Config{}) // another process reads what there is
	r.refused(at(2, partOf(3, 2, 33, 1)), api.QuotaExceeded)
	holds(50, 50)
}

// TestOpenSumsOfAnotherState: what was counted is counted anew when the state is another one, as after a snapshot.
func TestOpenSumsOfAnotherState(t *testing.T) {
	var o openSums
	o.giveBack(3, 7, map[uint64]uint64{1: 50})
	if got := o.take(3, 7); got[1] != 50 {
		t.Errorf("%v", got)
	}
	if got := o.take(3, 7); got != nil {
		t.Errorf("taken twice: %v", got)
	}
	o.giveBack(3, 7, map[uint64]uint64{1: 50})
	if got := o.take(3, 6); got != nil {
		t.Errorf("of another state: %v", got)
	}
	if got := o.take(3, 7); got != nil {
		t.Errorf("after another state: %v", got)
	}
	o.giveBack(3, 7, map[uint64]uint64{1: 50})
	o.forget(3)
	if got := o.take(3, 7); got != nil {
		t.Errorf("after a snapshot: %v", got)
	}
}
