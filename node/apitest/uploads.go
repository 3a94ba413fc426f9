package apitest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// upload is an open multipart upload.
type upload struct {
	info     api.UploadInfo
	metadata api.Metadata
	tags     []api.Tag
	acl      []byte
	lock     api.Lock
	parts    map[int]*part
}

// part is one stored part.
type part struct {
	info api.PartInfo
	data [][]byte
}

// CreateUpload begins an upload. IDs ascend in the order of their making.
func (m *Memory) CreateUpload(ctx context.Context, req *api.CreateUpload) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, req.Bucket)
	if err != nil {
		return "", err
	}
	if err := b.lockable(req.Lock); err != nil {
		return "", err
	}
	m.uploads++
	id := fmt.Sprintf("%016x%016x", m.uploads, b.info.ID)
	b.uploads[id] = &upload{
		info: api.UploadInfo{
			Key: req.Key, UploadID: id, Initiated: m.Clock().UTC(), Initiator: req.Initiator,
			Checksum: req.Checksum, Type: req.Type, Class: req.Class,
		},
		metadata: sealedMetadata(req.Metadata, req.CustomerKey), tags: sortTags(req.Tags), acl: bytes.Clone(req.ACL), lock: req.Lock,
		parts: make(map[int]*part),
	}
	return id, nil
}

// upload finds an open upload. The caller holds the lock.
func (m *Memory) upload(ctx context.Context, ref api.UploadRef) (*bucket, *upload, error) {
	b, err := m.bucket(ctx, ref.Bucket)
	if err != nil {
		return nil, nil, err
	}
	u := b.uploads[ref.UploadID]
	if u == nil || u.info.Key != ref.Key {
		return nil, nil, &api.Error{Kind: api.NoSuchUpload, Op: "apitest.upload", Bucket: ref.Bucket, Key: ref.Key}
	}
	return b, u, nil
}

// HeadUpload describes an upload.
func (m *Memory) HeadUpload(ctx context.Context, ref api.UploadRef) (*api.UploadInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, u, err := m.upload(ctx, ref)
	if err != nil {
		return nil, err
	}
	info := u.info
	info.KeyCheck = u.metadata.KeyCheck
	return &info, nil
}

// keyedUpload is HeadUpload of an upload whose parts are sealed under key.
func (m *Memory) keyedUpload(ctx context.Context, ref api.UploadRef, key *api.CustomerKey) (*api.UploadInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, u, err := m.upload(ctx, ref)
	if err == nil {
		err = u.metadata.OpensWith("apitest.upload", key)
	}
	if err != nil {
		return nil, err
	}
	info := u.info
	return &info, nil
}

// AbortUpload ends an upload.
func (m *Memory) AbortUpload(ctx context.Context, ref api.UploadRef) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, _, err := m.upload(ctx, ref)
	if err != nil {
		return err
	}
	delete(b.uploads, ref.UploadID)
	return nil
}

// PutPart stores a part.
func (m *Memory) PutPart(ctx context.Context, req *api.PutPart) (api.PartInfo, error) {
	up, err := m.keyedUpload(ctx, req.UploadRef, req.CustomerKey)
	if err != nil {
		return api.PartInfo{}, err
	}
	data, sums, err := receive(req.Body, req.Size, req.Digests|up.Checksum, req.Verify)
	if err != nil {
		return api.PartInfo{}, err
	}
	return m.putPart(ctx, req.UploadRef, req.Number, [][]byte{data}, sums, req.CustomerKey)
}

// putPart makes data the part of that number.
func (m *Memory) putPart(ctx context.Context, ref api.UploadRef, number int, data [][]byte, sums checksum.Sums, key *api.CustomerKey) (api.PartInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, u, err := m.upload(ctx, ref)
	if err != nil {
		return api.PartInfo{}, err
	}
	if number < 1 || number > api.MaxPartNumber {
		return api.PartInfo{}, api.Invalid("apitest.putPart", "part number out of range")
	}
	p := &part{data: data, info: api.PartInfo{Number: number, ETag: etagFor(sums, key), LastModified: m.Clock().UTC()}}
	for _, run := range data {
		p.info.Size += int64(len(run))
	}
	if a := u.info.Checksum; a != 0 {
		p.info.Checksum = api.Checksum{Algorithm: a, Type: u.info.Type, Value: sums.Base64(a)}
	}
	u.parts[number] = p
	return p.info, nil
}

