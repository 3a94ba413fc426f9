package meta

import (
	"bytes"
	"encoding/binary"

	"shoal/node/api"
)

const partBytesMax = api.MaxPutSize

// createUpload begins an upload under the ID that its version will have.
func (t *tx) createUpload(c *CreateUpload) (*Result, error) {
	id, ok := toVersionID(c.Upload)
	switch {
	case !ok:
		return invalid("The upload ID is malformed."), nil
	case !keyOK(c.Key):
		return invalid("The key must have 1 to 1,024 bytes."), nil
	case len(c.Initiator) > 1024:
		return invalid("The initiator is too long."), nil
	}
	if r := firstRefusal(checkTexts(nil, nil, c.Metadata), checkAttributes(c.Lock, c.Tags, c.Acl), checkClass(c.StorageClass)); r != nil {
		return r, nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	if r, err := t.reopened(c, id); r != nil || err != nil {
		return r, err
	}
	if r := s.lockable(c.Lock); r != nil {
		return r, nil
	}
	seq := t.h.nextSeq
	t.h.nextSeq++ // leaves a gap in the feed
	err = t.setMessage(t.objectSeqKey(spaceUpload, s.id, c.Key, seq), &Upload{
		Upload: c.Upload, Initiated: t.now(), Initiator: c.Initiator, ChecksumAlgorithm: c.ChecksumAlgorithm,
		ChecksumType: c.ChecksumType, Metadata: c.Metadata, Lock: c.Lock, Tags: c.Tags, StorageClass: c.StorageClass, Acl: c.Acl,
	})
	if err != nil {
		return nil, err
	}
	err = t.setMessage(t.idKey(spaceOwner, id), &OwnerRecord{
		State: OwnerRecord_UPLOADING, Bucket: s.id, Key: c.Key, InitiatedSeq: seq,
	})
	if err != nil {
		return nil, err
	}
	t.count(s, func(c *counters) { c.uploads++ })
	return uploadCreated(t.now()), t.trimFeed()
}

func uploadCreated(at int64) *Result {
	return &Result{Payload: &Result_Upload{Upload: &UploadCreated{Initiated: at}}}
}

// reopened answers a repeat and refuses an ID that is in use.
func (t *tx) reopened(c *CreateUpload, id versionID) (*Result, error) {
	var o OwnerRecord
	ok, err := t.getMessage(t.idKey(spaceOwner, id), &o)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		if used, err := t.has(t.idKey(spaceManifest, id)); used || err != nil {
			return refuse(api.UploadExpired, ""), err // garbage still names it, though its tombstone is gone
		}
		return nil, nil
	case o.State == OwnerRecord_TOMBSTONE:
		return refuse(api.UploadExpired, ""), nil
	case o.State != OwnerRecord_UPLOADING || o.Bucket != c.Bucket || !bytes.Equal(o.Key, c.Key):
		return invalid("The upload ID is in use."), nil
	}
	u, err := t.uploadRecord(&o)
	if err != nil {
		return nil, err
	}
	return uploadCreated(u.Initiated), nil
}

// openUpload finds the owner record of an open upload.
func (v *view) openUpload(bucket uint64, key, upload []byte) (versionID, *OwnerRecord, *Result, error) {
	id, ok := toVersionID(upload)
	none := refuse(api.NoSuchUpload, "")
	if !ok || !keyOK(key) {
		return id, nil, none, nil
	}
	o := new(OwnerRecord)
	ok, err := v.getMessage(v.idKey(spaceOwner, id), o)
	if err != nil {
		return id, nil, nil, err
	}
	if !ok || o.State != OwnerRecord_UPLOADING || o.Bucket != bucket || !bytes.Equal(o.Key, key) {
		return id, o, none, nil
	}
	return id, o, nil, nil
}

// uploadRecord reads the record of an open upload.
func (v *view) uploadRecord(o *OwnerRecord) (*Upload, error) {
	u := new(Upload)
	ok, err := v.getMessage(v.objectSeqKey(spaceUpload, o.Bucket, o.Key, o.InitiatedSeq), u)
	if err == nil && !ok {
		err = broken("bucket %d has no upload %d of key %q", o.Bucket, o.InitiatedSeq, o.Key)
	}
	return u, err
}

