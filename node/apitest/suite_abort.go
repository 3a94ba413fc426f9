package apitest

import (
	"bytes"
	"io"

	"shoal/node/api"
)

// interrupted is a body during which something else happens.
type interrupted struct {
	io.Reader
	after int // bytes
	do    func()
}

func (b *interrupted) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p[:min(len(p), 64<<10)])
	if b.after -= n; b.after < 0 && b.do != nil {
		b.do()
		b.do = nil
	}
	return n, err
}

// testAbortWhileUploading ends an upload, in each way, while a part of it is still coming: the part is refused, and
// nothing is left of it.
func testAbortWhileUploading(r *rig) {
	body := noise(3, 5<<20)
	ref := r.begin("aborted", 0, api.FullObject)
	part := partRequest(ref, 1, body)
	part.Body = &interrupted{Reader: bytes.NewReader(body), after: 1 << 20, do: func() {
		if err := r.Uploads.AbortUpload(r.ctx, ref); err != nil {
			r.Errorf("abort: %v", err)
		}
	}}
	_, err := r.Uploads.PutPart(r.ctx, part)
	r.kind(err, api.NoSuchUpload)
	_, err = r.Uploads.HeadUpload(r.ctx, ref)
	r.kind(err, api.NoSuchUpload)

	ref = r.begin("completed", 0, api.FullObject)
	first := r.part(ref, 1, []byte("all there is"))
	part = partRequest(ref, 2, body)
	part.Body = &interrupted{Reader: bytes.NewReader(body), after: 1 << 20, do: func() {
		if _, err := r.Uploads.CompleteUpload(r.ctx, completion(ref, first)); err != nil {
			r.Errorf("complete: %v", err)
		}
	}}
	_, err = r.Uploads.PutPart(r.ctx, part)
	r.kind(err, api.NoSuchUpload)
	r.holds("completed", []byte("all there is"))

	ref = r.begin("replaced", 0, api.FullObject)
	r.part(ref, 1, []byte("first"))
	part = partRequest(ref, 1, body)
	var second api.CompletedPart
	part.Body = &interrupted{Reader: bytes.NewReader(body), after: 1 << 20, do: func() { second = r.part(ref, 1, []byte("second")) }}
	third, err := r.Uploads.PutPart(r.ctx, part)
	if err != nil {
		r.Fatal(err)
	}
	_, err = r.Uploads.CompleteUpload(r.ctx, completion(ref, second))
	r.kind(err, api.InvalidPart) // the one that ended last is the part
	if _, err := r.Uploads.CompleteUpload(r.ctx, completion(ref, api.CompletedPart{Number: 1, ETag: third.ETag})); err != nil {
		r.Fatal(err)
	}
	r.holds("replaced", body)
	for _, key := range []string{"completed", "replaced"} {
		r.remove(key)
	}
	if err := r.Buckets.DeleteBucket(r.ctx, r.bucket); err != nil {
		r.Errorf("nothing is left: %v", err)
	}
}
