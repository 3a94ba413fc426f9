package apitest

import (
	"bytes"
	"errors"
	"slices"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// begin begins an upload.
func (r *rig) begin(key string, a checksum.Set, kind api.ChecksumType) api.UploadRef {
	r.Helper()
	id, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{
		Bucket: r.bucket, Key: key, Checksum: a, Type: kind, Initiator: owner,
		Metadata: api.Metadata{ContentType: "a/b", User: map[string]string{"a": "b"}},
	})
	if err != nil {
		r.Fatal(err)
	}
	return api.UploadRef{Bucket: r.bucket, Key: key, UploadID: id}
}

func partRequest(ref api.UploadRef, number int, body []byte) *api.PutPart {
	return &api.PutPart{UploadRef: ref, Number: number, Size: int64(len(body)), Body: bytes.NewReader(body)}
}

// part stores a part and gives it as a completion names it.
func (r *rig) part(ref api.UploadRef, number int, body []byte) api.CompletedPart {
	r.Helper()
	info, err := r.Uploads.PutPart(r.ctx, partRequest(ref, number, body))
	if err != nil {
		r.Fatalf("part %d: %v", number, err)
	}
	if info.Number != number || info.Size != int64(len(body)) || info.ETag != etag(body) || info.LastModified.IsZero() {
		r.Errorf("part %d: %+v", number, info)
	}
	return api.CompletedPart{Number: number, ETag: info.ETag, Checksum: info.Checksum}
}

func completion(ref api.UploadRef, parts ...api.CompletedPart) *api.CompleteUpload {
	return &api.CompleteUpload{UploadRef: ref, Parts: parts, Size: -1}
}

func multipartETag(bodies ...[]byte) string {
	md5s := make([][16]byte, len(bodies))
	for i, b := range bodies {
		md5s[i] = checksum.Sum(checksum.MD5, b).MD5
	}
	return checksum.MultipartETag(md5s)
}

func testUploads(r *rig) {
	one, two, three := noise(1, 5<<20), noise(2, 5<<20+1), noise(3, 777)
	whole := slices.Concat(one, two, three)
	ref := r.begin("k", 0, 0)
	r.gone("k")
	up, err := r.Uploads.HeadUpload(r.ctx, ref)
	if err != nil || up.Key != "k" || up.UploadID != ref.UploadID || up.Initiator != owner || up.Initiated.IsZero() {
		r.Errorf("upload %+v, %v", up, err)
	}
	p3 := r.part(ref, 9, three)
	r.part(ref, 2, noise(4, 100)) // replaced below
	p1 := r.part(ref, 1, one)
	p2 := r.part(ref, 2, two)
	r.part(ref, 5, noise(5, 1000)) // not named at completion
	req := completion(ref, p1, p2, p3)
	req.Size = int64(len(whole))
	w, err := r.Uploads.CompleteUpload(r.ctx, req)
	if err != nil {
		r.Fatal(err)
	}
	if w.ETag != multipartETag(one, two, three) || w.Size != int64(len(whole)) {
		r.Errorf("completed as %+v", w)
	}
	r.holds("k", whole)
	info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k", Parts: true})
	if err != nil || info.PartsCount != 3 || len(info.Parts) != 3 || info.Parts[0].Number != 1 || info.Parts[1].Size != int64(len(two)) ||
		info.Metadata.ContentType != "a/b" || info.Metadata.User["a"] != "b" || info.ETag != w.ETag {
		r.Errorf("described as %+v, %v", info, err)
	}
	for _, off := range []int64{5<<20 - 1, 5 << 20, 5<<20 + 1, 10 << 20, 10<<20 + 1} {
		if got := r.read("k", off, 3); !bytes.Equal(got, whole[off:off+3]) {
			r.Errorf("over the seam at %d: %v", off, got)
		}
	}
	again, err := r.Uploads.CompleteUpload(r.ctx, req)
	if err != nil || again.ETag != w.ETag || again.Size != w.Size || !again.LastModified.Equal(w.LastModified) {
		r.Errorf("completed again: %+v, %v", again, err)
	}
	r.kind(r.Uploads.AbortUpload(r.ctx, ref), api.NoSuchUpload)
	_, err = r.Uploads.PutPart(r.ctx, partRequest(ref, 1, three))
	r.kind(err, api.NoSuchUpload)
	r.put("k", []byte("newer"))
	_, err = r.Uploads.CompleteUpload(r.ctx, req)
	r.kind(err, api.NoSuchUpload)
	r.holds("k", []byte("newer"))
	testAbort(r)
}

