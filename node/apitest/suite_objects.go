package apitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing/iotest"
	"time"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// sizes are those where something changes: inline or not, frames, chunks.
var sizes = []int{
	0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64<<10 - 1, 64 << 10, 64<<10 + 1,
	4<<20 - 1, 4 << 20, 4<<20 + 1, 9<<20 + 12345,
}

func testPut(r *rig) {
	for i, size := range sizes {
		body := noise(uint64(i), size)
		key := fmt.Sprint("size-", size)
		req := r.putRequest(key, body)
		req.Digests, req.Store = checksum.SHA256|checksum.CRC32C, checksum.CRC32C
		var seen checksum.Sums
		req.Verify = func(s checksum.Sums) error { seen = s; return nil }
		w, err := r.Objects.Put(r.ctx, req)
		if err != nil {
			r.Fatalf("%d bytes: %v", size, err)
		}
		want := checksum.Sum(checksum.MD5|checksum.SHA256|checksum.CRC32C, body)
		if !seen.Set.Has(want.Set) || seen.MD5 != want.MD5 || seen.SHA256 != want.SHA256 || seen.CRC32C != want.CRC32C {
			r.Errorf("%d bytes: Verify saw %v", size, seen)
		}
		info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: key})
		if err != nil {
			r.Fatal(err)
		}
		sum := api.Checksum{Algorithm: checksum.CRC32C, Type: api.FullObject, Value: want.Base64(checksum.CRC32C)}
		if w.ETag != want.ETag() || w.Size != int64(size) || w.Checksum != sum || w.VersionID != "" || w.LastModified.IsZero() {
			r.Errorf("%d bytes: written %+v", size, w)
		}
		if info.ETag != w.ETag || info.Size != w.Size || info.Checksum != sum || !info.LastModified.Equal(w.LastModified) || info.Key != key ||
			info.PartsCount != 0 || info.DeleteMarker {
			r.Errorf("%d bytes: described as %+v", size, info)
		}
		r.holds(key, body)
	}
	one, two := r.put("again", []byte("one")), r.put("again", noise(1, 100_000))
	if !two.LastModified.After(one.LastModified) && !two.LastModified.Equal(one.LastModified) {
		r.Errorf("times went backwards: %v, %v", one.LastModified, two.LastModified)
	}
	r.holds("again", noise(1, 100_000))
	r.put("again", []byte("three"))
	r.holds("again", []byte("three"))
	if w := r.put("bare", []byte("x")); w.Checksum.Algorithm != 0 || w.Checksum.Value != "" {
		r.Errorf("a checksum that nobody asked for: %+v", w.Checksum)
	}
}

// testPutRefused checks that a put that fails leaves what was there.
func testPutRefused(r *rig) {
	for _, size := range []int{5, 100_000, 5 << 20} {
		key := fmt.Sprint("kept-", size)
		old := noise(1, 1000)
		r.put(key, old)
		body := noise(2, size)
		attempt := func(name string, change func(*api.PutObject), check func(error) bool) {
			req := r.putRequest(key, body)
			change(req)
			if _, err := r.Objects.Put(r.ctx, req); err == nil || !check(err) {
				r.Errorf("%s of %d bytes: %v", name, size, err)
			}
			req.Key = "new-" + key
			req.Body = bytes.NewReader(body)
			change(req)
			if _, err := r.Objects.Put(r.ctx, req); err == nil || !check(err) {
				r.Errorf("%s of %d new bytes: %v", name, size, err)
			}
			r.holds(key, old)
			r.gone("new-" + key)
		}
		is := func(k api.Kind) func(error) bool { return func(err error) bool { return api.KindOf(err) == k } }
		attempt("a refused put", func(p *api.PutObject) { p.Verify = func(checksum.Sums) error { return errRefused } },
			func(err error) bool { return errors.Is(err, errRefused) })
		attempt("a short body", func(p *api.PutObject) { p.Size++ }, is(api.IncompleteBody))
		attempt("a long body", func(p *api.PutObject) { p.Size-- }, is(api.IncompleteBody))
		attempt("a body that breaks", func(p *api.PutObject) {
			p.Body = io.MultiReader(bytes.NewReader(body[:size-1]), iotest.ErrReader(errRefused))
		}, func(err error) bool { return errors.Is(err, errRefused) })
		attempt("a body that breaks at its end", func(p *api.PutObject) {
			p.Body = io.MultiReader(bytes.NewReader(body), iotest.ErrReader(errRefused))
		}, func(err error) bool { return errors.Is(err, errRefused) })
		r.put(key, body)
		r.holds(key, body)
	}
	// A body in small pieces is as good as one in a piece.
	req := r.putRequest("pieces", noise(3, 70_000))
	req.Body = iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(noise(3, 70_000))))
	if _, err := r.Objects.Put(r.ctx, req); err != nil {
		r.Errorf("a body in pieces: %v", err)
	}
	r.holds("pieces", noise(3, 70_000))
	req = r.putRequest("huge", nil)
	req.Size = api.MaxPutSize + 1
	_, err := r.Objects.Put(r.ctx, req)
	r.kind(err, api.EntityTooLarge)
}

