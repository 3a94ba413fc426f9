package meta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

const ownersMax = 1000

// retire makes the owner of a version's shards dead and hands its manifest to the garbage.
func (t *tx) retire(bucket uint64, key []byte, h *head) error {
	id := h.version
	var o OwnerRecord
	ok, err := t.getMessage(t.idKey(spaceOwner, id), &o)
	if err != nil {
		return err
	}
	if !ok || o.State != OwnerRecord_LIVE || o.Bucket != bucket {
		return broken("version %x in bucket %d has no live owner", id, bucket)
	}
	lived := &Lived{Digest: livedDigest(key, h.size, h.etag, h.parts), Mtime: h.mtime, NullVersion: h.null(), Seq: h.seq}
	if err := t.buryOwner(id, &o, lived); err != nil {
		return err
	}
	return t.addGarbage(&Garbage{Bucket: bucket, Version: id[:], Streams: o.Streams})
}

// buryOwner puts a tombstone in an owner's place. lived is nil for an upload.
func (t *tx) buryOwner(id versionID, o *OwnerRecord, lived *Lived) error {
	due, err := t.push(queueRetired, &QueueItem{Id: id[:], Whole: true})
	if err != nil {
		return err
	}
	return t.setMessage(t.idKey(spaceOwner, id), &OwnerRecord{
		State: OwnerRecord_TOMBSTONE, Bucket: o.Bucket, Until: due, InitiatedSeq: o.InitiatedSeq, Lived: lived,
	})
}

// livedDigest tells versions of one ID apart.
func livedDigest(key []byte, size uint64, etag []byte, parts uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, parts)
	b = appendUint64(appendUint64(b, size), uint64(len(key)))
	sum := sha256.Sum256(append(append(b, key...), etag...))
	return bytes.Clone(sum[:8])
}

// lived describes a version that a command made before and that is gone by now, to a repeat of that
// command. It is nil when o is not what is left of that version.
func (s *bucketState) lived(o *OwnerRecord, key []byte, w *Written, parts uint32) *Result {
	if o.Lived == nil || o.Bucket != s.id || !bytes.Equal(o.Lived.Digest, livedDigest(key, w.Size, w.Etag, parts)) {
		return nil
	}
	w.Mtime, w.NullVersion, w.Versioning, w.Seq = o.Lived.Mtime, o.Lived.NullVersion, s.mode(), o.Lived.Seq
	return &Result{Payload: &Result_Written{Written: w}}
}

// retirePart closes the stream of a part that was replaced in an open upload and hands its
// manifest to the garbage.
func (t *tx) retirePart(bucket uint64, id versionID, stream uint64) error {
	if err := t.closeStream(queueRetired, id, stream); err != nil {
		return err
	}
	return t.addPartGarbage(bucket, id, stream)
}

func (t *tx) addPartGarbage(bucket uint64, id versionID, stream uint64) error {
	return t.addGarbage(&Garbage{Bucket: bucket, Version: id[:], Streams: []uint64{stream}, Part: true})
}

// closeStream puts a tombstone on a stream: nothing of it can be committed any more.
func (t *tx) closeStream(queue int, id versionID, stream uint64) error {
	due, err := t.push(queue, &QueueItem{Id: id[:], Stream: stream})
	if err != nil {
		return err
	}
	return t.setMessage(t.streamKey(spaceStream, id, stream), &StreamRecord{Until: due})
}

// ownerState says whether shards of a stream are referred to.
func (v *view) ownerState(id versionID, stream uint64) (OwnerState, error) {
	var o OwnerRecord
	if _, err := v.getMessage(v.idKey(spaceOwner, id), &o); err != nil {
		return 0, err
	}
	switch o.State {
	case OwnerRecord_TOMBSTONE:
		return OwnerState_OWNER_DEAD, nil
	case OwnerRecord_LIVE:
		if slices.Contains(o.Streams, stream) || slices.Contains(o.Recoding, stream) {
			return OwnerState_OWNER_LIVE, nil
		}
		return OwnerState_OWNER_DEAD, nil // a finished version takes no more streams
	}
	var s StreamRecord
	ok, err := v.getMessage(v.streamKey(spaceStream, id, stream), &s)
	switch {
	case err != nil:
		return 0, err
	case s.Part != 0:
		return OwnerState_OWNER_LIVE, nil
	case ok:
		return OwnerState_OWNER_DEAD, nil
	}
	// Tombstones of what was retired expire, but garbage may wait longer for a node to come back:
	// while its manifest is kept its owner stays dead.
	for _, key := range [...]func() []byte{
		func() []byte { return v.streamKey(spaceManifest, id, stream) },
		func() []byte { return v.idKey(spaceManifest, id) },
	} {
		if kept, err := v.has(key()); kept || err != nil {
			return OwnerState_OWNER_DEAD, err
		}
	}
	return OwnerState_OWNER_UNKNOWN, nil
}

// condemn says of each owner whether it lives, and sees to it that one which does not never will.
func (t *tx) condemn(c *Condemn) (*Result, error) {
	if len(c.Owners) == 0 || len(c.Owners) > ownersMax {
		return invalid("Condemn names 1 to 1,000 owners."), nil
	}
	for _, o := range c.Owners {
		if _, ok := toVersionID(o.GetVersion()); !ok {
			return invalid("The version ID is malformed."), nil
		}
	}
	states := make([]OwnerState, len(c.Owners))
	for i, o := range c.Owners {
		id, _ := toVersionID(o.Version)
		state, err := t.ownerState(id, o.Stream)
		if err != nil {
			return nil, err
		}
		if state == OwnerState_OWNER_UNKNOWN {
			if err := t.closeStream(queueCondemned, id, o.Stream); err != nil {
				return nil, err
			}
			state = OwnerState_OWNER_DEAD
		}
		states[i] = state
	}
	return &Result{Payload: &Result_Owners{Owners: &OwnerStates{States: states}}}, nil
}

// queryOwners says of each owner what is known of it.
func (v *view) queryOwners(q *OwnersQuery) (*OwnerStates, *Result, error) {
	if len(q.Owners) == 0 || len(q.Owners) > ownersMax {
		return nil, invalid("A query names 1 to 1,000 owners."), nil
	}
	states := make([]OwnerState, len(q.Owners))
	for i, o := range q.Owners {
		id, ok := toVersionID(o.GetVersion())
		if !ok {
			return nil, invalid("The version ID is malformed."), nil
		}
		var err error
		if states[i], err = v.ownerState(id, o.Stream); err != nil {
			return nil, nil, err
		}
	}
	return &OwnerStates{States: states}, nil, nil
}