// CopyPart makes a part from a range of an object.
func (m *Memory) CopyPart(ctx context.Context, req *api.CopyPart) (api.PartInfo, error) {
	up, err := m.keyedUpload(ctx, req.UploadRef, req.CustomerKey)
	if err != nil {
		return api.PartInfo{}, err
	}
	source, err := m.find(ctx, &req.Source)
	if err == nil {
		err = source.info.Metadata.OpensWith("apitest.CopyPart", req.Source.CustomerKey)
	}
	if err != nil {
		return api.PartInfo{}, err
	}
	if req.Check != nil {
		if err := req.Check(source.describe(false)); err != nil {
			return api.PartInfo{}, err
		}
	}
	off, n := req.Off, req.Length
	if !req.Ranged {
		off, n = 0, source.info.Size
	}
	if off < 0 || n < 0 || off > source.info.Size-n {
		return api.PartInfo{}, api.Invalid("apitest.CopyPart", "range outside of the source")
	}
	if n > api.MaxPutSize {
		return api.PartInfo{}, &api.Error{Kind: api.EntityTooLarge, Op: "apitest.CopyPart"}
	}
	data := cut(source.data, off, n)
	return m.putPart(ctx, req.UploadRef, req.Number, data, digest(checksum.MD5|up.Checksum, data), req.CustomerKey)
}

// cut gives the n bytes from off of data, sharing them.
func cut(data [][]byte, off, n int64) [][]byte {
	var out [][]byte
	for _, run := range data {
		size := int64(len(run))
		if off >= size {
			off -= size
			continue
		}
		take := min(n, size-off)
		if take > 0 {
			out = append(out, run[off:off+take])
		}
		off, n = 0, n-take
	}
	return out
}

// ListParts lists parts by number.
func (m *Memory) ListParts(ctx context.Context, req *api.ListParts) (*api.PartPage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, u, err := m.upload(ctx, req.UploadRef)
	if err != nil {
		return nil, err
	}
	page := &api.PartPage{Upload: u.info}
	for n, p := range u.parts {
		if n > req.After {
			page.Parts = append(page.Parts, p.info)
		}
	}
	slices.SortFunc(page.Parts, func(a, b api.PartInfo) int { return a.Number - b.Number })
	if len(page.Parts) > req.Max {
		page.Parts, page.Truncated = page.Parts[:req.Max], req.Max > 0
	}
	if len(page.Parts) > 0 {
		page.Next = page.Parts[len(page.Parts)-1].Number
	}
	return page, nil
}

// ListUploads lists uploads by key, then in the order in which they were begun.
func (m *Memory) ListUploads(ctx context.Context, req *api.ListUploads) (*api.UploadPage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, req.Bucket)
	if err != nil {
		return nil, err
	}
	var open []api.UploadInfo
	for _, u := range b.uploads {
		if strings.HasPrefix(u.info.Key, req.Prefix) {
			open = append(open, u.info)
		}
	}
	slices.SortFunc(open, func(x, y api.UploadInfo) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.UploadID, y.UploadID))
	})
	page := new(api.UploadPage)
	for _, u := range open {
		name, common := rollUp(u.Key, req.Prefix, req.Delimiter)
		if common && (name <= req.AfterKey || final(page.CommonPrefixes) == name) {
			continue
		}
		if !common && (u.Key < req.AfterKey || u.Key == req.AfterKey && (req.AfterUpload == "" || u.UploadID <= req.AfterUpload)) {
			continue
		}
		if len(page.Uploads)+len(page.CommonPrefixes) == req.Max {
			page.Truncated = req.Max > 0
			break
		}
		if common {
			page.CommonPrefixes = append(page.CommonPrefixes, name)
			page.NextKey, page.NextUpload = name, ""
		} else {
			page.Uploads = append(page.Uploads, u)
			page.NextKey, page.NextUpload = u.Key, u.UploadID
		}
	}
	if !page.Truncated {
		page.NextKey, page.NextUpload = "", ""
	}
	return page, nil
}

