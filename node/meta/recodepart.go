package meta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"shoal/node/api"
)

// holdTime is for how long no part of an upload is recoded after a completion has found one recoded under it: time enough for one more
// try, which reads the manifests of at most 10,000 parts and writes a tree of them.
const holdTime = 2 * time.Minute

// recodePart puts the same content of a part of an open upload into other shards. Those it had become garbage, as those of a part that
// is replaced. A repeat of the command that uploaded the part is still known for one.
func (t *tx) recodePart(c *RecodePart) (*Result, error) {
	if r := checkRecodePart(c); r != nil {
		return r, nil
	}
	id, _ := toVersionID(c.Upload)
	var o OwnerRecord
	if _, err := t.getMessage(t.idKey(spaceOwner, id), &o); err != nil {
		return nil, err
	}
	if o.State != OwnerRecord_UPLOADING {
		return refuse(api.NoSuchUpload, ""), nil
	}
	u, err := t.uploadRecord(&o)
	if err != nil {
		return nil, err
	}
	if u.HeldUntil > t.now() {
		return refuse(api.ConditionalConflict, "The upload is being completed."), nil
	}
	var p PartInfo
	ok, err := t.getMessage(t.partNumberKey(id, c.Number), &p)
	if err != nil {
		return nil, err
	}
	if !ok {
		return refuse(api.ConditionalConflict, "The upload has no such part."), nil
	}
	old, err := t.partManifest(id, &p)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(old); !bytes.Equal(sum[:], c.OldDigest) {
		return refuse(api.ConditionalConflict, "The part is another one by now."), nil
	}
	if r, err := t.streamFree(id, c.Stream); r != nil || err != nil {
		return r, err
	}
	return &Result{}, t.swapPart(id, &o, &p, c)
}

func checkRecodePart(c *RecodePart) *Result {
	_, ok := toVersionID(c.Upload)
	switch {
	case !ok:
		return invalid("The upload ID is malformed.")
	case c.Number < 1 || c.Number > api.MaxPartNumber:
		return invalid("Part numbers go from 1 to 10,000.")
	case len(c.OldDigest) != sha256.Size || len(c.Manifest) == 0 || len(c.Manifest) > MaxManifestBytes:
		return invalid("The digest or the manifest is missing or too long.")
	}
	return nil
}

// swapPart gives a part another stream and manifest. All else that is known of it stays, its time too.
func (t *tx) swapPart(id versionID, o *OwnerRecord, p *PartInfo, c *RecodePart) error {
	if err := t.closeStream(queueRetired, id, p.Stream); err != nil {
		return err
	}
	if err := t.addRecoded(partGarbage(o.Bucket, id, p.Stream)); err != nil {
		return err
	}
	if p.Written == 0 {
		p.Written = p.Stream
	}
	p.Stream = c.Stream
	return t.setPart(id, p, c.Manifest)
}

// holdParts keeps the parts of an upload from being recoded for a while.
func (t *tx) holdParts(o *OwnerRecord) error {
	u, err := t.uploadRecord(o)
	if err != nil {
		return err
	}
	u.HeldUntil = t.now() + int64(holdTime)
	return t.setMessage(t.objectSeqKey(spaceUpload, o.Bucket, o.Key, o.InitiatedSeq), u)
}

// partManifest reads the manifest of a part.
func (v *view) partManifest(id versionID, p *PartInfo) ([]byte, error) {
	m, ok, err := v.getInto(nil, v.streamKey(spaceManifest, id, p.Stream))
	if err == nil && !ok {
		err = broken("part %d of upload %x has no manifest", p.Number, id)
	}
	return m, err
}

// listParts lists the manifests of the parts of all open uploads, by upload ID and number.
func (v *view) listParts(q *ManifestsQuery, page *manifestPage) error {
	var h header
	if err := v.header(&h); err != nil {
		return err
	}
	var from []byte
	if len(q.After) > 0 {
		from = binary.BigEndian.AppendUint16(bytes.Clone(q.After), uint16(min(q.AfterPart, api.MaxPartNumber)+1))
	}
	w := &view{r: v.r, g: v.g} // reads while the scan holds v's buffers
	var at versionID
	var upload VersionManifest // what all parts of the upload at have in common
	return v.scanFrom(v.keep(v.key(spacePart)), from, func(key, val []byte) (bool, error) {
		if len(key) != len(at)+2 {
			return false, broken("the key of a part has %d bytes", len(key))
		}
		if id := versionID(key); id != at {
			at = id
			if err := w.describeUpload(id, max(int64(h.clock), q.Now), &upload); err != nil {
				return false, err
			}
		}
		var p PartInfo
		if err := unmarshal(val, &p); err != nil {
			return false, err
		}
		m, err := w.partManifest(at, &p)
		if err != nil {
			return false, err
		}
		return page.add(&VersionManifest{
			Version: bytes.Clone(at[:]), Manifest: m, Bucket: upload.Bucket, Key: upload.Key, Part: p.Number, Held: upload.Held, StorageClass: upload.StorageClass,
		}), nil
	})
}

// describeUpload fills in what VersionManifest says of every part of an upload.
func (v *view) describeUpload(id versionID, now int64, m *VersionManifest) error {
	var o OwnerRecord
	if _, err := v.getMessage(v.idKey(spaceOwner, id), &o); err != nil {
		return err
	}
	if o.State != OwnerRecord_UPLOADING {
		return broken("upload %x has parts and is not open", id)
	}
	u, err := v.uploadRecord(&o)
	if err != nil {
		return err
	}
	m.Bucket, m.Key, m.StorageClass, m.Held = o.Bucket, o.Key, u.StorageClass, u.HeldUntil > now
	return nil
}
