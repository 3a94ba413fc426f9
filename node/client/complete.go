package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/shardstore"
)

// CompleteUpload implements api.Uploads. What the object is made of is read from the group, built
// here, and proposed; the state machine checks that no part has changed meanwhile.
func (c *Client) CompleteUpload(ctx context.Context, req *api.CompleteUpload) (api.Written, error) {
	cmd, err := completeCommand(req)
	if err != nil {
		return api.Written{}, err
	}
	u, err := c.findUpload(ctx, req.UploadRef)
	if api.KindOf(err) == api.NoSuchUpload && err != nil && len(cmd.Upload) == 16 {
		return c.completeAgain(ctx, req, cmd)
	}
	if err != nil {
		return api.Written{}, err
	}
	for attempt := 1; ; attempt++ {
		w, err := c.completeOnce(ctx, u, req, cmd)
		if err == nil || api.KindOf(err) != api.ConditionalConflict || attempt == completeAttempts {
			return w, err
		}
	}
}

// completeAttempts is how often parts are read that were replaced or recoded before the object was made of them. Once that was found
// none is recoded for a while, so further conflicts are a client's that replaces parts while it completes.
const completeAttempts = 4

// completeOnce makes the object of what the parts are now, and gives ConditionalConflict when one is in other shards at the commit.
func (c *Client) completeOnce(ctx context.Context, u *openUpload, req *api.CompleteUpload, cmd *meta.CompleteUpload) (api.Written, error) {
	l, err := c.layoutOf(ctx, u.b.group, u.meta.Class())
	if err != nil {
		return api.Written{}, err
	}
	parts, err := c.completedParts(ctx, u, req, cmd)
	if err != nil {
		return api.Written{}, err
	}
	owner := shardstore.Owner{Group: uint32(u.b.group), Bucket: u.b.id, Version: [16]byte(u.id)}
	text, nodes, err := c.storeManifest(ctx, l, parts, owner)
	if err == nil {
		cmd.Bucket, cmd.Manifest, cmd.Size, cmd.Streams = u.b.id, text, uint64(parts.Size), nil
		for _, n := range nodes {
			cmd.Streams = append(cmd.Streams, n.owner.Stream)
		}
		var w api.Written
		if w, err = c.proposeComplete(ctx, u.b, cmd); err == nil {
			return w, nil
		}
	}
	for _, n := range nodes {
		c.abandon(l, n.owner, n.stripes)
	}
	return api.Written{}, err
}

func (c *Client) proposeComplete(ctx context.Context, b bucketRef, cmd *meta.CompleteUpload) (api.Written, error) {
	cmd.Bucket = b.id
	res, err := c.propose(ctx, b.group, "client.CompleteUpload", &meta.Command{Op: &meta.Command_CompleteUpload{CompleteUpload: cmd}})
	if err != nil {
		return api.Written{}, err
	}
	return written(res.GetWritten()), nil
}

// completeAgain gives the first answer to a completion that is repeated, or NoSuchUpload.
func (c *Client) completeAgain(ctx context.Context, req *api.CompleteUpload, cmd *meta.CompleteUpload) (api.Written, error) {
	var w api.Written
	cmd.Manifest = new(chunker.Manifest).Append(nil) // no upload is open that it could be for
	md5s := make([][16]byte, len(cmd.Parts))
	for i, p := range cmd.Parts {
		md5s[i] = [16]byte(p.Etag)
	}
	cmd.Etag = []byte(checksum.MultipartETag(md5s))
	err := c.inBucket(ctx, req.Bucket, func(b bucketRef) (err error) {
		w, err = c.proposeComplete(ctx, b, cmd)
		return err
	})
	return w, err
}

func completeCommand(req *api.CompleteUpload) (*meta.CompleteUpload, error) {
	id, err := uploadID(req.UploadID)
	if err != nil {
		return nil, err
	}
	cmd := &meta.CompleteUpload{Key: []byte(req.Key), Upload: id, IfNoneMatch: req.If.IfNoneMatch, IfMatch: []byte(req.If.IfMatch)}
	last := 0
	for i := range req.Parts {
		p := &req.Parts[i]
		if p.Number <= last {
			return nil, &api.Error{Kind: api.InvalidPartOrder, Op: "client.CompleteUpload"}
		}
		last = p.Number
		etag, ok := etagBytes(strings.ToLower(p.ETag))
		if !ok {
			return nil, &api.Error{Kind: api.InvalidPart, Op: "client.CompleteUpload"}
		}
		cmd.Parts = append(cmd.Parts, &meta.CompletePart{Number: uint32(p.Number), Etag: etag, ChecksumValue: []byte(p.Checksum.Value)})
	}
	if len(cmd.Parts) == 0 {
		return nil, api.Invalid("client.CompleteUpload", "You must specify at least one part")
	}
	return cmd, nil
}