// final is the last of list, or "".
func final(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

// CompleteUpload makes the object.
func (m *Memory) CompleteUpload(ctx context.Context, req *api.CompleteUpload) (api.Written, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, u, err := m.upload(ctx, req.UploadRef)
	if err != nil {
		return m.completed(req, err)
	}
	parts, err := u.chosen(req)
	if err != nil {
		return api.Written{}, err
	}
	o, err := u.assemble(parts)
	if err != nil {
		return api.Written{}, err
	}
	if req.Size >= 0 && req.Size != o.info.Size {
		return api.Written{}, api.Invalid("apitest.CompleteUpload", fmt.Sprintf("The object has %d bytes, not %d.", o.info.Size, req.Size))
	}
	if req.TypeGiven && req.Checksum.Type != u.info.Type {
		return api.Written{}, api.Invalid("apitest.CompleteUpload", "The upload has another checksum type.")
	}
	bare, _, _ := strings.Cut(o.info.Checksum.Value, "-") // the number of parts may be left out
	if want := req.Checksum; want.Value != "" &&
		(want.Algorithm != o.info.Checksum.Algorithm || want.Value != o.info.Checksum.Value && want.Value != bare) {
		return api.Written{}, &api.Error{Kind: api.BadDigest, Op: "apitest.CompleteUpload"}
	}
	o.madeBy = req.UploadID
	w, err := m.commit(ctx, req.Bucket, o, req.If)
	if err == nil {
		delete(b.uploads, req.UploadID)
	}
	return w, err
}

// completed answers a repeated completion while its version exists.
func (m *Memory) completed(req *api.CompleteUpload, noUpload error) (api.Written, error) {
	if b := m.buckets[req.Bucket]; b != nil {
		for _, o := range b.objects[req.Key] {
			if o.madeBy == req.UploadID && req.UploadID != "" {
				return b.written(o), nil
			}
		}
	}
	return api.Written{}, noUpload
}

// chosen gives the parts that the client names, in order.
func (u *upload) chosen(req *api.CompleteUpload) ([]*part, error) {
	fail := func(kind api.Kind, detail string) error {
		return &api.Error{Kind: kind, Op: "apitest.CompleteUpload", Bucket: req.Bucket, Key: req.Key, Detail: detail}
	}
	var out []*part
	for i, want := range req.Parts {
		if i > 0 && want.Number <= req.Parts[i-1].Number {
			return nil, fail(api.InvalidPartOrder, "")
		}
		p := u.parts[want.Number]
		if p == nil || p.info.ETag != want.ETag {
			return nil, fail(api.InvalidPart, "")
		}
		if v := want.Checksum; v.Value != "" && (v.Algorithm != p.info.Checksum.Algorithm || v.Value != p.info.Checksum.Value) {
			return nil, fail(api.InvalidPart, "")
		}
		out = append(out, p)
	}
	for _, p := range out[:max(len(out)-1, 0)] {
		if p.info.Size < api.MinPartSize {
			return nil, fail(api.EntityTooSmall, "")
		}
	}
	if len(out) == 0 {
		return nil, fail(api.InvalidArgument, "no parts")
	}
	return out, nil
}

// assemble makes the object of the parts.
func (u *upload) assemble(parts []*part) (*object, error) {
	o := &object{info: api.ObjectInfo{Key: u.info.Key, Metadata: u.metadata, PartsCount: len(parts), Tags: u.tags, ACL: u.acl, Lock: u.lock, Class: u.info.Class}}
	md5s := make([][16]byte, len(parts))
	digests := make([][]byte, len(parts))
	a := u.info.Checksum
	for i, p := range parts {
		if _, err := hex.Decode(md5s[i][:], []byte(p.info.ETag)); err != nil {
			return nil, err
		}
		if a != 0 {
			digest, err := a.ParseBase64(p.info.Checksum.Value)
			if err != nil {
				return nil, err
			}
			digests[i] = digest
		}
		o.parts = append(o.parts, p.info)
		o.data = append(o.data, p.data...)
		o.info.Size += p.info.Size
	}
	o.info.ETag = checksum.MultipartETag(md5s)
	if a == 0 {
		return o, nil
	}
	value, err := combine(a, u.info.Type, digests, parts)
	o.info.Checksum = api.Checksum{Algorithm: a, Type: u.info.Type, Value: value}
	return o, err
}

// combine computes the object's checksum from those of its parts.
func combine(a checksum.Set, kind api.ChecksumType, digests [][]byte, parts []*part) (string, error) {
	if kind == api.Composite {
		return checksum.Composite(a, digests)
	}
	sum := digests[0]
	for i := 1; i < len(digests); i++ {
		var err error
		if sum, err = checksum.Combine(a, sum, digests[i], parts[i].info.Size); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString(sum), nil
}
