package meta

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

// completeUpload makes a version from the parts of an upload. Repeated while that version lives, or is
// remembered, it gives the same answer.
func (t *tx) completeUpload(c *CompleteUpload) (*Result, error) {
	if r := checkComplete(c); r != nil {
		return r, nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	id, o, r, err := t.openUpload(c.Bucket, c.Key, c.Upload)
	if err != nil {
		return nil, err
	}
	if r != nil {
		if again, err := t.completed(s, c, id, o); again != nil || err != nil {
			return again, err
		}
		return r, nil
	}
	parts, err := t.parts(id)
	if err != nil {
		return nil, err
	}
	used, r := choose(c, parts)
	if r != nil && r.Code == codeOf(api.ConditionalConflict) {
		return r, t.holdParts(o)
	}
	if r != nil {
		return r, nil
	}
	if r, err := t.streamsOpen(id, c.Streams); r != nil || err != nil {
		return r, err
	}
	cur, err := t.currentHead(s, c.Key)
	if err != nil {
		return nil, err
	}
	if r := condition(cur, c.IfNoneMatch, c.IfMatch); r != nil {
		return r, nil
	}
	if taken, err := t.taken(s, c.Key, cur, id); taken || err != nil {
		return invalid("The version ID is in use."), err
	}
	if r, err := t.replaceable(s, c.Key, cur); r != nil || err != nil {
		return r, err
	}
	if r, err := t.withinQuota(s, c.Key, cur, c.Size, 0); r != nil || err != nil {
		return r, err
	}
	return t.storeCompleted(s, c, cur, &completion{id: id, owner: o, parts: parts, used: used})
}

// completion is an upload about to become a version.
type completion struct {
	id    versionID
	owner *OwnerRecord
	parts []*PartInfo     // all, by number
	used  map[uint32]bool // numbers of those listed
}

// completed answers a repeat: the version made by the upload is the one asked for.
func (t *tx) completed(s *bucketState, c *CompleteUpload, id versionID, o *OwnerRecord) (*Result, error) {
	if o.GetLived() != nil {
		return s.lived(o, c.Key, c.named(), uint32(len(c.Parts))), nil
	}
	if o == nil || o.State != OwnerRecord_LIVE || o.Bucket != s.id || !bytes.Equal(o.Key, c.Key) {
		return nil, nil
	}
	h, err := t.currentHead(s, c.Key)
	if err != nil {
		return nil, err
	}
	if h == nil || h.version != id {
		if h, err = t.noncurrent(s, c.Key, id); err != nil {
			return nil, err
		}
	}
	if h == nil || h.parts != uint32(len(c.Parts)) || !bytes.Equal(h.etag, c.Etag) {
		return nil, nil
	}
	return written(s, h), nil
}

// checkComplete refuses a command that cannot mean anything.
func checkComplete(c *CompleteUpload) *Result {
	switch {
	case len(c.Parts) == 0 || len(c.Parts) > api.MaxPartNumber:
		return invalid("An object is made from 1 to 10,000 parts.")
	case len(c.Manifest) == 0 || len(c.Manifest) > MaxManifestBytes:
		return invalid("The manifest is missing or too long.")
	case len(c.Streams) > streamsMax:
		return invalid("Too many streams.")
	case c.Size > api.MaxObjectSize:
		return refuse(api.EntityTooLarge, "")
	}
	last := uint32(0)
	for _, p := range c.Parts {
		if p.GetNumber() <= last {
			return refuse(api.InvalidPartOrder, "")
		}
		last = p.Number
	}
	return checkTexts(c.Etag, c.ChecksumValue, nil)
}

// choose checks the listed parts against those stored.
func choose(c *CompleteUpload, parts []*PartInfo) (map[uint32]bool, *Result) {
	stored := make(map[uint32]*PartInfo, len(parts))
	for _, p := range parts {
		stored[p.Number] = p
	}
	used := make(map[uint32]bool, len(c.Parts))
	var size uint64
	for i, want := range c.Parts {
		p := stored[want.Number]
		switch {
		case p == nil || !bytes.Equal(p.Etag, want.Etag):
			return nil, refuse(api.InvalidPart, "")
		case len(want.ChecksumValue) > 0 && !bytes.Equal(p.ChecksumValue, want.ChecksumValue):
			return nil, refuse(api.InvalidPart, "")
		case p.Stream != want.Stream:
			return nil, refuse(api.ConditionalConflict, "A part was replaced or recoded while the upload was completed.")
		case p.Size < api.MinPartSize && i < len(c.Parts)-1:
			return nil, refuse(api.EntityTooSmall, "")
		}
		size += p.Size
		used[want.Number] = true
	}
	if size > api.MaxObjectSize {
		return nil, refuse(api.EntityTooLarge, "")
	}
	if size != c.Size {
		return nil, invalid("The sizes of the parts do not add up to that of the object.")
	}
	return used, nil
}

// storeCompleted writes what completeUpload has decided.
func (t *tx) storeCompleted(s *bucketState, c *CompleteUpload, cur *head, up *completion) (*Result, error) {
	u, err := t.uploadRecord(up.owner)
	if err != nil {
		return nil, err
	}
	h := &t.newHead
	*h = head{
		version: up.id, size: c.Size, etag: c.Etag, algorithm: c.ChecksumAlgorithm, sumType: c.ChecksumType,
		sum: c.ChecksumValue, parts: uint32(len(c.Parts)), metadata: u.Metadata, tags: u.Tags, acl: u.Acl,
	}
	h.flags |= classFlags(u.StorageClass)
	t.lockNew(s, h, u.Lock)
	if err := t.install(s, c.Key, cur, h); err != nil {
		return nil, err
	}
	if err := t.set(t.idKey(spaceManifest, up.id), c.Manifest); err != nil {
		return nil, err
	}
	streams, err := t.sortParts(s, up)
	if err != nil {
		return nil, err
	}
	if err := t.closeUpload(s, up.id, up.owner, up.parts); err != nil {
		return nil, err
	}
	err = t.setMessage(t.idKey(spaceOwner, up.id), &OwnerRecord{
		State: OwnerRecord_LIVE, Bucket: s.id, Key: c.Key, InitiatedSeq: up.owner.InitiatedSeq,
		Streams: append(streams, c.Streams...), StorageClass: u.StorageClass,
	})
	if err != nil {
		return nil, err
	}
	return written(s, h), t.announce(Event_COMPLETED, s.id, c.Key, h)
}

// sortParts writes the version's record of its parts and gives their streams. The manifests of
// parts that were listed live on in that of the version; the other parts become garbage.
func (t *tx) sortParts(s *bucketState, up *completion) ([]uint64, error) {
	rec, streams := new(PartsRecord), make([]uint64, 0, len(up.used))
	for _, p := range up.parts {
		if !up.used[p.Number] {
			if err := t.addPartGarbage(s.id, up.owner.Key, up.id, p.Stream); err != nil {
				return nil, err
			}
			continue
		}
		if err := t.delete(t.streamKey(spaceManifest, up.id, p.Stream)); err != nil {
			return nil, err
		}
		streams = append(streams, p.Stream)
		rec.Parts = append(rec.Parts, &PartInfo{
			Number: p.Number, Size: p.Size, ChecksumAlgorithm: p.ChecksumAlgorithm, ChecksumType: p.ChecksumType,
			ChecksumValue: p.ChecksumValue,
		})
	}
	return streams, t.setMessage(t.idKey(spaceParts, up.id), rec)
}

func unmarshal(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return broken("decode %T: %v", m, err)
	}
	return nil
}
