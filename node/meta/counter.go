package meta

import (
	"google.golang.org/protobuf/encoding/protowire"

	"shoal/node/api"
)

// format is the number of the layout of all keys and records of a group.
const format = 1

// header is the one record of a group that every command changes. All values are non-negative.
type header struct {
	format         uint64
	clock          uint64 // group time, Unix nanoseconds
	nextSeq        uint64 // of versions and events; the feed holds feedFirst to nextSeq-1
	feedFirst      uint64
	nextGarbage    uint64
	garbagePending uint64
	totals         counters
	queues         [queueCount]queueState
	agreed         uint64 // time that a majority of voters has confirmed, Unix nanoseconds
	readOnly       uint64 // 1 while the group takes no writes of clients
	rootOff        uint64 // of the system group: 1 while root is disabled
}

// counters count what a bucket or group holds: see message Counters.
type counters struct{ objects, bytes, versions, uploads uint64 }

func (c *counters) message() *Counters {
	return &Counters{Objects: c.objects, Bytes: c.bytes, Versions: c.versions, Uploads: c.uploads}
}

func newHeader() header {
	h := header{format: format, nextSeq: 1, feedFirst: 1, nextGarbage: 1}
	return h
}

func (h *header) fields() []*uint64 {
	f := []*uint64{
		&h.format, &h.clock, &h.nextSeq, &h.feedFirst, &h.nextGarbage, &h.garbagePending,
		&h.totals.objects, &h.totals.bytes, &h.totals.versions, &h.totals.uploads,
	}
	for i := range h.queues {
		f = append(f, &h.queues[i].head, &h.queues[i].tail, &h.queues[i].due)
	}
	return append(f, &h.agreed, &h.readOnly, &h.rootOff)
}

func (h *header) append(b []byte) []byte { return appendUints(b, h.fields()) }

func (h *header) parse(b []byte) bool {
	*h = header{}
	return parseUints(b, h.fields()) && h.format == format
}

// bucketState is the record of a bucket that its every write changes.
type bucketState struct {
	id         uint64
	fenced     uint64 // fenceLiftable or fenceFinal; 0 when open
	fenceEpoch uint64 // greatest deletion epoch that fenced or unfenced
	config     uint64 // configuration epoch
	versioning uint64
	counters
	locks     uint64 // 1 with object lock
	lockMode  uint64 // of the default retention
	lockDays  uint64
	lockYears uint64
	quota     [2]uint64 // bytes and objects; 0 is for no bound
	readOnly  uint64    // 1 while the bucket takes no writes

	dirty bool
}

func (s *bucketState) fields() []*uint64 {
	return []*uint64{
		&s.fenced, &s.fenceEpoch, &s.config, &s.versioning,
		&s.objects, &s.bytes, &s.versions, &s.uploads,
		&s.locks, &s.lockMode, &s.lockDays, &s.lockYears,
		&s.quota[0], &s.quota[1], &s.readOnly,
	}
}

func (s *bucketState) append(b []byte) []byte { return appendUints(b, s.fields()) }

func (s *bucketState) parse(b []byte) bool {
	*s = bucketState{id: s.id}
	return parseUints(b, s.fields())
}

func (s *bucketState) mode() Versioning { return Versioning(s.versioning) }

// bucket reads a bucket's record. A bucket without one exists and is empty: the directory says
// which buckets there are. A bucket behind a fence is refused.
func (v *view) bucket(s *bucketState, id uint64) (*Result, error) {
	*s = bucketState{id: id}
	if id == 0 {
		return refuse(api.InvalidArgument, "The bucket ID is missing."), nil
	}
	b, ok, err := v.get(v.uintKey(spaceBucket, id))
	if err != nil {
		return nil, err
	}
	if ok && !s.parse(b) {
		return nil, broken("record of bucket %d of group %d", id, v.g)
	}
	if s.fenced != 0 {
		return refuse(api.NoSuchBucket, ""), nil
	}
	return nil, nil
}

// header reads a group's header; that of an empty group when there is none.
func (v *view) header(h *header) error {
	b, ok, err := v.get(v.keep(v.key(spaceHeader)))
	if err != nil {
		return err
	}
	if !ok {
		*h = newHeader()
		return nil
	}
	if !h.parse(b) {
		return broken("header of group %d is not of format %d", v.g, format)
	}
	return nil
}

// appendUints writes numbers as varint fields 1, 2, …; zeros are left out.
func appendUints(b []byte, fields []*uint64) []byte {
	for i, f := range fields {
		b = appendUintField(b, protowire.Number(i+1), *f)
	}
	return b
}

// parseUints reads what appendUints wrote. Unknown numbers are skipped.
func parseUints(b []byte, fields []*uint64) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.VarintType {
			return false
		}
		v, m := protowire.ConsumeVarint(b[n:])
		if m < 0 {
			return false
		}
		if int(num) <= len(fields) {
			*fields[num-1] = v
		}
		b = b[n+m:]
	}
	return true
}