// putPart commits a part. An earlier part of its number becomes garbage.
func (t *tx) putPart(c *PutPart) (*Result, error) {
	if r := checkPart(c); r != nil {
		return r, nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	id, _, r, err := t.openUpload(c.Bucket, c.Key, c.Upload)
	if r != nil || err != nil {
		return r, err
	}
	var old PartInfo
	replaces, err := t.getMessage(t.partNumberKey(id, c.Number), &old)
	if err != nil {
		return nil, err
	}
	if replaces && old.wrote(c.Stream) && old.Size == c.Size && bytes.Equal(old.Etag, c.Etag) {
		return partWritten(old.Mtime), nil
	}
	if r, err := t.streamFree(id, c.Stream); r != nil || err != nil {
		return r, err
	}
	if r, err := t.sourceLives(c.Source); r != nil || err != nil {
		return r, err
	}
	if r, err := t.partWithinQuota(s, c.Size, old.Size); r != nil || err != nil {
		return r, err
	}
	t.noteParts(s.id, c.Size, old.Size)
	if replaces {
		if err := t.closeStream(queueRetired, id, old.Stream); err != nil {
			return nil, err
		}
		if err := t.addPartGarbage(s.id, c.Key, id, old.Stream); err != nil {
			return nil, err
		}
	}
	err = t.setPart(id, &PartInfo{
		Number: c.Number, Stream: c.Stream, Size: c.Size, Etag: c.Etag, Mtime: t.now(),
		ChecksumAlgorithm: c.ChecksumAlgorithm, ChecksumType: c.ChecksumType, ChecksumValue: c.ChecksumValue,
	}, c.Manifest)
	return partWritten(t.now()), err
}

// wrote says that the part was uploaded in a stream, though it may have been recoded since.
func (p *PartInfo) wrote(stream uint64) bool {
	return p.Stream == stream || p.Written != 0 && p.Written == stream
}

// streamFree refuses a stream of an upload that was closed or belongs to a part.
func (t *tx) streamFree(id versionID, stream uint64) (*Result, error) {
	if r, err := t.streamsOpen(id, []uint64{stream}); r != nil || err != nil {
		return r, err
	}
	if used, err := t.has(t.streamKey(spaceManifest, id, stream)); used || err != nil {
		return refuse(api.UploadExpired, ""), err // garbage still names it, though its tombstone is gone
	}
	return nil, nil
}

// setPart writes a part with its manifest, and makes its stream's owner live.
func (t *tx) setPart(id versionID, p *PartInfo, manifest []byte) error {
	if err := t.setMessage(t.partNumberKey(id, p.Number), p); err != nil {
		return err
	}
	if err := t.set(t.streamKey(spaceManifest, id, p.Stream), manifest); err != nil {
		return err
	}
	return t.setMessage(t.streamKey(spaceStream, id, p.Stream), &StreamRecord{Part: p.Number})
}

func partWritten(at int64) *Result {
	return &Result{Payload: &Result_Part{Part: &PartWritten{Mtime: at}}}
}

func checkPart(c *PutPart) *Result {
	switch {
	case c.Number < 1 || c.Number > api.MaxPartNumber:
		return invalid("Part numbers go from 1 to 10,000.")
	case c.Size > partBytesMax:
		return refuse(api.EntityTooLarge, "")
	case len(c.Etag) != 16:
		return invalid("The part's ETag must have 16 bytes.")
	case len(c.Manifest) == 0 || len(c.Manifest) > MaxManifestBytes:
		return invalid("The part's manifest is missing or too long.")
	}
	return checkTexts(nil, c.ChecksumValue, nil)
}

// abortUpload ends an upload. All its parts become garbage.
func (t *tx) abortUpload(c *AbortUpload) (*Result, error) {
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	id, o, r, err := t.openUpload(c.Bucket, c.Key, c.Upload)
	if r != nil || err != nil {
		return r, err
	}
	parts, err := t.parts(id)
	if err != nil {
		return nil, err
	}
	if err := t.buryOwner(id, o, nil); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if err := t.addPartGarbage(s.id, c.Key, id, p.Stream); err != nil {
			return nil, err
		}
	}
	return &Result{}, t.closeUpload(s, id, o, parts)
}