func testAbort(r *rig) {
	ref := r.begin("aborted", 0, 0)
	p := r.part(ref, 1, noise(1, 100_000))
	other := ref
	other.Key = "other"
	r.kind(r.Uploads.AbortUpload(r.ctx, other), api.NoSuchUpload)
	if err := r.Uploads.AbortUpload(r.ctx, ref); err != nil {
		r.Fatal(err)
	}
	r.kind(r.Uploads.AbortUpload(r.ctx, ref), api.NoSuchUpload)
	_, err := r.Uploads.HeadUpload(r.ctx, ref)
	r.kind(err, api.NoSuchUpload)
	_, err = r.Uploads.CompleteUpload(r.ctx, completion(ref, p))
	r.kind(err, api.NoSuchUpload)
	_, err = r.Uploads.ListParts(r.ctx, &api.ListParts{UploadRef: ref, Max: 10})
	r.kind(err, api.NoSuchUpload)
	r.gone("aborted")
}

// testUploadRefused checks that what is refused changes nothing.
func testUploadRefused(r *rig) {
	ref := r.begin("k", 0, 0)
	big := noise(1, 5<<20)
	p1, p2, p3 := r.part(ref, 1, big), r.part(ref, 2, noise(2, 100)), r.part(ref, 3, noise(3, 100))
	fails := func(kind api.Kind, change func(*api.CompleteUpload), parts ...api.CompletedPart) {
		r.Helper()
		req := completion(ref, parts...)
		if change != nil {
			change(req)
		}
		_, err := r.Uploads.CompleteUpload(r.ctx, req)
		r.kind(err, kind)
		r.gone("k")
	}
	fails(api.InvalidPartOrder, nil, p2, p1)
	fails(api.InvalidPartOrder, nil, p1, p1)
	fails(api.InvalidPart, nil, p1, api.CompletedPart{Number: 4, ETag: p1.ETag})
	fails(api.InvalidPart, nil, p1, api.CompletedPart{Number: 2, ETag: p1.ETag})
	fails(api.InvalidPart, nil, api.CompletedPart{Number: 1, ETag: "none"})
	fails(api.EntityTooSmall, nil, p1, p2, p3)
	fails(api.InvalidArgument, nil)
	fails(api.InvalidArgument, func(c *api.CompleteUpload) { c.Size = 5 }, p1, p2)
	fails(api.NoSuchKey, func(c *api.CompleteUpload) { c.If.IfMatch = p1.ETag }, p1, p2)
	fails(api.NoSuchUpload, func(c *api.CompleteUpload) { c.Key = "other" }, p1, p2)
	for _, change := range []struct {
		name  string
		apply func(*api.PutPart)
		check func(error) bool
	}{
		{"a refused part", func(p *api.PutPart) { p.Verify = func(checksum.Sums) error { return errRefused } }, func(err error) bool { return errors.Is(err, errRefused) }},
		{"a short part", func(p *api.PutPart) { p.Size++ }, func(err error) bool { return api.KindOf(err) == api.IncompleteBody }},
		{"a long part", func(p *api.PutPart) { p.Size-- }, func(err error) bool { return api.KindOf(err) == api.IncompleteBody }},
		{"a part too large", func(p *api.PutPart) { p.Size = api.MaxPutSize + 1 }, func(err error) bool { return api.KindOf(err) == api.EntityTooLarge }},
	} {
		req := partRequest(ref, 2, noise(9, 100_000))
		change.apply(req)
		if _, err := r.Uploads.PutPart(r.ctx, req); err == nil || !change.check(err) {
			r.Errorf("%s: %v", change.name, err)
		}
	}
	req := completion(ref, p1, p2)
	req.If.IfNoneMatch = true
	if _, err := r.Uploads.CompleteUpload(r.ctx, req); err != nil {
		r.Fatalf("after all that was refused: %v", err)
	}
	r.holds("k", append(big, noise(2, 100)...))
	second := r.begin("k", 0, 0)
	req = completion(second, r.part(second, 1, []byte("second")))
	req.If.IfNoneMatch = true
	_, err := r.Uploads.CompleteUpload(r.ctx, req)
	r.kind(err, api.PreconditionFailed)
	req.If = api.Condition{IfMatch: multipartETag(big, noise(2, 100))}
	if _, err := r.Uploads.CompleteUpload(r.ctx, req); err != nil {
		r.Errorf("If-Match at completion: %v", err)
	}
	r.holds("k", []byte("second"))
}

