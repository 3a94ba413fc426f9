package apitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// Suite checks that a store keeps the contract of node/api. open gives a store that is
// empty or not: the suite makes buckets of its own and leaves some behind. It is called
// once.
func Suite(t *testing.T, open func(t *testing.T) Stores) {
	s := &suite{Stores: open(t)}
	for _, part := range []struct {
		name string
		run  func(*rig)
	}{
		{"Buckets", testBuckets},
		{"BucketPages", testBucketPages},
		{"Configuration", testConfiguration},
		{"Put", testPut},
		{"PutRefused", testPutRefused},
		{"Metadata", testMetadata},
		{"Conditions", testConditions},
		{"Ranges", testRanges},
		{"Delete", testDelete},
		{"DeleteConditions", testDeleteConditions},
		{"ReadWhileDeleted", testReadWhileDeleted},
		{"Copy", testCopy},
		{"CopyRefused", testCopyRefused},
		{"CustomerKeys", testCustomerKeys},
		{"CustomerKeyCopies", testCustomerKeyCopies},
		{"CustomerKeyUploads", testCustomerKeyUploads},
		{"List", testList},
		{"ListModel", testListModel},
		{"Uploads", testUploads},
		{"UploadRefused", testUploadRefused},
		{"UploadChecksums", testUploadChecksums},
		{"AbortWhileUploading", testAbortWhileUploading},
		{"CopyPart", testCopyPart},
		{"ListParts", testListParts},
		{"ListUploads", testListUploads},
		{"NoSuchBucket", testNoSuchBucket},
		{"OneWinner", testOneWinner},
		{"Keys", testKeys},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s.rig(t)) })
	}
	if s.Versions == nil {
		return
	}
	for _, part := range []struct {
		name string
		run  func(*rig)
	}{
		{"Versions", testVersions},
		{"Suspended", testSuspended},
		{"VersionedWrites", testVersionedWrites},
		{"DeleteNoncurrent", testDeleteNoncurrent},
		{"DeleteVersions", testDeleteVersions},
		{"ListVersions", testListVersions},
		{"LockBucket", testLockBucket},
		{"Locked", testLocked},
		{"Retention", testRetention},
		{"Tags", testTags},
		{"ACLs", testACLs},
		{"Rename", testRename},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s.rig(t)) })
	}
}

// suite is a store under test.
type suite struct {
	Stores
	buckets int
}

// rig is one part of the suite with a bucket of its own.
type rig struct {
	*testing.T
	Stores
	ctx    context.Context
	bucket string
}

const owner = "root"

func (s *suite) rig(t *testing.T) *rig {
	s.buckets++
	r := &rig{T: t, Stores: s.Stores, ctx: t.Context(), bucket: fmt.Sprintf("suite-%02d", s.buckets)}
	r.create(r.bucket)
	return r
}

func (r *rig) create(bucket string) {
	r.Helper()
	if _, err := r.Buckets.CreateBucket(r.ctx, api.CreateBucket{Name: bucket, Owner: owner}); err != nil {
		r.Fatalf("create %s: %v", bucket, err)
	}
}

// noise gives size bytes that follow from seed.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	rand.NewChaCha8(key).Read(b)
	return b
}

func etag(body []byte) string {
	sums := checksum.Sum(checksum.MD5, body)
	return sums.ETag()
}

func sum(a checksum.Set, body []byte) string {
	sums := checksum.Sum(a, body)
	return sums.Base64(a)
}

// putRequest is a request to put body.
func (r *rig) putRequest(key string, body []byte) *api.PutObject {
	return &api.PutObject{Bucket: r.bucket, Key: key, Size: int64(len(body)), Body: bytes.NewReader(body)}
}

// put stores an object.
func (r *rig) put(key string, body []byte) api.Written {
	r.Helper()
	w, err := r.Objects.Put(r.ctx, r.putRequest(key, body))
	if err != nil {
		r.Fatalf("put %q: %v", key, err)
	}
	return w
}

// read gives n bytes of the current version from off; n < 0 is the rest.
func (r *rig) read(key string, off, n int64) []byte {
	r.Helper()
	o, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: key})
	if err != nil {
		r.Fatalf("open %q: %v", key, err)
	}
	defer o.Close()
	if n < 0 {
		n = o.Info().Size - off
	}
	var out bytes.Buffer
	if err := o.WriteRange(r.ctx, &out, off, n); err != nil {
		r.Fatalf("read %q %d+%d: %v", key, off, n, err)
	}
	return out.Bytes()
}

// holds checks that a key has this content.
func (r *rig) holds(key string, want []byte) {
	r.Helper()
	if got := r.read(key, 0, -1); !bytes.Equal(got, want) {
		r.Errorf("%q holds %d other bytes, want %d", key, len(got), len(want))
	}
}

// gone checks that a key does not exist.
func (r *rig) gone(key string) {
	r.Helper()
	_, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: key})
	r.kind(err, api.NoSuchKey)
}

// kind checks an error's kind.
func (r *rig) kind(err error, want api.Kind) {
	r.Helper()
	if err == nil || api.KindOf(err) != want {
		r.Errorf("error %v, want %v", err, want)
	}
}

// keys lists all keys of the bucket.
func (r *rig) keys() []string {
	r.Helper()
	var out []string
	req := &api.ListObjects{Bucket: r.bucket, Max: api.MaxListObjects}
	for {
		page, err := r.Objects.List(r.ctx, req)
		if err != nil {
			r.Fatalf("list: %v", err)
		}
		for i := range page.Objects {
			out = append(out, page.Objects[i].Key)
		}
		if !page.Truncated {
			return out
		}
		req.After = page.Next
	}
}

var errRefused = errors.New("refused by the test")
