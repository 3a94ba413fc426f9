package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"shoal/chunker/checksum"
	"shoal/node/api"
	"shoal/node/meta"
)

// listPage turns a group's page into the contract's.
func listPage(p *meta.ListPage) (_ *api.ListPage, err error) {
	out := &api.ListPage{
		Objects: make([]api.ListedObject, len(p.Entries)), CommonPrefixes: make([]string, len(p.Prefixes)), Truncated: p.Truncated, Next: string(p.Next),
	}
	text := textOf(p)
	cut := func(b []byte) (s string) {
		s, text = text[:len(b)], text[len(b):]
		return s
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		out.Objects[i] = api.ListedObject{
			Key: cut(e.Key), Size: int64(e.Size), ETag: cut(e.ETag), LastModified: time.Unix(0, e.Mtime),
			Checksum: checksum.Set(e.ChecksumAlgorithm), Type: api.ChecksumType(e.ChecksumType), Class: e.Class,
		}
		if out.Objects[i].Tags, err = meta.ParseTags(e.Tags); err != nil {
			return nil, err
		}
	}
	for i, prefix := range p.Prefixes {
		out.CommonPrefixes[i] = string(prefix)
	}
	return out, nil
}

// textOf gives the keys and ETags of a page, one after the other: one string takes less than one for each.
func textOf(p *meta.ListPage) string {
	n := 0
	for i := range p.Entries {
		n += len(p.Entries[i].Key) + len(p.Entries[i].ETag)
	}
	var text strings.Builder
	text.Grow(n)
	for i := range p.Entries {
		text.Write(p.Entries[i].Key)
		text.Write(p.Entries[i].ETag)
	}
	return text.String()
}

func partInfo(p *meta.PartInfo) api.PartInfo {
	return api.PartInfo{
		Number: int(p.GetNumber()), Size: int64(p.GetSize()), ETag: hex.EncodeToString(p.GetEtag()), LastModified: time.Unix(0, p.GetMtime()),
		Checksum: checksumOf(p.GetChecksumAlgorithm(), p.GetChecksumType(), p.GetChecksumValue()),
	}
}

// ListParts implements api.Uploads.
func (c *Client) ListParts(ctx context.Context, req *api.ListParts) (*api.PartPage, error) {
	id, err := uploadID(req.UploadID)
	if err != nil {
		return nil, err
	}
	page := new(api.PartPage)
	err = c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		u := &openUpload{b: b, id: id}
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_Parts{Parts: &meta.PartsQuery{
			Upload: u.query(req.UploadRef), After: uint32(req.After), Max: uint32(req.Max),
		}}})
		if err != nil {
			return err
		}
		page.Upload = *uploadInfo(req.Key, a.GetParts().GetUpload())
		page.Upload.UploadID = req.UploadID
		page.Truncated = a.GetParts().GetTruncated()
		for _, p := range a.GetParts().GetParts() {
			page.Parts = append(page.Parts, partInfo(p))
			page.Next = int(p.GetNumber())
		}
		return nil
	})
	return page, err
}

// ListUploads implements api.Uploads.
func (c *Client) ListUploads(ctx context.Context, req *api.ListUploads) (*api.UploadPage, error) {
	var after []byte
	if req.AfterUpload != "" {
		var err error
		if after, err = uploadID(req.AfterUpload); err != nil {
			return nil, api.Invalid("client.ListUploads", "Invalid uploadId marker")
		}
	}
	page := new(api.UploadPage)
	err := c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_Uploads{Uploads: &meta.UploadsQuery{
			Bucket: b.id, Prefix: []byte(req.Prefix), Delimiter: []byte(req.Delimiter), AfterKey: []byte(req.AfterKey),
			AfterUpload: after, Max: uint32(req.Max),
		}}})
		if err != nil {
			return err
		}
		got := a.GetUploads()
		page.Truncated, page.NextKey, page.NextUpload = got.GetTruncated(), string(got.GetNextKey()), hex.EncodeToString(got.GetNextUpload())
		for _, u := range got.GetUploads() {
			page.Uploads = append(page.Uploads, *uploadInfo(string(u.GetKey()), u))
		}
		for _, p := range got.GetPrefixes() {
			page.CommonPrefixes = append(page.CommonPrefixes, string(p))
		}
		return nil
	})
	return page, err
}

// writeBuffer collects what is written to it.
type writeBuffer []byte

func (b *writeBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func (b writeBuffer) reader() io.Reader { return bytes.NewReader(b) }

// expectEmpty reads a body that was declared empty.
func expectEmpty(body io.Reader) error {
	if body == nil {
		return nil
	}
	var one [1]byte
	n, err := io.ReadFull(body, one[:])
	if n > 0 {
		return &api.Error{Kind: api.IncompleteBody, Op: "client.expectEmpty"}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
