package client

import (
	"context"
	"encoding/hex"
	"time"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/shardstore"
)

// Upload IDs are what version IDs are: an upload's ID becomes that of the version it makes.

func uploadID(text string) ([]byte, error) {
	v, err := hex.DecodeString(text)
	if err != nil || len(v) != 16 {
		return nil, &api.Error{Kind: api.NoSuchUpload, Op: "client.uploadID"}
	}
	return v, nil
}

// CreateUpload implements api.Uploads.
func (c *Client) CreateUpload(ctx context.Context, req *api.CreateUpload) (string, error) {
	v := newVersionID()
	cmd := &meta.CreateUpload{
		Key: []byte(req.Key), Upload: v[:], Metadata: metadataOf(req.Metadata, req.CustomerKey),
		ChecksumAlgorithm: uint32(req.Checksum), ChecksumType: uint32(req.Type), Initiator: req.Initiator,
		Lock: lockMessage(&req.Lock), Tags: meta.AppendTags(nil, req.Tags), Acl: req.ACL, StorageClass: uint32(req.Class),
	}
	err := c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		cmd.Bucket = b.id
		_, err := c.propose(ctx, b.group, "client.CreateUpload", &meta.Command{Op: &meta.Command_CreateUpload{CreateUpload: cmd}})
		return err
	})
	return hex.EncodeToString(v[:]), err
}

// openUpload is an upload that was found.
type openUpload struct {
	b    bucketRef
	id   []byte
	meta *meta.Upload
}

func (c *Client) findUpload(ctx context.Context, ref api.UploadRef) (*openUpload, error) {
	id, err := uploadID(ref.UploadID)
	if err != nil {
		return nil, err
	}
	u := &openUpload{id: id}
	err = c.inBucket(ctx, ref.Bucket, func(b bucketRef) error {
		u.b = b
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_Upload{Upload: u.query(ref)}})
		u.meta = a.GetUpload()
		return err
	})
	return u, err
}

func (u *openUpload) query(ref api.UploadRef) *meta.UploadQuery {
	return &meta.UploadQuery{Bucket: u.b.id, Key: []byte(ref.Key), Upload: u.id}
}

func uploadInfo(key string, u *meta.Upload) *api.UploadInfo {
	return &api.UploadInfo{
		Key: key, UploadID: hex.EncodeToString(u.GetUpload()), Initiated: time.Unix(0, u.GetInitiated()), Initiator: u.GetInitiator(),
		Checksum: checksum.Set(u.GetChecksumAlgorithm()), Type: api.ChecksumType(u.GetChecksumType()), Class: u.Class(),
	}
}

// opensWith tells whether a part may be sealed under key, which must be that of the upload.
func (u *openUpload) opensWith(op string, key *api.CustomerKey) error {
	md, err := meta.ParseMetadata(u.meta.GetMetadata())
	if err != nil {
		return err
	}
	return md.OpensWith(op, key)
}

// HeadUpload implements api.Uploads.
func (c *Client) HeadUpload(ctx context.Context, ref api.UploadRef) (*api.UploadInfo, error) {
	u, err := c.findUpload(ctx, ref)
	if err != nil {
		return nil, err
	}
	md, err := meta.ParseMetadata(u.meta.GetMetadata())
	if err != nil {
		return nil, err
	}
	info := uploadInfo(ref.Key, u.meta)
	info.KeyCheck = md.KeyCheck
	return info, nil
}

// PutPart implements api.Uploads.
func (c *Client) PutPart(ctx context.Context, req *api.PutPart) (api.PartInfo, error) {
	if req.Size < 0 || req.Size > api.MaxPutSize {
		return api.PartInfo{}, &api.Error{Kind: api.EntityTooLarge, Op: "client.PutPart"}
	}
	u, err := c.findUpload(ctx, req.UploadRef)
	if err == nil {
		err = u.opensWith("client.PutPart", req.CustomerKey)
	}
	if err != nil {
		return api.PartInfo{}, err
	}
	l, err := c.layoutOf(ctx, u.b.group, u.meta.Class())
	if err != nil {
		return api.PartInfo{}, err
	}
	owner := u.newOwner()
	algorithm := checksum.Set(u.meta.GetChecksumAlgorithm())
	digest := checksum.New(req.Digests | algorithm | checksum.MD5)
	defer digest.Close()
	part := u.newPart(req.UploadRef, req.Number, owner.Stream, req.Size)
	var seg chunker.Segment
	if req.Size > 0 {
		seg, err = c.store(ctx, l, owner, req.Body, req.Size, digest, req.CustomerKey)
	} else {
		err = expectEmpty(req.Body)
	}
	var info api.PartInfo
	if err == nil {
		sums := digest.Sums()
		if err = verify(req.Verify, sums); err == nil {
			part.describe(&sums, algorithm, req.CustomerKey)
			info, err = c.commitPart(ctx, u, part, seg)
		}
	}
	if err != nil {
		c.abandon(l, owner, stripesOf(nil, &seg))
	}
	return info, err
}

func (u *openUpload) newOwner() shardstore.Owner {
	return shardstore.Owner{Group: uint32(u.b.group), Bucket: u.b.id, Version: [16]byte(u.id), Stream: newStream()}
}

// newPart begins the command that commits a part.
func (u *openUpload) newPart(ref api.UploadRef, number int, stream uint64, size int64) *partCommand {
	return &partCommand{&meta.PutPart{
		Bucket: u.b.id, Key: []byte(ref.Key), Upload: u.id, Number: uint32(number), Stream: stream, Size: uint64(size),
	}}
}

type partCommand struct{ *meta.PutPart }

