package apitest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"maps"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// object is one stored version: its description and its bytes in runs that copies share.
type object struct {
	info  api.ObjectInfo
	parts []api.PartInfo
	data  [][]byte
	// madeBy is the upload that a completed object came from.
	madeBy string
	serial uint64 // place in the order of versions, and the version's ID
	null   bool   // the version that S3 calls "null"
}

// Put stores one object.
func (m *Memory) Put(ctx context.Context, req *api.PutObject) (api.Written, error) {
	m.mu.RLock()
	_, err := m.bucket(ctx, req.Bucket)
	m.mu.RUnlock()
	if err != nil {
		return api.Written{}, err
	}
	data, sums, err := receive(req.Body, req.Size, req.Digests|req.Store, req.Verify)
	if err != nil {
		return api.Written{}, err
	}
	o := &object{data: [][]byte{data}, info: api.ObjectInfo{
		Key: req.Key, Size: req.Size, ETag: etagFor(sums, req.CustomerKey), Metadata: sealedMetadata(req.Metadata, req.CustomerKey), Tags: sortTags(req.Tags), ACL: bytes.Clone(req.ACL), Lock: req.Lock, Class: req.Class,
	}}
	if req.Store != 0 {
		o.info.Checksum = api.Checksum{Algorithm: req.Store, Type: api.FullObject, Value: sums.Base64(req.Store)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(ctx, req.Bucket, o, req.If)
}

// receive reads a body to its end, one byte past its size, and verifies it.
func receive(body io.Reader, size int64, set checksum.Set, verify func(checksum.Sums) error) ([]byte, checksum.Sums, error) {
	if size > api.MaxPutSize {
		return nil, checksum.Sums{}, &api.Error{Kind: api.EntityTooLarge, Op: "apitest.receive"}
	}
	data := make([]byte, size)
	n, err := io.ReadFull(body, data)
	if err == nil {
		var extra [1]byte
		if n, err = io.ReadFull(body, extra[:]); n > 0 {
			err = &api.Error{Kind: api.IncompleteBody, Op: "apitest.receive", Detail: "The body is longer than declared."}
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	} else if n < len(data) && (err == io.EOF || err == io.ErrUnexpectedEOF) {
		err = &api.Error{Kind: api.IncompleteBody, Op: "apitest.receive", Err: err}
	}
	if err != nil {
		return nil, checksum.Sums{}, err
	}
	sums := checksum.Sum(set|checksum.MD5, data)
	if verify != nil {
		if err := verify(sums); err != nil {
			return nil, checksum.Sums{}, err
		}
	}
	return data, sums, nil
}

// commit checks the condition and makes o current. The caller holds the lock.
func (m *Memory) commit(ctx context.Context, bucketName string, o *object, cond api.Condition) (api.Written, error) {
	b, err := m.bucket(ctx, bucketName)
	if err != nil {
		return api.Written{}, err
	}
	if err := check(b.current(o.info.Key), cond, bucketName, o.info.Key); err != nil {
		return api.Written{}, err
	}
	if err := b.lockable(o.info.Lock); err != nil {
		return api.Written{}, err
	}
	o.info.LastModified = m.Clock().UTC()
	o.info.Lock = b.newLock(o.info.Lock, o.info.LastModified)
	m.install(b, o)
	w := b.written(o)
	w.ConfigEpoch = b.config.Epoch
	return w, nil
}

// check decides a condition against the current version, which may be nil.
func check(o *object, cond api.Condition, bucketName, key string) error {
	fail := func(kind api.Kind) error {
		return &api.Error{Kind: kind, Op: "apitest.check", Bucket: bucketName, Key: key}
	}
	switch {
	case cond.IfNoneMatch && o != nil:
		return fail(api.PreconditionFailed)
	case cond.IfMatch != "" && o == nil:
		return fail(api.NoSuchKey)
	case cond.IfMatch != "" && cond.IfMatch != "*" && cond.IfMatch != o.info.ETag:
		return fail(api.PreconditionFailed)
	}
	return nil
}

func (b *bucket) written(o *object) api.Written {
	return api.Written{
		ETag: o.info.ETag, Size: o.info.Size, LastModified: o.info.LastModified, Checksum: o.info.Checksum, VersionID: b.shown(o),
	}
}

// Head describes an object.
func (m *Memory) Head(ctx context.Context, ref *api.ObjectRef) (*api.ObjectInfo, error) {
	o, err := m.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	info := o.describe(ref.Parts)
	info.ConfigEpoch = m.configEpoch(ref.Bucket)
	return info, nil
}

// find gives a copy of the version that ref names, as clients see it. Versions never change once they are
// stored: what alters one puts another in its place.
func (m *Memory) find(ctx context.Context, ref *api.ObjectRef) (*object, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, ref.Bucket)
	if err != nil {
		return nil, err
	}
	o, err := b.named(ref)
	if err != nil {
		return nil, err
	}
	seen := *o
	seen.info.VersionID = b.shown(o)
	return &seen, nil
}

func (o *object) describe(parts bool) *api.ObjectInfo {
	info := o.info
	if parts {
		info.Parts = o.parts
	}
	return &info
}

// Open opens an object for reading.
func (m *Memory) Open(ctx context.Context, ref *api.ObjectRef) (api.Object, error) {
	o, err := m.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := o.info.Metadata.OpensWith("apitest.Open", ref.CustomerKey); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := &reading{o: o, info: o.describe(ref.Parts)}
	if bucket := m.buckets[ref.Bucket]; bucket != nil {
		r.info.ConfigEpoch = bucket.config.Epoch
	}
	if b, ok := m.breaks[ref.Bucket+"/"+ref.Key]; ok {
		r.fault = &b
	}
	return r, nil
}

// reading is an object that is open.
type reading struct {
	o     *object
	info  *api.ObjectInfo
	fault *readBreak
}

func (r *reading) Info() *api.ObjectInfo { return r.info }

func (r *reading) Close() {}

func (r *reading) WriteRange(ctx context.Context, w io.Writer, off, n int64) error {
	if off < 0 || n < 0 || off > r.info.Size-n {
		return api.Invalid("apitest.WriteRange", "range outside of the object")
	}
	end, base := off+n, int64(0)
	for _, run := range r.o.data {
		first, last := max(off, base), min(end, base+int64(len(run)))
		if first < last {
			if err := ctx.Err(); err != nil {
				return err
			}
			good := last
			if r.fault != nil {
				good = min(last, max(first, r.fault.off))
			}
			if _, err := w.Write(run[first-base : good-base]); err != nil {
				return err
			}
			if good < last {
				return r.fault.err
			}
		}
		base += int64(len(run))
	}
	return nil
}

// Delete removes an object.
func (m *Memory) Delete(ctx context.Context, req *api.DeleteObject) (api.Deleted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, req.Bucket)
	if err != nil {
		return api.Deleted{}, err
	}
	d := m.delete(b, &req.DeleteItem)
	err, d.Err = d.Err, nil
	return d, err
}

// DeleteMany removes objects.
func (m *Memory) DeleteMany(ctx context.Context, bucketName string, items []api.DeleteItem) ([]api.Deleted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, bucketName)
	if err != nil {
		return nil, err
	}
	out := make([]api.Deleted, len(items))
	for i := range items {
		out[i] = m.delete(b, &items[i])
	}
	return out, nil
}