func testMetadata(r *rig) {
	md := api.Metadata{
		ContentType: "a/b", CacheControl: "no-cache", ContentDisposition: "inline", ContentEncoding: "br", ContentLanguage: "de",
		Expires: "tomorrow", WebsiteRedirect: "/x", User: map[string]string{"a": "b", "empty": "", "bytes": "\xc3\x28\xff"},
	}
	for _, size := range []int{10, 100_000} {
		req := r.putRequest("k", noise(1, size))
		req.Metadata = md
		req.Metadata.User = maps.Clone(md.User)
		if _, err := r.Objects.Put(r.ctx, req); err != nil {
			r.Fatal(err)
		}
		req.Metadata.User["a"] = "changed" // the store keeps what it was given
		info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k"})
		if err != nil {
			r.Fatal(err)
		}
		got := info.Metadata
		if !maps.Equal(got.User, md.User) {
			r.Errorf("user metadata %q, want %q", got.User, md.User)
		}
		if got.ContentType != md.ContentType || got.CacheControl != md.CacheControl || got.ContentDisposition != md.ContentDisposition ||
			got.ContentEncoding != md.ContentEncoding || got.ContentLanguage != md.ContentLanguage || got.Expires != md.Expires ||
			got.WebsiteRedirect != md.WebsiteRedirect {
			r.Errorf("metadata %+v, want %+v", got, md)
		}
	}
}

func testConditions(r *rig) {
	put := func(key string, cond api.Condition) error {
		req := r.putRequest(key, []byte("new"))
		req.If = cond
		_, err := r.Objects.Put(r.ctx, req)
		return err
	}
	old := r.put("k", []byte("old")).ETag
	r.kind(put("k", api.Condition{IfNoneMatch: true}), api.PreconditionFailed)
	r.kind(put("k", api.Condition{IfMatch: etag([]byte("other"))}), api.PreconditionFailed)
	r.kind(put("none", api.Condition{IfMatch: old}), api.NoSuchKey)
	r.kind(put("none", api.Condition{IfMatch: "*"}), api.NoSuchKey)
	r.holds("k", []byte("old"))
	r.gone("none")
	if err := put("k", api.Condition{IfMatch: old}); err != nil {
		r.Errorf("If-Match: %v", err)
	}
	r.holds("k", []byte("new"))
	if err := put("k", api.Condition{IfMatch: "*"}); err != nil {
		r.Errorf("If-Match *: %v", err)
	}
	if err := put("fresh", api.Condition{IfNoneMatch: true}); err != nil {
		r.Errorf("If-None-Match: %v", err)
	}
	r.kind(put("fresh", api.Condition{IfNoneMatch: true}), api.PreconditionFailed)
	r.remove("fresh")
	if err := put("fresh", api.Condition{IfNoneMatch: true}); err != nil {
		r.Errorf("If-None-Match after a deletion: %v", err)
	}
}

// remove deletes a key.
func (r *rig) remove(key string) {
	r.Helper()
	if _, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: key}}); err != nil {
		r.Errorf("delete %q: %v", key, err)
	}
}

// testRanges reads around every edge of frames and chunks.
func testRanges(r *rig) {
	for i, size := range sizes {
		body := noise(uint64(i), size)
		key := fmt.Sprint(size)
		r.put(key, body)
		o, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: key})
		if err != nil {
			r.Fatal(err)
		}
		for _, edge := range []int64{0, 1, 16 << 10, 64 << 10, 128 << 10, 4<<20 - 64<<10, 4 << 20, 4<<20 + 64<<10, 8 << 20, int64(size) / 2, int64(size)} {
			for _, before := range []int64{-1, 0, 1, 70_000} {
				for _, n := range []int64{0, 1, 2, 65_536, 70_001, 4<<20 + 2} {
					off := edge - before
					if off < 0 || off+n > int64(size) {
						continue
					}
					var out bytes.Buffer
					if err := o.WriteRange(r.ctx, &out, off, n); err != nil || !bytes.Equal(out.Bytes(), body[off:off+n]) {
						r.Errorf("%d bytes, range %d+%d: %d bytes, %v", size, off, n, out.Len(), err)
					}
				}
			}
		}
		if size > 0 {
			full := errors.New("full")
			err := o.WriteRange(r.ctx, writerFunc(func([]byte) (int, error) { return 0, full }), 0, int64(size))
			if !errors.Is(err, full) {
				r.Errorf("%d bytes: the writer's error came back as %v", size, err)
			}
		}
		o.Close()
		o.Close()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func testDelete(r *rig) {
	r.put("k", noise(1, 100_000))
	r.put("other", []byte("x"))
	r.remove("k")
	r.gone("k")
	_, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k"})
	r.kind(err, api.NoSuchKey)
	r.remove("k")
	r.remove("never")
	items := []api.DeleteItem{{Key: "other"}, {Key: "never"}, {Key: "third", If: api.Condition{IfMatch: "no"}}, {Key: "fourth"}, {Key: "fourth"}}
	r.put("third", []byte("3"))
	r.put("fourth", []byte("4"))
	done, err := r.Objects.DeleteMany(r.ctx, r.bucket, items)
	if err != nil || len(done) != len(items) {
		r.Fatalf("%d results, %v", len(done), err)
	}
	for i, d := range done {
		if i == 2 {
			r.kind(d.Err, api.PreconditionFailed)
		} else if d.Err != nil || d.DeleteMarker {
			r.Errorf("item %d: %+v", i, d)
		}
	}
	r.gone("other")
	r.gone("fourth")
	r.holds("third", []byte("3"))
	_, err = r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "third", VersionID: "00112233445566778899aabbccddeeff"})
	r.kind(err, api.NoSuchVersion)
	if info, err := r.Objects.Head(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "third", VersionID: nullVersion}); err != nil || info.Size != 1 {
		r.Errorf("the null version: %+v, %v", info, err)
	}
	_, err = r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: api.DeleteItem{Key: "third", VersionID: "00112233445566778899aabbccddeeff"}})
	if err != nil {
		r.Errorf("deleting a version that is not there: %v", err)
	}
	r.holds("third", []byte("3"))
	many := make([]api.DeleteItem, 1000)
	for i := range many {
		many[i].Key = fmt.Sprint("many-", i)
		if i%100 == 0 {
			r.put(many[i].Key, []byte("x"))
		}
	}
	if done, err := r.Objects.DeleteMany(r.ctx, r.bucket, many); err != nil || len(done) != 1000 {
		r.Errorf("1,000 keys: %d, %v", len(done), err)
	}
	if keys := r.keys(); len(keys) != 1 || keys[0] != "third" {
		r.Errorf("left over: %v", keys)
	}
}

