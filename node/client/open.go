package client

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
)

// found is a version with the node that answered for it, which made its pin. The pin is renewed at
// whichever node leads the group then; one that was made by a renewal is left to end by itself, since
// the readers that renew it there are not counted.
type found struct {
	b      bucketRef
	node   peer.Node
	answer *meta.LookupAnswer
}

func (c *Client) lookup(ctx context.Context, req *api.ObjectRef, body bool) (*found, error) {
	v, err := parseVersion(req.VersionID)
	if err != nil {
		return nil, err
	}
	f := new(found)
	err = c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		q := &meta.LookupQuery{
			Bucket: b.id, Key: []byte(req.Key), Version: v.id, NullVersion: v.null, Seq: v.seq, Body: body, Parts: req.Parts, Versioning: true,
		}
		return c.router.query(ctx, b.group, func(ctx context.Context, n peer.Node) (err error) {
			f.b, f.node = b, n
			f.answer, err = n.Lookup(ctx, b.group, q)
			return err
		})
	})
	if f.answer.GetHead().DeleteMarker() && (err == nil || isMarker(err)) {
		return nil, markerError(req, f.answer)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// isMarker tells whether an error may be about a delete marker, which the answer beside it then is.
func isMarker(err error) bool {
	return api.KindOf(err) == api.NoSuchKey || api.KindOf(err) == api.DeleteMarker
}

// markerError is the answer to reading a delete marker: NoSuchKey for the current version, else
// DeleteMarker (https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html).
func markerError(req *api.ObjectRef, a *meta.LookupAnswer) error {
	kind := api.NoSuchKey
	if req.VersionID != "" {
		kind = api.DeleteMarker
	}
	h := a.GetHead()
	v := headVersion(h).text()
	return &api.Error{Kind: kind, Op: "client.lookup", Bucket: req.Bucket, Key: req.Key, Version: v,
		Marker: &api.Marker{VersionID: v, LastModified: time.Unix(0, h.GetMtime())}}
}

// pinned tells whether the lookup pinned the version: it did if the content lies in shards.
func (f *found) pinned() bool { return len(f.answer.GetManifest()) > 0 }

func (f *found) version() peer.VersionID { return peer.VersionID(f.answer.GetHead().GetVersion()) }

func (f *found) close() {
	if f.pinned() {
		f.node.Unpin(f.b.group, f.version())
	}
}

func (f *found) info(key string) (*api.ObjectInfo, error) {
	h := f.answer.GetHead()
	info := &api.ObjectInfo{
		Key: key, VersionID: headVersion(h).shown(f.answer.GetVersioning() != meta.Versioning_VERSIONING_OFF),
		Size: int64(h.GetSize()), ETag: string(h.GetEtag()), LastModified: time.Unix(0, h.GetMtime()), PartsCount: int(h.GetParts()),
		Checksum:    checksumOf(h.GetChecksumAlgorithm(), h.GetChecksumType(), h.GetChecksumValue()),
		ConfigEpoch: f.answer.GetConfigEpoch(),
	}
	var err error
	if info.Metadata, err = meta.ParseMetadata(h.GetMetadata()); err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "client.info", Key: key, Err: err}
	}
	if info.Tags, err = meta.ParseTags(h.GetTags()); err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "client.info", Key: key, Err: err}
	}
	info.Lock, info.ACL, info.Class = lockOf(h), h.GetAcl(), h.StorageClass()
	for _, p := range f.answer.GetParts() {
		info.Parts = append(info.Parts, partInfo(p))
	}
	return info, nil
}

func checksumOf(algorithm, kind uint32, value []byte) api.Checksum {
	return api.Checksum{Algorithm: checksum.Set(algorithm), Type: api.ChecksumType(kind), Value: string(value)}
}

// Head implements api.Objects.
func (c *Client) Head(ctx context.Context, req *api.ObjectRef) (*api.ObjectInfo, error) {
	f, err := c.lookup(ctx, req, false)
	if err != nil {
		return nil, err
	}
	return f.info(req.Key)
}

// Open implements api.Objects.
func (c *Client) Open(ctx context.Context, req *api.ObjectRef) (api.Object, error) {
	o, err := c.open(ctx, req)
	if err != nil {
		return nil, err
	}
	return o, nil
}