func testUploadChecksums(r *rig) {
	one, two := noise(1, 5<<20), noise(2, 1234)
	whole := slices.Concat(one, two)
	for a := range checksum.Content().Each {
		for _, kind := range []api.ChecksumType{api.FullObject, api.Composite} {
			if kind == api.FullObject && !a.CanCombine() || kind == api.Composite && !a.CanCompose() {
				continue
			}
			key := a.Name() + map[api.ChecksumType]string{api.FullObject: "-full", api.Composite: "-composite"}[kind]
			want := api.Checksum{Algorithm: a, Type: kind, Value: sum(a, whole)}
			if kind == api.Composite {
				s1, s2 := checksum.Sum(a, one), checksum.Sum(a, two)
				want.Value, _ = checksum.Composite(a, [][]byte{s1.Bytes(a), s2.Bytes(a)})
			}
			r.completeWith(key, one, two, want)
		}
	}
}

// completeWith makes an object with a checksum, after completions that must fail.
func (r *rig) completeWith(key string, one, two []byte, want api.Checksum) {
	r.Helper()
	ref := r.begin(key, want.Algorithm, want.Type)
	p1, p2 := r.part(ref, 1, one), r.part(ref, 2, two)
	if p1.Checksum.Value != sum(want.Algorithm, one) || p1.Checksum.Algorithm != want.Algorithm {
		r.Errorf("%s: part has %+v", key, p1.Checksum)
	}
	bad := p2
	bad.Checksum.Value = sum(want.Algorithm, one)
	_, err := r.Uploads.CompleteUpload(r.ctx, completion(ref, p1, bad))
	r.kind(err, api.InvalidPart)
	req := completion(ref, p1, p2)
	req.Checksum = api.Checksum{Algorithm: want.Algorithm, Type: want.Type, Value: sum(want.Algorithm, []byte("other"))}
	_, err = r.Uploads.CompleteUpload(r.ctx, req)
	r.kind(err, api.BadDigest)
	req.Checksum, req.TypeGiven = api.Checksum{Type: 1 - want.Type}, true
	_, err = r.Uploads.CompleteUpload(r.ctx, req)
	r.kind(err, api.InvalidArgument)
	r.gone(key)
	req.Checksum = want
	w, err := r.Uploads.CompleteUpload(r.ctx, req)
	if err != nil || w.Checksum != want {
		r.Errorf("%s: %+v, %v, want %+v", key, w.Checksum, err, want)
	}
	r.holds(key, slices.Concat(one, two))
	cp, err := r.Objects.Copy(r.ctx, r.copyRequest(key, key+"-copy"))
	if err != nil || cp.Checksum.Algorithm != want.Algorithm ||
		cp.Checksum.Type == api.FullObject && cp.Checksum.Value != sum(want.Algorithm, slices.Concat(one, two)) ||
		cp.Checksum.Type == api.Composite && cp.Checksum.Value != want.Value {
		r.Errorf("%s: copied with %+v, %v", key, cp.Checksum, err)
	}
	r.holds(key+"-copy", slices.Concat(one, two))
}

func testCopyPart(r *rig) {
	for _, size := range []int{1000, 100_000, 9 << 20} {
		body := noise(uint64(size), size)
		r.put("src", body)
		ref := r.begin("k", checksum.CRC64NVME, api.FullObject)
		cp := &api.CopyPart{UploadRef: ref, Number: 1, Source: api.ObjectRef{Bucket: r.bucket, Key: "src"}}
		whole, err := r.Uploads.CopyPart(r.ctx, cp)
		if err != nil || whole.Size != int64(size) || whole.ETag != etag(body) || whole.Checksum.Value != sum(checksum.CRC64NVME, body) {
			r.Fatalf("part of %d bytes: %+v, %v", size, whole, err)
		}
		off, n := int64(size/3), int64(size/2)
		cp.Number, cp.Ranged, cp.Off, cp.Length = 2, true, off, n
		piece, err := r.Uploads.CopyPart(r.ctx, cp)
		if err != nil || piece.Size != n || piece.ETag != etag(body[off:off+n]) {
			r.Fatalf("piece of %d bytes: %+v, %v", size, piece, err)
		}
		refuseCopies(r, *cp, int64(size))
		// A part that other parts follow has 5 MiB, so small ones make objects alone.
		parts, want := []api.CompletedPart{{Number: 2, ETag: piece.ETag}}, body[off:off+n]
		if size >= api.MinPartSize {
			parts, want = []api.CompletedPart{{Number: 1, ETag: whole.ETag}, {Number: 2, ETag: piece.ETag}}, slices.Concat(body, body[off:off+n])
		}
		w, err := r.Uploads.CompleteUpload(r.ctx, completion(ref, parts...))
		if err != nil || w.Checksum.Value != sum(checksum.CRC64NVME, want) {
			r.Fatalf("completed with copies of %d bytes: %+v, %v", size, w, err)
		}
		r.remove("src")
		r.holds("k", want)
		for _, off := range []int64{0, int64(len(want)) / 2, int64(len(want)) - 2} {
			if got := r.read("k", off, 2); !bytes.Equal(got, want[off:off+2]) {
				r.Errorf("range at %d of copies: %v", off, got)
			}
		}
	}
}

