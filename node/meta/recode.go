package meta

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"shoal/node/api"
)

// recode puts the same content of a version into other shards. The shards it had become garbage of
// their streams, which the version does not use any more.
func (t *tx) recode(c *Recode) (*Result, error) {
	id, ok := toVersionID(c.Version)
	switch {
	case !ok:
		return invalid("The version ID is malformed."), nil
	case len(c.Streams) == 0 && !c.Begin || len(c.Streams) > recodeStreamsMax:
		return invalid("The streams are missing or too many."), nil
	}
	var o OwnerRecord
	if _, err := t.getMessage(t.idKey(spaceOwner, id), &o); err != nil {
		return nil, err
	}
	if o.State != OwnerRecord_LIVE {
		return refuse(api.NoSuchVersion, "The version is gone."), nil
	}
	if c.Begin {
		return t.beginRecode(id, &o, c)
	}
	return t.finishRecode(id, &o, c)
}

// recodeStreamsMax bounds the streams of a recoded version: one for its chunks, others for the nodes
// of a long manifest.
const recodeStreamsMax = 256

// beginRecode makes owners of announced streams live, and those of streams announced before dead.
func (t *tx) beginRecode(id versionID, o *OwnerRecord, c *Recode) (*Result, error) {
	for _, s := range c.Streams {
		if slices.Contains(o.Streams, s) {
			return invalid("A stream is in use."), nil
		}
	}
	if r, err := t.streamsOpen(id, c.Streams); r != nil || err != nil {
		return r, err
	}
	o.Recoding = c.Streams
	return &Result{}, t.setMessage(t.idKey(spaceOwner, id), o)
}

func (t *tx) finishRecode(id versionID, o *OwnerRecord, c *Recode) (*Result, error) {
	if len(c.OldDigest) != sha256.Size || len(c.Manifest) == 0 || len(c.Manifest) > MaxManifestBytes {
		return invalid("The digest or the manifest is missing or too long."), nil
	}
	for _, s := range c.Streams {
		if !slices.Contains(o.Recoding, s) {
			return refuse(api.ConditionalConflict, "The streams are not those announced."), nil
		}
	}
	old, ok, err := t.getInto(nil, t.idKey(spaceManifest, id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, broken("version %x has no manifest", id)
	}
	if sum := sha256.Sum256(old); !bytes.Equal(sum[:], c.OldDigest) {
		return refuse(api.ConditionalConflict, "The manifest is another one by now."), nil
	}
	return &Result{}, t.swapManifest(id, o, old, c)
}

func (t *tx) swapManifest(id versionID, o *OwnerRecord, old []byte, c *Recode) error {
	if err := t.set(t.streamKey(spaceManifest, id, o.Streams[0]), old); err != nil {
		return err
	}
	if err := t.addRecoded(&Garbage{Bucket: o.Bucket, Version: id[:], Streams: o.Streams, Recoded: true}); err != nil {
		return err
	}
	if err := t.set(t.idKey(spaceManifest, id), c.Manifest); err != nil {
		return err
	}
	o.Streams, o.Recoding = c.Streams, nil
	return t.setMessage(t.idKey(spaceOwner, id), o)
}

// queryManifests lists the manifests of live versions, or of the parts of open uploads.
func (v *view) queryManifests(q *ManifestsQuery) (*ManifestsAnswer, *Result, error) {
	if len(q.After) != 0 && len(q.After) != len(versionID{}) {
		return nil, invalid("The version ID is malformed."), nil
	}
	page := &manifestPage{most: pageMax(q.Max, garbagePageMax), room: bytesMax(q.MaxBytes)}
	list := v.listVersions
	if q.Parts {
		list = v.listParts
	}
	err := list(q, page)
	return &page.ManifestsAnswer, nil, err
}

// manifestPage is an answer that is being filled.
type manifestPage struct {
	ManifestsAnswer
	most, room int
}

// add takes one more manifest, unless the page is full.
func (p *manifestPage) add(m *VersionManifest) bool {
	p.room -= len(m.Manifest) + len(m.Key)
	if len(p.Manifests) == p.most || p.room < 0 && len(p.Manifests) > 0 {
		p.Truncated = true
		return false
	}
	p.Manifests = append(p.Manifests, m)
	return true
}

// listVersions lists the manifests of live versions.
func (v *view) listVersions(q *ManifestsQuery, page *manifestPage) error {
	var from []byte
	if len(q.After) > 0 {
		from = append(bytes.Clone(q.After), 0)
	}
	w := &view{r: v.r, g: v.g} // reads while the scan holds v's buffers
	return v.scanFrom(v.keep(v.key(spaceOwner)), from, func(key, val []byte) (bool, error) {
		var o OwnerRecord
		if err := unmarshal(val, &o); err != nil {
			return false, err
		}
		id, ok := toVersionID(key)
		if !ok {
			return false, broken("the key of an owner has %d bytes", len(key))
		}
		if o.State != OwnerRecord_LIVE {
			return true, nil
		}
		m, _, err := w.getInto(nil, w.idKey(spaceManifest, id))
		if err != nil {
			return false, err
		}
		return page.add(&VersionManifest{
			Version: id[:], Manifest: m, Bucket: o.Bucket, Key: o.Key, Recoding: len(o.Recoding) > 0, StorageClass: o.StorageClass,
		}), nil
	})
}