// Copy makes an object that shares the source's bytes.
func (m *Memory) Copy(ctx context.Context, req *api.CopyObject) (api.Written, error) {
	m.mu.RLock()
	_, err := m.bucket(ctx, req.Bucket)
	m.mu.RUnlock()
	if err != nil {
		return api.Written{}, err
	}
	source, err := m.find(ctx, &req.Source)
	if err == nil {
		err = source.info.Metadata.OpensWith("apitest.Copy", req.Source.CustomerKey)
	}
	if err != nil {
		return api.Written{}, err
	}
	if req.Check != nil {
		if err := req.Check(source.describe(false)); err != nil {
			return api.Written{}, err
		}
	}
	o := source.copy(req)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(ctx, req.Bucket, o, req.If)
}

// copy makes the version that a copy of o is: one whole object. It keeps o's ETag unless
// the bytes must be read for a checksum; a composite checksum is then one of all bytes.
func (o *object) copy(req *api.CopyObject) *object {
	c := &object{info: o.info, data: o.data}
	c.info.Key, c.info.PartsCount, c.info.VersionID, c.info.Lock = req.Key, 0, "", req.Lock
	c.info.ACL, c.info.Class = bytes.Clone(req.ACL), req.Class
	if req.ReplaceTags {
		c.info.Tags = sortTags(req.Tags)
	}
	if req.Replace != nil {
		c.info.Metadata = cloneMetadata(*req.Replace)
	}
	c.info.Metadata = sealedMetadata(c.info.Metadata, req.CustomerKey)
	have, want := o.info.Checksum, req.Store
	if want == 0 && have.Type == api.Composite {
		want = have.Algorithm
	}
	if from := req.Source.CustomerKey; from != req.CustomerKey && (from == nil || req.CustomerKey == nil || *from != *req.CustomerKey) {
		c.info.ETag = etagFor(digest(checksum.MD5, o.data), req.CustomerKey)
	}
	if want != 0 && (have.Algorithm != want || have.Type != api.FullObject) {
		sums := digest(want|checksum.MD5, o.data)
		c.info.ETag = etagFor(sums, req.CustomerKey)
		c.info.Checksum = api.Checksum{Algorithm: want, Value: sums.Base64(want)}
	}
	return c
}

// digest computes the digests of data.
func digest(set checksum.Set, data [][]byte) checksum.Sums {
	s := checksum.New(set)
	defer s.Close()
	for _, run := range data {
		s.Start(run)
		s.Wait()
	}
	return s.Sums()
}

// sealedMetadata is metadata with the check of a customer's key, which may be nil.
func sealedMetadata(md api.Metadata, key *api.CustomerKey) api.Metadata {
	md = cloneMetadata(md)
	md.KeyCheck = nil
	if key != nil {
		md.KeyCheck = key.Check()
	}
	return md
}

// etagFor is the MD5, or with a customer's key nothing that tells of the bytes.
func etagFor(sums checksum.Sums, key *api.CustomerKey) string {
	if key == nil {
		return sums.ETag()
	}
	var etag [16]byte
	rand.Read(etag[:])
	return hex.EncodeToString(etag[:])
}

func cloneMetadata(md api.Metadata) api.Metadata {
	md.User = maps.Clone(md.User)
	return md
}
