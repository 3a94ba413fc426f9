package meta

import (
	"bytes"
	"encoding/binary"
)

// queryUploads lists open uploads by key, then in the order in which they were begun.
func (v *view) queryUploads(q *UploadsQuery) (*UploadsAnswer, *Result, error) {
	var s bucketState
	if r, err := v.bucket(&s, q.Bucket); r != nil || err != nil {
		return nil, r, err
	}
	if r := checkFold(q.Prefix, q.Delimiter, q.AfterKey); r != nil {
		return nil, r, nil
	}
	l := &uploadLister{a: new(UploadsAnswer), max: int(min(q.Max, listMax))}
	if l.max == 0 {
		return l.a, nil, nil
	}
	f := fold{prefix: q.Prefix, delimiter: q.Delimiter, after: q.AfterKey}
	if len(q.AfterUpload) > 0 && len(q.AfterKey) > 0 {
		rest, err := v.uploadMarker(q)
		if err != nil {
			return nil, nil, err
		}
		f.afterRest = rest
	}
	return l.a, nil, f.run(v, appendUint64(v.key(spaceUpload), q.Bucket), l)
}

// uploadMarker finds an upload's place among those of its key. One that is not known any more
// gives the place before all of them: some are then listed again, none is missed.
func (v *view) uploadMarker(q *UploadsQuery) ([]byte, error) {
	id, ok := toVersionID(q.AfterUpload)
	if !ok {
		return []byte{}, nil
	}
	var o OwnerRecord
	ok, err := v.getMessage(v.idKey(spaceOwner, id), &o)
	if err != nil || !ok || o.Bucket != q.Bucket || o.InitiatedSeq == 0 {
		return []byte{}, err
	}
	return binary.BigEndian.AppendUint64(nil, o.InitiatedSeq), nil
}

// uploadLister fills an answer with uploads.
type uploadLister struct {
	a   *UploadsAnswer
	max int
}

func (l *uploadLister) full() bool {
	l.a.Truncated = len(l.a.Uploads)+len(l.a.Prefixes) >= l.max
	return l.a.Truncated
}

func (l *uploadLister) record(key, _, val []byte) (bool, error) {
	if l.full() {
		return false, nil
	}
	u := new(Upload)
	if err := unmarshal(val, u); err != nil {
		return false, err
	}
	u.Key = bytes.Clone(key)
	l.a.Uploads = append(l.a.Uploads, u)
	l.a.NextKey, l.a.NextUpload = u.Key, u.Upload
	return true, nil
}

func (l *uploadLister) shows([]byte) (bool, error) { return true, nil }

func (l *uploadLister) prefix(p []byte) (bool, error) {
	if l.full() {
		return false, nil
	}
	l.a.Prefixes = append(l.a.Prefixes, bytes.Clone(p))
	l.a.NextKey, l.a.NextUpload = bytes.Clone(p), nil
	return true, nil
}

func (l *uploadLister) tired([]byte) {} // every record fills the page

// queryVersions lists all versions by key, the newest of each key first.
func (v *view) queryVersions(q *VersionsQuery) (*VersionsAnswer, *Result, error) {
	var s bucketState
	if r, err := v.bucket(&s, q.Bucket); r != nil || err != nil {
		return nil, r, err
	}
	if r := checkFold(q.Prefix, q.Delimiter, q.AfterKey); r != nil {
		return nil, r, nil
	}
	l := &versionLister{a: new(VersionsAnswer), max: int(min(q.Max, listMax)), bucket: q.Bucket}
	l.v = view{r: v.r, g: v.g}
	if l.max == 0 {
		return l.a, nil, nil
	}
	f := fold{prefix: q.Prefix, delimiter: q.Delimiter, after: q.AfterKey}
	if q.AfterSeq != 0 && bytes.HasPrefix(q.AfterKey, q.Prefix) && f.common(q.AfterKey) == nil {
		if more, err := l.older(q.AfterKey, q.AfterSeq); err != nil || !more {
			return l.a, nil, err
		}
	}
	return l.a, nil, f.run(v, appendUint64(v.key(spaceCurrent), q.Bucket), l)
}

// versionLister fills an answer with versions. It walks the current ones and looks below each.
type versionLister struct {
	a      *VersionsAnswer
	v      view
	bucket uint64
	max    int
}

func (l *versionLister) full() bool {
	l.a.Truncated = len(l.a.Versions)+len(l.a.Prefixes) >= l.max
	return l.a.Truncated
}

func (l *versionLister) record(key, _, val []byte) (bool, error) {
	seq, more, err := l.add(key, val, true)
	if err != nil || !more {
		return more, err
	}
	return l.older(key, seq)
}

// older adds the versions of a key that are older than seq.
func (l *versionLister) older(key []byte, seq uint64) (more bool, err error) {
	key = bytes.Clone(key)
	from := appendUint64(nil, ^(seq - 1))
	more = true
	err = l.v.scanFrom(l.v.objectKey(spaceVersion, l.bucket, key), from, func(_, val []byte) (bool, error) {
		var err error
		_, more, err = l.add(key, val, false)
		return more, err
	})
	return more, err
}

func (l *versionLister) add(key, val []byte, latest bool) (seq uint64, more bool, err error) {
	if l.full() {
		return 0, false, nil
	}
	var h head
	if !h.parse(bytes.Clone(val)) {
		return 0, false, broken("head of %q", key)
	}
	h.metadata = nil
	l.a.Versions = append(l.a.Versions, &VersionEntry{Key: bytes.Clone(key), Head: h.message(), Latest: latest})
	l.a.NextKey, l.a.NextSeq = bytes.Clone(key), h.seq
	return h.seq, true, nil
}

func (l *versionLister) shows([]byte) (bool, error) { return true, nil }

func (l *versionLister) prefix(p []byte) (bool, error) {
	if l.full() {
		return false, nil
	}
	l.a.Prefixes = append(l.a.Prefixes, bytes.Clone(p))
	l.a.NextKey, l.a.NextSeq = bytes.Clone(p), 0
	return true, nil
}

func (l *versionLister) tired([]byte) {} // every record fills the page
