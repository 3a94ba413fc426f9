package meta

import (
	"bytes"

	"shoal/node/api"
)

// Greatest lengths of small texts of a command, in bytes.
const (
	etagMax     = 128
	checksumMax = 128
	streamsMax  = 20_000
)

// putVersion makes a version whose content is inline or in shards already.
func (t *tx) putVersion(c *PutVersion) (*Result, error) {
	id, r := checkPut(c)
	if r != nil {
		return r, nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	cur, err := t.currentHead(s, c.Key)
	if err != nil {
		return nil, err
	}
	if r, err := t.repeated(s, c, cur, id); r != nil || err != nil {
		return r, err
	}
	if len(c.Manifest) > 0 {
		if r, err := t.admit(s, c, id); r != nil || err != nil {
			return r, err
		}
	}
	if r := condition(cur, c.IfNoneMatch, c.IfMatch); r != nil {
		return r, nil
	}
	if r, err := t.sourceLives(c.Source); r != nil || err != nil {
		return r, err
	}
	if r := s.lockable(c.Lock); r != nil {
		return r, nil
	}
	return t.storeVersion(s, c, cur, id)
}

// storeVersion writes what putVersion has decided.
func (t *tx) storeVersion(s *bucketState, c *PutVersion, cur *head, id versionID) (*Result, error) {
	if c.Source != nil { // looking at the source has moved the buffer that cur lives in
		var err error
		if cur, err = t.currentHead(s, c.Key); err != nil {
			return nil, err
		}
	}
	h := &t.newHead
	*h = head{
		version: id, size: c.Size, etag: c.Etag, algorithm: c.ChecksumAlgorithm, sumType: c.ChecksumType,
		sum: c.ChecksumValue, metadata: c.Metadata, tags: c.Tags, acl: c.Acl,
	}
	if len(c.Manifest) == 0 {
		h.flags = flagInline
	}
	h.flags |= classFlags(c.StorageClass)
	t.lockNew(s, h, c.Lock)
	if r, err := t.replaceable(s, c.Key, cur); r != nil || err != nil {
		return r, err
	}
	open, err := t.openOf(s)
	if err != nil {
		return nil, err
	}
	if r, err := t.withinQuota(s, c.Key, cur, c.Size, open); r != nil || err != nil {
		return r, err
	}
	if err := t.install(s, c.Key, cur, h); err != nil {
		return nil, err
	}
	if err := t.storeContent(s, c, id); err != nil {
		return nil, err
	}
	kind := Event_CREATED
	if c.Source != nil {
		kind = Event_COPIED
	}
	if err := t.announce(kind, s.id, c.Key, h); err != nil {
		return nil, err
	}
	return written(s, h), nil
}

func (t *tx) storeContent(s *bucketState, c *PutVersion, id versionID) error {
	if len(c.Manifest) == 0 {
		b := appendBytesField(t.wbuf[:0], 1, c.WrappedDek)
		t.wbuf = appendBytesField(b, 2, c.Inline)
		return t.set(t.objectIDKey(spaceInline, s.id, c.Key, id), t.wbuf)
	}
	if err := t.set(t.idKey(spaceManifest, id), c.Manifest); err != nil {
		return err
	}
	streams := c.Streams
	if len(streams) == 0 {
		streams = []uint64{0}
	}
	return t.setMessage(t.idKey(spaceOwner, id), &OwnerRecord{
		State: OwnerRecord_LIVE, Bucket: s.id, Key: c.Key, Streams: streams, StorageClass: c.StorageClass,
	})
}

// repeated answers a command that made a version of the key already, and refuses one that would give
// two versions one ID.
func (t *tx) repeated(s *bucketState, c *PutVersion, cur *head, id versionID) (*Result, error) {
	h := cur
	if cur == nil || cur.version != id {
		var err error
		if h, err = t.noncurrent(s, c.Key, id); err != nil || h == nil {
			return nil, err
		}
	}
	if !h.marker() && h.size == c.Size && bytes.Equal(h.etag, c.Etag) {
		return written(s, h), nil
	}
	return invalid("The version ID is in use."), nil
}

// admit decides whether a new owner of shards may begin to live. A command is answered that made it
// before, when it has died since.
func (t *tx) admit(s *bucketState, c *PutVersion, id versionID) (*Result, error) {
	var o OwnerRecord
	ok, err := t.getMessage(t.idKey(spaceOwner, id), &o)
	if err != nil {
		return nil, err
	}
	if o.Lived != nil {
		if r := s.lived(&o, c.Key, c.named(), 0); r != nil {
			return r, nil
		}
	}
	if ok && o.State == OwnerRecord_TOMBSTONE {
		return refuse(api.UploadExpired, ""), nil
	}
	if ok {
		return invalid("The version ID is in use."), nil
	}
	if used, err := t.has(t.idKey(spaceManifest, id)); used || err != nil {
		return refuse(api.UploadExpired, ""), err // garbage still names it, though its tombstone is gone
	}
	streams := c.Streams
	if len(streams) == 0 {
		streams = []uint64{0}
	}
	return t.streamsOpen(id, streams)
}

// streamsOpen refuses when one of the streams was closed or belongs to a part.
func (t *tx) streamsOpen(id versionID, streams []uint64) (*Result, error) {
	for _, stream := range streams {
		var rec StreamRecord
		ok, err := t.getMessage(t.streamKey(spaceStream, id, stream), &rec)
		if err != nil {
			return nil, err
		}
		if ok && rec.Part != 0 {
			return invalid("The stream belongs to a part."), nil
		}
		if ok {
			return refuse(api.UploadExpired, ""), nil
		}
	}
	return nil, nil
}

// sourceLives refuses a copy whose source, in this group, is gone.
func (t *tx) sourceLives(src *Source) (*Result, error) {
	if src == nil {
		return nil, nil
	}
	id, ok := toVersionID(src.Version)
	if !ok || !keyOK(src.Key) {
		return invalid("The source of the copy is malformed."), nil
	}
	gone := refuse(api.ConditionalConflict, "The source changed while it was copied.")
	s, r, err := t.bucket(src.Bucket)
	if err != nil || r != nil {
		return gone, err
	}
	cur, err := t.currentHead(s, src.Key)
	if err != nil {
		return nil, err
	}
	if cur != nil && cur.version == id {
		if cur.marker() {
			return gone, nil
		}
		return nil, nil
	}
	h, err := t.noncurrent(s, src.Key, id)
	if err != nil || h != nil && !h.marker() {
		return nil, err
	}
	return gone, nil
}

// checkPut refuses a command that cannot mean anything.
func checkPut(c *PutVersion) (versionID, *Result) {
	id, ok := toVersionID(c.Version)
	switch {
	case !ok:
		return id, invalid("The version ID is malformed.")
	case !keyOK(c.Key):
		return id, invalid("The key must have 1 to 1,024 bytes.")
	case c.Size > api.MaxObjectSize:
		return id, refuse(api.EntityTooLarge, "")
	case len(c.Manifest) > 0 && (len(c.Inline) > 0 || len(c.WrappedDek) > 0):
		return id, invalid("Content is either inline or in a manifest.")
	case len(c.Manifest) == 0 && len(c.Streams) > 0:
		return id, invalid("Inline content has no streams.")
	case len(c.Manifest) > MaxManifestBytes, len(c.Inline) > MaxInlineBytes, len(c.WrappedDek) > 1024,
		len(c.Streams) > streamsMax:
		return id, invalid("The content's description is too long.")
	}
	if r := firstRefusal(checkAttributes(c.Lock, c.Tags, c.Acl), checkClass(c.StorageClass)); r != nil {
		return id, r
	}
	return id, checkTexts(c.Etag, c.ChecksumValue, c.Metadata)
}

func checkTexts(etag, sum, metadata []byte) *Result {
	switch {
	case len(etag) > etagMax:
		return invalid("The ETag is too long.")
	case len(sum) > checksumMax:
		return invalid("The checksum is too long.")
	case len(metadata) > MaxMetadataBytes:
		return invalid("The metadata are too long.")
	}
	return nil
}

func keyOK(key []byte) bool { return len(key) > 0 && len(key) <= api.MaxKeyLength }
