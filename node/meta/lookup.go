package meta

import (
	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Lookup finds a version of a key: its head and, when asked for, its content or manifest and its
// parts. NoSuchBucket, NoSuchKey, NoSuchVersion, DeleteMarker for a version that was named and is
// one. When the current version is a delete marker the error is NoSuchKey and the answer still
// holds its head. What is returned belongs to the caller.
func (m *Machine) Lookup(r pebble.Reader, g consensus.GroupID, q *LookupQuery) (*LookupAnswer, error) {
	const op = "meta.Lookup"
	v := view{r: r, g: g}
	if len(q.Version) == 0 && !q.NullVersion {
		if a, refused, ok, err := v.lookupCurrent(q); ok || err != nil {
			return a, firstError(err, asError(refused, op))
		}
	}
	// Several records must agree here, or the version was replaced between two reads above.
	a, refused, err := onSnapshot(r, func(r pebble.Reader) (*LookupAnswer, *Result, error) {
		v := view{r: r, g: g}
		return v.lookup(q)
	})
	return a, firstError(err, asError(refused, op))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// onSnapshot calls f with a reader that does not change. Only a database does.
func onSnapshot[T any](r pebble.Reader, f func(pebble.Reader) (T, *Result, error)) (T, *Result, error) {
	db, ok := r.(*pebble.DB)
	if !ok {
		return f(r)
	}
	snap := db.NewSnapshot()
	a, refused, err := f(snap)
	if cerr := snap.Close(); err == nil {
		err = cerr
	}
	return a, refused, err
}

// lookupCurrent reads the current version. ok is false when it went away between two reads.
func (v *view) lookupCurrent(q *LookupQuery) (a *LookupAnswer, refused *Result, ok bool, err error) {
	if !keyOK(q.Key) {
		return nil, invalid("The key must have 1 to 1,024 bytes."), true, nil
	}
	var h head
	_, found, err := v.current(&h, nil, q.Bucket, q.Key, true)
	if err != nil {
		return nil, nil, false, err
	}
	if !found { // only now does it matter whether the bucket exists: a fenced one has no keys
		var s bucketState
		if refused, err = v.bucket(&s, q.Bucket); refused == nil {
			refused = refuse(api.NoSuchKey, "")
		}
		return nil, refused, true, err
	}
	a = &LookupAnswer{Head: h.message()}
	if h.marker() {
		return a, refuse(api.NoSuchKey, ""), true, nil
	}
	ok, err = v.fill(a, q, &h)
	return a, nil, ok, err
}

// lookup reads any version from a reader that does not change.
func (v *view) lookup(q *LookupQuery) (*LookupAnswer, *Result, error) {
	if len(q.Version) == 0 && !q.NullVersion {
		a, refused, ok, err := v.lookupCurrent(q)
		if err == nil && !ok {
			err = broken("content of %q in bucket %d is missing", q.Key, q.Bucket)
		}
		return a, refused, err
	}
	id, ok := toVersionID(q.Version)
	if ok == q.NullVersion || !keyOK(q.Key) {
		return nil, invalid("The key or version ID is malformed."), nil
	}
	var s bucketState
	if refused, err := v.bucket(&s, q.Bucket); refused != nil || err != nil {
		return nil, refused, err
	}
	var h head
	_, found, err := v.current(&h, nil, q.Bucket, q.Key, true)
	if err != nil {
		return nil, nil, err
	}
	if !found || h.version != id && !(q.NullVersion && h.null()) {
		if _, found, err = v.noncurrentHead(&h, q.Bucket, q.Key, id); err != nil {
			return nil, nil, err
		}
	}
	if !found || q.Seq != 0 && q.Seq != h.seq {
		return nil, refuse(api.NoSuchVersion, ""), nil
	}
	a := &LookupAnswer{Head: h.message()}
	if h.marker() {
		return a, refuse(api.DeleteMarker, ""), nil
	}
	ok, err = v.fill(a, q, &h)
	if err == nil && !ok {
		err = broken("content of %q in bucket %d is missing", q.Key, q.Bucket)
	}
	return a, nil, err
}

// fill adds what else was asked for. ok is false when a record is missing.
func (v *view) fill(a *LookupAnswer, q *LookupQuery, h *head) (ok bool, err error) {
	if q.Versioning {
		var s bucketState
		if _, err := v.bucket(&s, q.Bucket); err != nil {
			return false, err
		}
		a.Versioning, a.ConfigEpoch = s.mode(), s.config
	}
	if q.Parts && h.parts > 0 {
		var rec PartsRecord
		if ok, err := v.getMessage(v.idKey(spaceParts, h.version), &rec); err != nil || !ok {
			return false, err
		}
		a.Parts = rec.Parts
	}
	switch {
	case !q.Body:
		return true, nil
	case h.inline():
		b, ok, err := v.getInto(nil, v.objectIDKey(spaceInline, q.Bucket, q.Key, h.version))
		if err != nil || !ok {
			return false, err
		}
		if !parseInline(a, b) {
			return false, broken("inline content of %q in bucket %d", q.Key, q.Bucket)
		}
		return true, nil
	}
	a.Manifest, ok, err = v.getInto(nil, v.idKey(spaceManifest, h.version))
	return ok, err
}

// parseInline reads the message Inline without copying.
func parseInline(a *LookupAnswer, b []byte) bool {
	return eachBytes(b, func(num protowire.Number, val []byte) bool {
		switch num {
		case 1:
			a.WrappedDek = val
		case 2:
			a.Inline = val
		}
		return true
	})
}