func refuseCopies(r *rig, cp api.CopyPart, size int64) {
	r.Helper()
	attempt := func(kind api.Kind, change func(*api.CopyPart)) {
		r.Helper()
		c := cp
		change(&c)
		_, err := r.Uploads.CopyPart(r.ctx, &c)
		r.kind(err, kind)
	}
	attempt(api.InvalidArgument, func(c *api.CopyPart) { c.Off, c.Length = size-1, 2 })
	attempt(api.NoSuchKey, func(c *api.CopyPart) { c.Source.Key = "none" })
	attempt(api.NoSuchUpload, func(c *api.CopyPart) { c.Key = "other" })
	c := cp
	c.Check = func(*api.ObjectInfo) error { return errRefused }
	if _, err := r.Uploads.CopyPart(r.ctx, &c); !errors.Is(err, errRefused) {
		r.Errorf("Check refused, the copy gave %v", err)
	}
}

func testListParts(r *rig) {
	ref := r.begin("k", checksum.SHA256, api.Composite)
	var want []int
	for _, n := range []int{7, 1, 10000, 3, 300} {
		r.part(ref, n, noise(uint64(n), 100+n))
		want = append(want, n)
	}
	slices.Sort(want)
	for _, size := range []int{1, 2, 5, 6, 1000} {
		var got []int
		req := &api.ListParts{UploadRef: ref, Max: size}
		for {
			page, err := r.Uploads.ListParts(r.ctx, req)
			if err != nil {
				r.Fatal(err)
			}
			if page.Upload.UploadID != ref.UploadID || page.Upload.Checksum != checksum.SHA256 || page.Upload.Type != api.Composite || len(page.Parts) > size {
				r.Errorf("page %+v", page)
			}
			for _, p := range page.Parts {
				body := noise(uint64(p.Number), 100+p.Number)
				if p.Size != int64(len(body)) || p.ETag != etag(body) || p.Checksum.Value != sum(checksum.SHA256, body) {
					r.Errorf("listed as %+v", p)
				}
				got = append(got, p.Number)
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
}

// testNoSuchBucket asks everything of a bucket that does not exist.
func testNoSuchBucket(r *rig) {
	upload := r.begin("k", 0, 0)
	r.put("src", []byte("x"))
	none := *r
	none.bucket = r.bucket + "-none"
	ref := api.UploadRef{Bucket: none.bucket, Key: "k", UploadID: upload.UploadID}
	for name, call := range map[string]func() error{
		"Head": func() error {
			_, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: none.bucket, Key: "k"})
			return err
		},
		"Open": func() error {
			_, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: none.bucket, Key: "k"})
			return err
		},
		"Put":    func() error { _, err := r.Objects.Put(r.ctx, none.putRequest("k", []byte("x"))); return err },
		"PutBig": func() error { _, err := r.Objects.Put(r.ctx, none.putRequest("k", noise(1, 100_000))); return err },
		"Delete": func() error {
			_, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: none.bucket, DeleteItem: api.DeleteItem{Key: "k"}})
			return err
		},
		"DeleteMany": func() error {
			_, err := r.Objects.DeleteMany(r.ctx, none.bucket, []api.DeleteItem{{Key: "k"}})
			return err
		},
		"List": func() error {
			_, err := r.Objects.List(r.ctx, &api.ListObjects{Bucket: none.bucket, Max: 1})
			return err
		},
		"CreateUpload": func() error {
			_, err := r.Uploads.CreateUpload(r.ctx, &api.CreateUpload{Bucket: none.bucket, Key: "k"})
			return err
		},
		"ListUploads": func() error {
			_, err := r.Uploads.ListUploads(r.ctx, &api.ListUploads{Bucket: none.bucket, Max: 1})
			return err
		},
		"HeadUpload":  func() error { _, err := r.Uploads.HeadUpload(r.ctx, ref); return err },
		"AbortUpload": func() error { return r.Uploads.AbortUpload(r.ctx, ref) },
		"PutPart":     func() error { _, err := r.Uploads.PutPart(r.ctx, partRequest(ref, 1, []byte("x"))); return err },
		"ListParts":   func() error { _, err := r.Uploads.ListParts(r.ctx, &api.ListParts{UploadRef: ref, Max: 1}); return err },
		"CompleteUpload": func() error {
			_, err := r.Uploads.CompleteUpload(r.ctx, completion(ref, api.CompletedPart{Number: 1, ETag: etag(nil)}))
			return err
		},
	} {
		if err := call(); err == nil || api.KindOf(err) != api.NoSuchBucket {
			r.Errorf("%s: %v", name, err)
		}
	}
}
