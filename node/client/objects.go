package client

import (
	"context"
	"encoding/hex"
	"io"
	"time"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// Put implements api.Objects.
func (c *Client) Put(ctx context.Context, req *api.PutObject) (api.Written, error) {
	if req.Size < 0 || req.Size > api.MaxPutSize {
		return api.Written{}, &api.Error{Kind: api.EntityTooLarge, Op: "client.Put"}
	}
	l, err := c.getLayout(ctx)
	if err != nil {
		return api.Written{}, err
	}
	v := newVersionID()
	put := &meta.PutVersion{
		Key: []byte(req.Key), Version: v[:], Size: uint64(req.Size), Metadata: metadataOf(req.Metadata, req.CustomerKey),
		IfNoneMatch: req.If.IfNoneMatch, IfMatch: []byte(req.If.IfMatch), Tags: meta.AppendTags(nil, req.Tags), Acl: req.ACL, Lock: lockMessage(&req.Lock),
		StorageClass: uint32(req.Class),
	}
	if req.Size <= int64(l.InlineMax) {
		return c.putInline(ctx, l, req, put)
	}
	return c.putChunks(ctx, req, put, v)
}

// describe fills in what the digests of the body say.
func describe(put *meta.PutVersion, sums *checksum.Sums, store checksum.Set, key *api.CustomerKey) {
	etag := etagOf(sums, key)
	put.Etag = hex.AppendEncode(nil, etag[:])
	if store != 0 {
		put.ChecksumAlgorithm, put.ChecksumType = uint32(store), uint32(api.FullObject)
		put.ChecksumValue = []byte(sums.Base64(store))
	}
}

func verify(f func(checksum.Sums) error, sums checksum.Sums) error {
	if f == nil {
		return nil
	}
	return f(sums)
}

func (c *Client) putInline(ctx context.Context, l *peer.Layout, req *api.PutObject, put *meta.PutVersion) (api.Written, error) {
	plain, sums, err := readInline(req, int(req.Size))
	if err != nil {
		return api.Written{}, err
	}
	defer putPlain(plain)
	if err := verify(req.Verify, sums); err != nil {
		return api.Written{}, err
	}
	describe(put, &sums, req.Store, req.CustomerKey)
	if err := c.sealInline(ctx, l, put, *plain, req.CustomerKey); err != nil {
		return api.Written{}, err
	}
	var w api.Written
	err = c.inBucket(ctx, req.Bucket, func(b bucketRef) (err error) {
		w, err = c.commit(ctx, b, put)
		return err
	})
	return w, err
}

// readInline reads a small body whole, with its digests.
func readInline(req *api.PutObject, size int) (*[]byte, checksum.Sums, error) {
	plain := getPlain(size)
	_, err := chunker.NewPieces(req.Body, req.Size, chunker.ChunkSize).Fill(*plain)
	if err != nil && !(size == 0 && err == io.EOF) {
		putPlain(plain)
		return nil, checksum.Sums{}, bodyError(err)
	}
	digest := checksum.New(req.Digests | req.Store | checksum.MD5)
	digest.Write(*plain)
	return plain, digest.Sums(), nil
}

func (c *Client) sealInline(ctx context.Context, l *peer.Layout, put *meta.PutVersion, plain []byte, key *api.CustomerKey) error {
	kek, err := c.kek(ctx, 0)
	if err != nil {
		return err
	}
	dek := envelope.NewDEK()
	put.WrappedDek = envelope.Wrap(kek, dek, l.Cluster[:])
	put.Inline = make([]byte, envelope.Coarse.SealedLen(len(plain)))
	envelope.NewSealer(under(dek, key), envelope.Coarse).Seal(put.Inline, plain, 0)
	return nil
}

func (c *Client) putChunks(ctx context.Context, req *api.PutObject, put *meta.PutVersion, v peer.VersionID) (api.Written, error) {
	var b bucketRef
	err := c.inBucket(ctx, req.Bucket, func(found bucketRef) error {
		b = found
		return c.checkWritable(ctx, b)
	})
	if err != nil {
		return api.Written{}, err
	}
	l, err := c.layoutOf(ctx, b.group, req.Class)
	if err != nil {
		return api.Written{}, err
	}
	owner := shardstore.Owner{Group: uint32(b.group), Bucket: b.id, Version: v}
	digest := checksum.New(req.Digests | req.Store | checksum.MD5)
	defer digest.Close()
	seg, err := c.store(ctx, l, owner, req.Body, req.Size, digest, req.CustomerKey)
	if err != nil {
		c.abandon(l, owner, stripesOf(nil, &seg))
		return api.Written{}, err
	}
	sums := digest.Sums()
	w, err := c.commitChunks(ctx, b, req, put, seg, sums)
	if err != nil {
		c.abandon(l, owner, stripesOf(nil, &seg))
	}
	return w, err
}

func (c *Client) commitChunks(ctx context.Context, b bucketRef, req *api.PutObject, put *meta.PutVersion, seg chunker.Segment, sums checksum.Sums) (api.Written, error) {
	if err := verify(req.Verify, sums); err != nil {
		return api.Written{}, err
	}
	m, err := chunker.NewManifest(seg)
	if err != nil {
		return api.Written{}, err
	}
	describe(put, &sums, req.Store, req.CustomerKey)
	put.Manifest = m.Append(nil)
	return c.commit(ctx, b, put)
}

// storeMax is how long the writing of one stream may take. Its group refuses an owner for a week that
// was condemned because its shards were old; a stream that takes longer than that could commit after its
// first shards were given back.
const storeMax = 6 * 24 * time.Hour

// store writes a stream's bytes as chunks of an owner. The segment names what was sent to drives
// also when an error comes with it.
func (c *Client) store(ctx context.Context, l *peer.Layout, owner shardstore.Owner, body io.Reader, size int64, digest *checksum.Stream, key *api.CustomerKey) (chunker.Segment, error) {
	u, err := c.newUpload(ctx, l, owner, size, key)
	if err != nil {
		return chunker.Segment{}, err
	}
	begun := time.Now()
	err = u.write(ctx, body, size, digest)
	digest.Wait() // before its memory goes
	u.release()
	if err == nil && time.Since(begun) > storeMax {
		err = &api.Error{Kind: api.UploadExpired, Op: "client.store"}
	}
	if err == nil {
		for _, id := range u.short {
			c.healWritten(l, stripeRef{id, l.Profile.Width(), int(l.Profile.K)})
		}
	}
	return u.seg, err
}

// commit proposes a version.
func (c *Client) commit(ctx context.Context, b bucketRef, put *meta.PutVersion) (api.Written, error) {
	put.Bucket = b.id
	res, err := c.propose(ctx, b.group, "client.commit", &meta.Command{Op: &meta.Command_PutVersion{PutVersion: put}})
	if err != nil {
		return api.Written{}, err
	}
	return written(res.GetWritten()), nil
}

func written(w *meta.Written) api.Written {
	return api.Written{
		ETag: string(w.GetEtag()), VersionID: versionName{w.GetSeq(), w.GetVersion(), w.GetNullVersion()}.shown(w.GetVersioning() != meta.Versioning_VERSIONING_OFF),
		Size: int64(w.GetSize()), LastModified: time.Unix(0, w.GetMtime()),
		Checksum: api.Checksum{
			Algorithm: checksum.Set(w.GetChecksumAlgorithm()), Type: api.ChecksumType(w.GetChecksumType()), Value: string(w.GetChecksumValue()),
		},
		ConfigEpoch: w.GetConfigEpoch(),
	}
}

// Delete implements api.Objects.
func (c *Client) Delete(ctx context.Context, req *api.DeleteObject) (api.Deleted, error) {
	ds, err := c.DeleteMany(ctx, req.Bucket, []api.DeleteItem{req.DeleteItem})
	if err != nil {
		return api.Deleted{}, err
	}
	return ds[0], ds[0].Err
}

// DeleteMany implements api.Objects.
func (c *Client) DeleteMany(ctx context.Context, bucket string, items []api.DeleteItem) ([]api.Deleted, error) {
	del := &meta.DeleteObjects{Items: make([]*meta.DeleteItem, 0, len(items))}
	out := make([]api.Deleted, len(items))
	var at []int // of the items that are proposed
	for i := range items {
		item, err := deleteItem(&items[i])
		if err != nil {
			out[i].Err = err
			continue
		}
		del.Items, at = append(del.Items, item), append(at, i)
	}
	err := c.inBucket(ctx, bucket, func(b bucketRef) error {
		if len(del.Items) == 0 {
			return c.checkLive(ctx, b)
		}
		del.Bucket = b.id
		res, err := c.propose(ctx, b.group, "client.Delete", &meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: del}})
		if err != nil {
			return err
		}
		for j, d := range res.GetDeleted().GetItems() {
			out[at[j]] = deleted(d, &items[at[j]])
		}
		return nil
	})
	return out, err
}