func testDeleteConditions(r *rig) {
	w := r.put("k", []byte("12345"))
	del := func(item api.DeleteItem) error {
		_, err := r.Objects.Delete(r.ctx, &api.DeleteObject{Bucket: r.bucket, DeleteItem: item})
		return err
	}
	four, five := int64(4), int64(5)
	at, later := w.LastModified.Truncate(time.Second), w.LastModified.Truncate(time.Second).Add(time.Second)
	r.kind(del(api.DeleteItem{Key: "k", If: api.Condition{IfMatch: "no"}}), api.PreconditionFailed)
	r.kind(del(api.DeleteItem{Key: "k", IfSize: &four}), api.PreconditionFailed)
	r.kind(del(api.DeleteItem{Key: "k", IfModified: &later}), api.PreconditionFailed)
	r.kind(del(api.DeleteItem{Key: "k", IfSize: &five, IfModified: &later}), api.PreconditionFailed)
	r.kind(del(api.DeleteItem{Key: "none", If: api.Condition{IfMatch: w.ETag}}), api.NoSuchKey)
	r.kind(del(api.DeleteItem{Key: "none", If: api.Condition{IfMatch: "*"}}), api.NoSuchKey)
	r.holds("k", []byte("12345"))
	if err := del(api.DeleteItem{Key: "none", IfSize: &five, IfModified: &at}); err != nil {
		r.Errorf("size and time of nothing: %v", err)
	}
	if err := del(api.DeleteItem{Key: "k", If: api.Condition{IfMatch: w.ETag}, IfSize: &five, IfModified: &at}); err != nil {
		r.Errorf("all conditions hold: %v", err)
	}
	r.gone("k")
}

// testReadWhileDeleted checks that an open object can be read to its end, whatever
// becomes of its version.
func testReadWhileDeleted(r *rig) {
	for _, size := range []int{1000, 100_000, 9 << 20} {
		body := noise(1, size)
		r.put("k", body)
		o, err := r.Objects.Open(r.ctx, &api.ObjectRef{Bucket: r.bucket, Key: "k"})
		if err != nil {
			r.Fatal(err)
		}
		var out bytes.Buffer
		half := int64(size / 2)
		if err := o.WriteRange(r.ctx, &out, 0, half); err != nil {
			r.Errorf("before: %v", err)
		}
		r.put("k", []byte("overwritten"))
		r.remove("k")
		if err := o.WriteRange(r.ctx, &out, half, int64(size)-half); err != nil {
			r.Errorf("%d bytes, after the deletion: %v", size, err)
		}
		if !bytes.Equal(out.Bytes(), body) {
			r.Errorf("%d bytes: other bytes after the deletion", size)
		}
		o.Close()
		r.gone("k")
	}
}

// testKeys stores keys that no file system would take.
func testKeys(r *rig) {
	keys := []string{"a/../b", "../../x", "a//b", "/", "//", "a/", ".", "..", "\x01\x1f", "ä€🐟", "a\x7fb", " ", "a b", "%2F", "\\", "*?", "\u2028",
		string(bytes.Repeat([]byte("k"), api.MaxKeyLength)), "a/b", "b"}
	for _, k := range keys {
		r.put(k, []byte("content of "+k))
	}
	for _, k := range keys {
		r.holds(k, []byte("content of "+k))
	}
	if got := r.keys(); len(got) != len(keys) {
		r.Errorf("%d keys listed, want %d: %q", len(got), len(keys), got)
	}
}