// completedParts reads the parts named, and fills in their streams and the object's digests.
func (c *Client) completedParts(ctx context.Context, u *openUpload, req *api.CompleteUpload, cmd *meta.CompleteUpload) (*chunker.Manifest, error) {
	numbers := make([]uint32, len(cmd.Parts))
	for i, p := range cmd.Parts {
		numbers[i] = p.Number
	}
	var manifests []*chunker.Manifest
	var infos []*meta.PartInfo
	for len(infos) < len(numbers) {
		a, err := c.query(ctx, u.b.group, &meta.Query{Q: &meta.Query_PartManifests{PartManifests: &meta.PartManifestsQuery{
			Upload: u.query(req.UploadRef), Numbers: numbers[len(infos):],
		}}})
		if err != nil {
			return nil, err
		}
		got := a.GetPartManifests().GetParts()
		if len(got) == 0 {
			return nil, &api.Error{Kind: api.InvalidPart, Op: "client.CompleteUpload"}
		}
		for _, p := range got {
			m, err := chunker.ParseManifest(p.GetManifest())
			if err != nil {
				return nil, &api.Error{Kind: api.Corrupt, Op: "client.CompleteUpload", Err: err}
			}
			manifests, infos = append(manifests, m), append(infos, p.GetInfo())
		}
	}
	if err := fillDigests(u, req, cmd, infos); err != nil {
		return nil, err
	}
	whole, err := chunker.Concat(manifests...)
	if err != nil {
		return nil, &api.Error{Kind: api.EntityTooLarge, Op: "client.CompleteUpload", Err: err}
	}
	if req.Size >= 0 && req.Size != whole.Size {
		return nil, api.Invalid("client.CompleteUpload", "The provided 'x-amz-mp-object-size' header does not match what was computed.")
	}
	return whole, nil
}

// fillDigests computes ETag and checksum of the object from those of its parts.
func fillDigests(u *openUpload, req *api.CompleteUpload, cmd *meta.CompleteUpload, infos []*meta.PartInfo) error {
	md5s := make([][16]byte, len(infos))
	for i, p := range infos {
		if len(p.GetEtag()) != 16 {
			return &api.Error{Kind: api.Corrupt, Op: "client.CompleteUpload", Err: fmt.Errorf("part %d has no MD5", p.GetNumber())}
		}
		md5s[i] = [16]byte(p.GetEtag())
		cmd.Parts[i].Stream = p.GetStream()
	}
	cmd.Etag = []byte(checksum.MultipartETag(md5s))
	algorithm, kind := checksum.Set(u.meta.GetChecksumAlgorithm()), api.ChecksumType(u.meta.GetChecksumType())
	if req.TypeGiven && req.Checksum.Type != kind {
		return api.Invalid("client.CompleteUpload", "The checksum type does not match that of the upload.")
	}
	if algorithm == 0 {
		return nil
	}
	value, err := objectChecksum(algorithm, kind, infos)
	if err != nil {
		return err
	}
	if req.Checksum.Value != "" && (req.Checksum.Algorithm != algorithm || !sameChecksum(req.Checksum.Value, value)) {
		return &api.Error{Kind: api.BadDigest, Op: "client.CompleteUpload"}
	}
	cmd.ChecksumAlgorithm, cmd.ChecksumType, cmd.ChecksumValue = uint32(algorithm), uint32(kind), []byte(value)
	return nil
}

// sameChecksum compares checksums; the number of parts behind a composite one may be left out.
func sameChecksum(sent, computed string) bool {
	bare, _, _ := strings.Cut(computed, "-")
	return sent == computed || sent == bare
}

func objectChecksum(algorithm checksum.Set, kind api.ChecksumType, infos []*meta.PartInfo) (string, error) {
	digests := make([][]byte, len(infos))
	for i, p := range infos {
		var err error
		if digests[i], err = algorithm.ParseBase64(string(p.GetChecksumValue())); err != nil {
			return "", &api.Error{Kind: api.Corrupt, Op: "client.CompleteUpload", Err: err}
		}
	}
	if kind == api.Composite {
		return checksum.Composite(algorithm, digests)
	}
	whole := digests[0]
	for i := 1; i < len(digests); i++ {
		var err error
		if whole, err = checksum.Combine(algorithm, whole, digests[i], int64(infos[i].GetSize())); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString(whole), nil
}