func deleteItem(in *api.DeleteItem) (*meta.DeleteItem, error) {
	v, err := parseVersion(in.VersionID)
	item := &meta.DeleteItem{
		Key: []byte(in.Key), IfMatch: []byte(in.If.IfMatch), Version: v.id, NullVersion: v.null, Seq: v.seq, Bypass: in.Bypass, Noncurrent: in.Noncurrent,
	}
	if in.IfSize != nil {
		size := uint64(*in.IfSize)
		item.IfSize = &size
	}
	if in.IfModified != nil {
		at := in.IfModified.Unix()
		item.IfModified = &at
	}
	return item, err
}

func deleted(d *meta.Deleted, item *api.DeleteItem) api.Deleted {
	out := api.Deleted{DeleteMarker: d.DeleteMarker}
	if kind, ok := api.KindFromWire(d.Code); d.Code != 0 {
		if !ok {
			kind = api.Internal
		}
		out.Err = &api.Error{Kind: kind, Op: "client.Delete", Key: item.Key, Detail: d.Detail}
	}
	if d.Versioned || item.VersionID != "" {
		out.VersionID = versionName{d.Seq, d.Version, d.NullVersion}.text()
		if out.VersionID == "" || item.VersionID != "" {
			out.VersionID = item.VersionID
		}
	}
	return out
}

// List implements api.Objects.
func (c *Client) List(ctx context.Context, req *api.ListObjects) (*api.ListPage, error) {
	var page *meta.ListPage
	err := c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		q := &meta.ListQuery{
			Bucket: b.id, Prefix: []byte(req.Prefix), Delimiter: []byte(req.Delimiter), After: []byte(req.After), Max: uint32(max(req.Max, 0)),
			Tags: req.Tags,
		}
		return c.router.query(ctx, b.group, func(ctx context.Context, n peer.Node) (err error) {
			page, err = n.List(ctx, b.group, q)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return listPage(page)
}
