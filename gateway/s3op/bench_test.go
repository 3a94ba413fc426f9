package s3op_test

import (
	"bytes"
	"context"
	"fmt"

	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"shoal/chunker/checksum"
	"shoal/gateway/iam"
	"shoal/gateway/s3op"
	"shoal/node/api"
	"shoal/node/apitest"
)

// nowhere is a ResponseWriter that drops what is written.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// bench measures one operation without HTTP and without a drive.
func bench(b *testing.B, method, key, query string, header http.Header, content []byte, setup func(*apitest.Memory)) {
	store := apitest.NewMemory()
	if _, err := store.CreateBucket(b.Context(), api.CreateBucket{Name: "bucket", Owner: "root"}); err != nil {
		b.Fatal(err)
	}
	if setup != nil {
		setup(store)
	}
	service := &s3op.Service{Buckets: store, Objects: store, Uploads: store, Versions: store, Rules: iam.NewBuckets(store), Region: "us-east-1"}
	r := &http.Request{Method: method, URL: &url.URL{Path: "/bucket/" + key}, Header: header, ProtoMajor: 2}
	w := &nowhere{h: http.Header{}}
	reader := bytes.NewReader(content)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		q, err := s3op.ParseQuery(query)
		if err != nil {
			b.Fatal(err)
		}
		op := s3op.Match(method, "bucket", key, q, header)
		req := &s3op.Request{HTTP: r, Bucket: "bucket", Key: key, Query: q, Caller: iam.Root(), Now: time.Now()}
		if content != nil {
			reader.Reset(content)
			req.Body = &body{Reader: reader, size: int64(len(content))}
		}
		clear(w.h)
		if err := op.Serve(b.Context(), service, req, w); err != nil {
			b.Fatal(err)
		}
	}
}

// usual are the headers that a client sends with everything.
func usual(more ...string) http.Header {
	h := http.Header{
		"Authorization": {"AWS4-HMAC-SHA256 Credential=…"}, "X-Amz-Date": {"20260304T050607Z"}, "User-Agent": {"client"},
		"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}, "Accept-Encoding": {"identity"},
	}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func oneKiB(store *apitest.Memory) {
	content := []byte(big(1024))
	_, err := store.Put(bg, &api.PutObject{Bucket: "bucket", Key: "k", Size: 1024, Body: bytes.NewReader(content),
		Metadata: api.Metadata{ContentType: "text/plain", User: map[string]string{"a": "b"}}, Store: checksum.CRC64NVME})
	if err != nil {
		panic(err)
	}
}

func BenchmarkGet1KiB(b *testing.B)  { bench(b, "GET", "k", "", usual(), nil, oneKiB) }
func BenchmarkHead1KiB(b *testing.B) { bench(b, "HEAD", "k", "", usual(), nil, oneKiB) }
func BenchmarkRange(b *testing.B) {
	bench(b, "GET", "k", "", usual("Range", "bytes=100-199"), nil, oneKiB)
}
func BenchmarkPut1KiB(b *testing.B) {
	bench(b, "PUT", "k", "", usual("Content-Type", "text/plain", "X-Amz-Meta-A", "b"), []byte(big(1024)), nil)
}
func BenchmarkDelete(b *testing.B) { bench(b, "DELETE", "k", "", usual(), nil, nil) }

func BenchmarkList1000(b *testing.B) {
	bench(b, "GET", "", "list-type=2&prefix=photos/&max-keys=1000", usual(), nil, func(store *apitest.Memory) {
		for i := range 1100 {
			key := fmt.Sprintf("photos/2026/03/img-%06d.jpeg", i)
			if _, err := store.Put(bg, &api.PutObject{Bucket: "bucket", Key: key, Body: strings.NewReader(""), Store: checksum.CRC64NVME}); err != nil {
				panic(err)
			}
		}
	})
}

var bg = context.Background()