// closeUpload removes the records of an upload that was aborted or completed.
func (t *tx) closeUpload(s *bucketState, id versionID, o *OwnerRecord, parts []*PartInfo) error {
	for _, p := range parts {
		t.noteParts(s.id, 0, p.Size)
		if err := t.delete(t.partNumberKey(id, p.Number)); err != nil {
			return err
		}
		if err := t.delete(t.streamKey(spaceStream, id, p.Stream)); err != nil {
			return err
		}
	}
	t.count(s, func(c *counters) { c.uploads-- })
	return t.delete(t.objectSeqKey(spaceUpload, s.id, o.Key, o.InitiatedSeq))
}

// parts reads all parts of an upload, in the order of their numbers.
func (v *view) parts(id versionID) ([]*PartInfo, error) {
	var parts []*PartInfo
	err := v.scan(v.idKey(spacePart, id), func(_, val []byte) (bool, error) {
		p := new(PartInfo)
		parts = append(parts, p)
		return true, unmarshal(val, p)
	})
	return parts, err
}

// queryUpload describes an open upload.
func (v *view) queryUpload(q *UploadQuery) (*Upload, *Result, error) {
	var s bucketState
	if r, err := v.bucket(&s, q.GetBucket()); r != nil || err != nil {
		return nil, r, err
	}
	_, o, r, err := v.openUpload(q.Bucket, q.Key, q.Upload)
	if r != nil || err != nil {
		return nil, r, err
	}
	u, err := v.uploadRecord(o)
	if err == nil {
		u.Key = o.Key
	}
	return u, nil, err
}

// queryParts lists the parts of an upload.
func (v *view) queryParts(q *PartsQuery) (*PartsAnswer, *Result, error) {
	u, r, err := v.queryUpload(q.GetUpload())
	if r != nil || err != nil {
		return nil, r, err
	}
	a := &PartsAnswer{Upload: u}
	if q.Max == 0 || q.After >= api.MaxPartNumber {
		return a, nil, nil
	}
	most := pageMax(q.Max, api.MaxPartNumber)
	id, _ := toVersionID(q.Upload.Upload)
	from := binary.BigEndian.AppendUint16(nil, uint16(q.After+1))
	err = v.scanFrom(v.idKey(spacePart, id), from, func(_, val []byte) (bool, error) {
		if len(a.Parts) == most {
			a.Truncated = true
			return false, nil
		}
		p := new(PartInfo)
		a.Parts = append(a.Parts, p)
		return true, unmarshal(val, p)
	})
	return a, nil, err
}

// queryPartManifests gives parts with their manifests, as many as fit.
func (v *view) queryPartManifests(q *PartManifestsQuery) (*PartManifestsAnswer, *Result, error) {
	if _, r, err := v.queryUpload(q.GetUpload()); r != nil || err != nil {
		return nil, r, err
	}
	if len(q.Numbers) == 0 || len(q.Numbers) > api.MaxPartNumber {
		return nil, invalid("A query names 1 to 10,000 parts."), nil
	}
	id, _ := toVersionID(q.Upload.Upload)
	a, room := new(PartManifestsAnswer), bytesMax(q.MaxBytes)
	for _, n := range q.Numbers {
		p := &PartManifest{Info: new(PartInfo)}
		ok := n >= 1 && n <= api.MaxPartNumber
		var err error
		if ok {
			if ok, err = v.getMessage(v.partNumberKey(id, n), p.Info); err != nil {
				return nil, nil, err
			}
		}
		if !ok {
			return nil, refuse(api.InvalidPart, ""), nil
		}
		if p.Manifest, err = v.partManifest(id, p.Info); err != nil {
			return nil, nil, err
		}
		room -= len(p.Manifest)
		if room < 0 && len(a.Parts) > 0 {
			break
		}
		a.Parts = append(a.Parts, p)
	}
	return a, nil, nil
}