func (p *partCommand) describe(sums *checksum.Sums, algorithm checksum.Set, key *api.CustomerKey) {
	etag := etagOf(sums, key)
	p.Etag = etag[:]
	if algorithm != 0 {
		p.ChecksumAlgorithm, p.ChecksumType = uint32(algorithm), uint32(api.FullObject)
		p.ChecksumValue = []byte(sums.Base64(algorithm))
	}
}

func (c *Client) commitPart(ctx context.Context, u *openUpload, p *partCommand, segs ...chunker.Segment) (api.PartInfo, error) {
	if p.Manifest == nil {
		m := new(chunker.Manifest)
		var err error
		if p.Size > 0 {
			if m, err = chunker.NewManifest(segs...); err != nil {
				return api.PartInfo{}, err
			}
		}
		p.Manifest = m.Append(nil)
	}
	res, err := c.propose(ctx, u.b.group, "client.PutPart", &meta.Command{Op: &meta.Command_PutPart{PutPart: p.PutPart}})
	if err != nil {
		return api.PartInfo{}, err
	}
	return api.PartInfo{
		Number: int(p.Number), Size: int64(p.Size), ETag: hex.EncodeToString(p.Etag), LastModified: time.Unix(0, res.GetPart().GetMtime()),
		Checksum: checksumOf(p.ChecksumAlgorithm, p.ChecksumType, p.ChecksumValue),
	}, nil
}

// CopyPart implements api.Uploads. The part's digests are those of the bytes, so the range is read
// once; no byte is written where the source's chunks will do.
func (c *Client) CopyPart(ctx context.Context, req *api.CopyPart) (api.PartInfo, error) {
	u, err := c.findUpload(ctx, req.UploadRef)
	if err == nil {
		err = u.opensWith("client.CopyPart", req.CustomerKey)
	}
	if err != nil {
		return api.PartInfo{}, err
	}
	src, err := c.open(ctx, &req.Source)
	if err != nil {
		return api.PartInfo{}, err
	}
	defer src.Close()
	if req.Check != nil {
		if err := req.Check(src.info); err != nil {
			return api.PartInfo{}, err
		}
	}
	off, n := int64(0), src.info.Size
	if req.Ranged {
		off, n = req.Off, req.Length
	}
	if off < 0 || n < 0 || off > src.info.Size-n {
		return api.PartInfo{}, api.Invalid("client.CopyPart", "The specified copy range lies outside of the source object.")
	}
	if n > api.MaxPutSize {
		return api.PartInfo{}, &api.Error{Kind: api.EntityTooLarge, Op: "client.CopyPart"}
	}
	return c.copyPart(ctx, req, u, src, off, n)
}

func (c *Client) copyPart(ctx context.Context, req *api.CopyPart, u *openUpload, src *object, off, n int64) (api.PartInfo, error) {
	algorithm := checksum.Set(u.meta.GetChecksumAlgorithm())
	digest := checksum.New(algorithm | checksum.MD5)
	defer digest.Close()
	if src.manifest == nil && n > 0 {
		return c.copySmallPart(ctx, req, u, src, off, n)
	}
	l, err := c.layoutOf(ctx, u.b.group, u.meta.Class())
	if err != nil {
		return api.PartInfo{}, err
	}
	if n > 0 && (!src.shares(l, u.meta.Class()) || !sameKey(req.CustomerKey, src.key)) {
		body, done := src.reader(ctx, off, n)
		defer done()
		return c.PutPart(ctx, &api.PutPart{UploadRef: req.UploadRef, Number: req.Number, Size: n, Body: body, CustomerKey: req.CustomerKey})
	}
	if err := src.WriteRange(ctx, digest, off, n); err != nil {
		return api.PartInfo{}, err
	}
	sums := digest.Sums()
	owner := u.newOwner()
	part := u.newPart(req.UploadRef, req.Number, owner.Stream, n)
	part.describe(&sums, algorithm, req.CustomerKey)
	own := &adopted{owner: owner}
	if n > 0 {
		own, err = c.adopt(ctx, src.layout, src.manifest, off, n, owner)
		part.Manifest = own.manifest
		if len(own.nodes) > 0 && err == nil {
			err = &api.Error{Kind: api.EntityTooLarge, Op: "client.CopyPart", Detail: "The source range has too many chunks for one part; copy a smaller range."}
		}
	}
	var info api.PartInfo
	if err == nil {
		info, err = c.commitPart(ctx, u, part)
	}
	if err != nil {
		own.abandon(c, src.layout)
	}
	return info, err
}

// copySmallPart makes a part from inline content, which has no chunks to share.
func (c *Client) copySmallPart(ctx context.Context, req *api.CopyPart, u *openUpload, src *object, off, n int64) (api.PartInfo, error) {
	var body writeBuffer
	if err := src.WriteRange(ctx, &body, off, n); err != nil {
		return api.PartInfo{}, err
	}
	return c.PutPart(ctx, &api.PutPart{UploadRef: req.UploadRef, Number: req.Number, Size: n, Body: body.reader(), CustomerKey: req.CustomerKey})
}

// AbortUpload implements api.Uploads.
func (c *Client) AbortUpload(ctx context.Context, ref api.UploadRef) error {
	id, err := uploadID(ref.UploadID)
	if err != nil {
		return err
	}
	return c.inBucket(ctx, ref.Bucket, func(b bucketRef) error {
		_, err := c.propose(ctx, b.group, "client.AbortUpload", &meta.Command{Op: &meta.Command_AbortUpload{
			AbortUpload: &meta.AbortUpload{Bucket: b.id, Key: []byte(ref.Key), Upload: id},
		}})
		return err
	})
}
