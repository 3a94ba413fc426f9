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
	return t.addNamed(&Garbage{Bucket: bucket, Version: id[:], Streams: o.Streams}, key, o.Renamed)
}

// buryOwner puts a tombstone in an owner's place. lived is nil for an upload.
func (t *tx) buryOwner(id versionID, o *OwnerRecord, lived *Lived) error {
	due, err := t.push(queueRetired, &QueueItem{Id: id[:], Whole: true})
	if err != nil {
		return err
	}
	dead := &OwnerRecord{State: OwnerRecord_TOMBSTONE, Bucket: o.Bucket, Until: due, InitiatedSeq: o.InitiatedSeq, Lived: lived}
	if t.level >= levelNames {
		dead.Key, dead.Renamed = o.Key, o.Renamed
	}
	return t.setMessage(t.idKey(spaceOwner, id), dead)
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

// addPartGarbage hands the manifest of an upload's part to the garbage.
func (t *tx) addPartGarbage(bucket uint64, key []byte, id versionID, stream uint64) error {
	return t.addNamed(partGarbage(bucket, id, stream), key, false) // what is renamed has no parts yet that can go
}

func partGarbage(bucket uint64, id versionID, stream uint64) *Garbage {
	return &Garbage{Bucket: bucket, Version: id[:], Streams: []uint64{stream}, Part: true}
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
	if listed, err := v.listed(id, stream); listed || err != nil {
		return OwnerState_OWNER_DEAD, err
	}
	return OwnerState_OWNER_UNKNOWN, nil
}

// listed says of an owner that does not live whether a garbage entry lists its shards.
func (v *view) listed(id versionID, stream uint64) (bool, error) {
	if kept, err := v.has(v.streamKey(spaceManifest, id, stream)); kept || err != nil {
		return kept, err
	}
	return v.has(v.idKey(spaceManifest, id))
}

// nameOf gives the one key that an owner has or had. It is empty when none is remembered, or when it was another one once.
func (v *view) nameOf(id versionID) (key []byte, known bool, err error) {
	var o OwnerRecord
	known, err = v.getMessage(v.idKey(spaceOwner, id), &o)
	if o.Renamed {
		o.Key = nil
	}
	return o.Key, known, err
}

// ownerName says whether an owner is, or was, of a key that begins with prefix.
func (v *view) ownerName(id versionID, stream uint64, prefix []byte) (OwnerName, error) {
	key, known, err := v.nameOf(id)
	switch {
	case err != nil:
		return 0, err
	case len(key) > 0 && bytes.HasPrefix(key, prefix):
		return OwnerName_OWNER_NAME_BELOW, nil
	case len(key) > 0:
		return OwnerName_OWNER_NAME_ELSEWHERE, nil
	case known:
		return OwnerName_OWNER_NAME_UNKNOWN, nil
	}
	condemned, err := v.has(v.streamKey(spaceStream, id, stream))
	if condemned || err != nil {
		return OwnerName_OWNER_NAME_UNKNOWN, err
	}
	listed, err := v.listed(id, stream)
	if listed {
		return OwnerName_OWNER_NAME_LISTED, err
	}
	return OwnerName_OWNER_NAME_UNKNOWN, err
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
	a := &OwnerStates{States: make([]OwnerState, len(q.Owners))}
	if q.Named {
		a.Names = make([]OwnerName, len(q.Owners))
	}
	for i, o := range q.Owners {
		id, ok := toVersionID(o.GetVersion())
		if !ok {
			return nil, invalid("The version ID is malformed."), nil
		}
		var err error
		if a.States[i], err = v.ownerState(id, o.Stream); err == nil && q.Named {
			a.Names[i], err = v.ownerName(id, o.Stream, q.Prefix)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return a, nil, nil
}