// object is an open object.
type object struct {
	c        *Client
	f        *found
	layout   *peer.Layout
	key      *api.CustomerKey // that the content is sealed under beside the store's
	info     *api.ObjectInfo
	manifest *chunker.Manifest // nil for inline content
	unpin    func()            // ends the renewal of the pin; nil for inline content
	closed   atomic.Bool
}

func (c *Client) open(ctx context.Context, req *api.ObjectRef) (*object, error) {
	f, err := c.lookup(ctx, req, true)
	if err != nil {
		return nil, err
	}
	l, err := c.layoutFor(ctx, f.b.group)
	if err != nil {
		f.close()
		return nil, err
	}
	o := &object{c: c, f: f, layout: l, key: req.CustomerKey}
	if o.info, err = f.info(req.Key); err == nil {
		if err := o.info.Metadata.OpensWith("client.open", req.CustomerKey); err != nil {
			f.close()
			return nil, err
		}
	}
	if err == nil && f.pinned() {
		o.manifest, err = chunker.ParseManifest(f.answer.GetManifest())
		if err == nil && o.manifest.Size != o.info.Size {
			err = chunker.ErrManifest
		}
	}
	if err != nil {
		f.close()
		return nil, &api.Error{Kind: api.Corrupt, Op: "client.open", Bucket: req.Bucket, Key: req.Key, Err: err}
	}
	if f.pinned() {
		o.keepPinned(context.WithoutCancel(ctx)) // ends with Close
	}
	return o, nil
}

// keepPinned renews the pin until Close, however slowly the content is taken. Most objects are
// closed before anything happens here.
func (o *object) keepPinned(ctx context.Context) {
	ctx, o.unpin = context.WithCancel(ctx)
	stop := time.AfterFunc(peer.PinTTL/3, func() { o.renewPins(ctx) })
	cancel := o.unpin
	o.unpin = func() {
		stop.Stop()
		cancel()
	}
}

func (o *object) renewPins(ctx context.Context) {
	t := time.NewTicker(peer.PinTTL / 3)
	defer t.Stop()
	for {
		rctx, cancel := context.WithTimeout(ctx, peer.PinTTL/3)
		err := o.c.router.query(rctx, o.group(), func(ctx context.Context, n peer.Node) error {
			return n.Pin(ctx, o.group(), o.f.version())
		})
		if err != nil && ctx.Err() == nil {
			o.c.logger.Warn("renew the pin of a version that is being read", "err", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Info implements api.Object.
func (o *object) Info() *api.ObjectInfo { return o.info }

// WriteRange implements api.Object.
func (o *object) WriteRange(ctx context.Context, w io.Writer, off, n int64) error {
	if off < 0 || n < 0 || off > o.info.Size-n {
		return api.Invalid("client.WriteRange", "The range lies outside of the object.")
	}
	if n == 0 {
		return nil
	}
	if o.manifest == nil {
		return o.writeInline(ctx, w, off, n)
	}
	d := &download{c: o.c, layout: o.layout, key: o.key}
	defer d.close()
	return d.writeRange(ctx, o.manifest, w, off, n)
}

func (o *object) writeInline(ctx context.Context, w io.Writer, off, n int64) error {
	a := o.f.answer
	dek, err := o.c.unwrap(ctx, a.GetWrappedDek(), o.layout.Cluster[:])
	if err == nil {
		plain := getPlain(int(o.info.Size))
		defer putPlain(plain)
		var text []byte
		if text, err = envelope.NewSealer(under(dek, o.key), envelope.Coarse).OpenChunk(*plain, a.GetInline(), 0, int(o.info.Size)); err == nil {
			_, err := w.Write(text[off : off+n])
			return err
		}
	}
	return &api.Error{Kind: api.Corrupt, Op: "client.writeInline", Key: o.info.Key, Err: err}
}

// Close implements api.Object.
func (o *object) Close() {
	if o.closed.Swap(true) {
		return
	}
	if o.unpin != nil {
		o.unpin()
	}
	o.f.close()
}

// group is where the object's version is kept.
func (o *object) group() consensus.GroupID { return o.f.b.group }
