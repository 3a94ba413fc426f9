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
