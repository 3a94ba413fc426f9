package apitest

import (
	"bytes"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// keySizes are of bodies that lie in the metadata, in one chunk, and in several.
var keySizes = []int{0, 1000, 100_000, 5 << 20}

func customerKey(n byte) *api.CustomerKey {
	return &api.CustomerKey{Key: [32]byte(bytes.Repeat([]byte{n}, 32))}
}

// opens checks what an object holds under a key.
func (r *rig) opens(key string, k *api.CustomerKey, want []byte) {
	r.Helper()
	o, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: key, CustomerKey: k})
	if err != nil {
		r.Fatalf("open %s: %v", key, err)
	}
	defer o.Close()
	var got bytes.Buffer
	if err := o.WriteRange(r.ctx, &got, 0, o.Info().Size); err != nil || !bytes.Equal(got.Bytes(), want) {
		r.Errorf("%s holds %d bytes, which are right: %v, %v", key, got.Len(), bytes.Equal(got.Bytes(), want), err)
	}
	if n := int64(len(want)); n > 10 {
		got.Reset()
		if err := o.WriteRange(r.ctx, &got, n-7, 5); err != nil || !bytes.Equal(got.Bytes(), want[n-7:n-2]) {
			r.Errorf("a range of %s: %x, %v", key, got.Bytes(), err)
		}
	}
}

// shut checks that an object opens with none of some keys.
func (r *rig) shut(key string, want api.Kind, keys ...*api.CustomerKey) {
	r.Helper()
	for _, k := range keys {
		_, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: key, CustomerKey: k})
		r.kind(err, want)
	}
}

func testCustomerKeys(r *rig) {
	one, two := customerKey(1), customerKey(2)
	for _, size := range keySizes {
		body := noise(uint64(size), size)
		req := r.putRequest("k", body)
		req.CustomerKey, req.Digests, req.Store = one, checksum.SHA256, checksum.SHA256
		req.Verify = func(s checksum.Sums) error {
			if s.Base64(checksum.SHA256) != sum(checksum.SHA256, body) {
				return errRefused
			}
			return nil
		}
		w, err := r.Objects.Put(r.ctx, req)
		if err != nil || w.ETag == etag(body) || len(w.ETag) != 32 || w.Checksum.Value != sum(checksum.SHA256, body) {
			r.Fatalf("put of %d bytes: %+v, %v", size, w, err)
		}
		r.opens("k", one, body)
		r.shut("k", api.CustomerKeyMissing, nil)
		r.shut("k", api.CustomerKeyWrong, two)
		info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k"})
		if err != nil || info.ETag != w.ETag || !one.Fits(info.Metadata.KeyCheck) {
			r.Errorf("described as %+v, %v", info, err)
		}
	}
	r.put("plain", []byte("plain"))
	r.shut("plain", api.CustomerKeyUnused, one)
	r.opens("plain", nil, []byte("plain"))
}

// testCustomerKeyCopies copies between all pairs of keys.
func testCustomerKeyCopies(r *rig) {
	keys := []*api.CustomerKey{nil, customerKey(1), customerKey(2)}
	for _, size := range keySizes {
		body := noise(uint64(size)+1, size)
		for i, from := range keys {
			req := r.putRequest("src", body)
			req.CustomerKey = from
			src, err := r.Objects.Put(r.ctx, req)
			if err != nil {
				r.Fatal(err)
			}
			for j, to := range keys {
				cp := r.copyRequest("src", "dst")
				cp.Source.CustomerKey, cp.CustomerKey = from, to
				w, err := r.Objects.Copy(r.ctx, cp)
				if err != nil {
					r.Fatalf("copy of %d bytes from key %d to %d: %v", size, i, j, err)
				}
				if (w.ETag == etag(body)) != (to == nil) || (w.ETag == src.ETag) != (i == j) {
					r.Errorf("copy of %d bytes from key %d to %d has ETag %s, its source %s", size, i, j, w.ETag, src.ETag)
				}
				r.opens("dst", to, body)
				if to != nil {
					r.shut("dst", api.CustomerKeyMissing, nil)
				}
			}
			cp := r.copyRequest("src", "dst")
			cp.Source.CustomerKey = keys[(i+1)%len(keys)]
			if _, err := r.Objects.Copy(r.ctx, cp); api.KindOf(err) < api.CustomerKeyMissing {
				r.Errorf("a copy with the wrong key of its source: %v", err)
			}
			// Onto itself, under another key.
			self := r.copyRequest("src", "src")
			self.Source.CustomerKey, self.CustomerKey = from, customerKey(3)
			if _, err := r.Objects.Copy(r.ctx, self); err != nil {
				r.Fatal(err)
			}
			r.opens("src", customerKey(3), body)
		}
	}
}

func testCustomerKeyUploads(r *rig) {
	one, two := customerKey(1), customerKey(2)
	head, tail := noise(1, api.MinPartSize), noise(2, 100)
	id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: r.bucket, Key: "k", CustomerKey: one})
	if err != nil {
		r.Fatal(err)
	}
	ref := api.UploadRef{Bucket: r.bucket, Key: "k", UploadID: id}
	if info, err := r.Uploads.HeadUpload(r.ctx, ref); err != nil || !one.Fits(info.KeyCheck) {
		r.Errorf("%+v, %v", info, err)
	}
	for _, c := range []struct {
		key  *api.CustomerKey
		want api.Kind
	}{{nil, api.CustomerKeyMissing}, {two, api.CustomerKeyWrong}} {
		req := partRequest(ref, 1, head)
		req.CustomerKey = c.key
		_, err := r.Uploads.PutPart(r.ctx, req)
		r.kind(err, c.want)
	}
	req := partRequest(ref, 1, head)
	req.CustomerKey = one
	first, err := r.Uploads.PutPart(r.ctx, req)
	if err != nil || first.ETag == etag(head) {
		r.Fatalf("%+v, %v", first, err)
	}
	r.put("plain", append(noise(3, 50), tail...))
	last, err := r.Uploads.CopyPart(r.ctx, &api.CopyPart{
		UploadRef: ref, Number: 2, Source: api.ObjectRef{Bucket: r.bucket, Key: "plain"}, Ranged: true, Off: 50, Length: int64(len(tail)), CustomerKey: one,
	})
	if err != nil || last.ETag == etag(tail) {
		r.Fatalf("%+v, %v", last, err)
	}
	done := completion(ref, api.CompletedPart{Number: 1, ETag: first.ETag}, api.CompletedPart{Number: 2, ETag: last.ETag})
	if _, err := r.Uploads.CompleteUpload(r.ctx, done); err != nil {
		r.Fatal(err)
	}
	whole := append(bytes.Clone(head), tail...)
	r.opens("k", one, whole)
	r.shut("k", api.CustomerKeyWrong, two)

	// Of its bytes a part is made in an upload without a key.
	open := r.begin("open", 0, api.FullObject)
	part, err := r.Uploads.CopyPart(r.ctx, &api.CopyPart{UploadRef: open, Number: 1, Source: api.ObjectRef{Bucket: r.bucket, Key: "k", CustomerKey: one}})
	if err != nil || part.ETag != etag(whole) {
		r.Fatalf("%+v, %v", part, err)
	}
	if _, err := r.Uploads.CompleteUpload(r.ctx, completion(open, api.CompletedPart{Number: 1, ETag: part.ETag})); err != nil {
		r.Fatal(err)
	}
	r.holds("open", whole)
}
