package meta

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"shoal/node/api"
	"shoal/node/consensus"
)

const (
	listMax      = 1000
	delimiterMax = 1024
	// scanMax is how many keys one page looks at: delete markers are skipped, but not for ever.
	scanMax = 100_000
)

// ListEntry is a key in a listing. Its slices belong to the page.
type ListEntry struct {
	Key, ETag         []byte
	Size              uint64
	Mtime             int64 // Unix nanoseconds
	Version           [16]byte
	ChecksumAlgorithm uint32
	ChecksumType      uint32
	Class             api.StorageClass
	Tags              []byte // message Tags, when asked for
}

// ListPage is one page of keys and common prefixes, each in ascending order.
type ListPage struct {
	Entries   []ListEntry
	Prefixes  [][]byte
	Truncated bool
	// Next is After of the next page, when Truncated: the last key or common prefix of this page or
	// a key after it.
	Next []byte
}

// List lists current versions that are not delete markers. A key whose rest behind Prefix holds
// Delimiter is listed as a common prefix, once; a key or common prefix is listed only when it is
// greater than After. NoSuchBucket. The page belongs to the caller.
func (m *Machine) List(r pebble.Reader, g consensus.GroupID, q *ListQuery) (*ListPage, error) {
	l := new(lister)
	if err := l.list(r, g, q); err != nil {
		return nil, err
	}
	return &l.page, nil
}

// listers keep their memory for the next page, once this one is encoded.
var listers = sync.Pool{New: func() any { return new(lister) }}

// listEncoded is List, encoded.
func listEncoded(r pebble.Reader, g consensus.GroupID, q *ListQuery) ([]byte, error) {
	l := listers.Get().(*lister)
	defer l.release()
	if err := l.list(r, g, q); err != nil {
		return nil, err
	}
	return AppendListPage(make([]byte, 0, l.page.sizeMax()), &l.page), nil
}

// list makes the page.
func (l *lister) list(r pebble.Reader, g consensus.GroupID, q *ListQuery) error {
	v := view{r: r, g: g}
	var s bucketState
	if refused, err := v.bucket(&s, q.Bucket); refused != nil || err != nil {
		return firstError(err, asError(refused, "meta.List"))
	}
	if r := checkFold(q.Prefix, q.Delimiter, q.After); r != nil {
		return r.Err("meta.List")
	}
	if q.Max == 0 {
		return nil
	}
	l.max, l.tags = int(min(q.Max, listMax)), q.Tags
	l.fold = fold{prefix: q.Prefix, delimiter: q.Delimiter, after: q.After}
	return l.fold.run(&v, appendUint64(v.key(spaceCurrent), q.Bucket), l)
}

// release gives up the page.
func (l *lister) release() {
	entries := l.page.Entries
	clear(entries)
	*l = lister{page: ListPage{Entries: entries[:0]}, arena: l.arena[:0]}
	listers.Put(l)
}

func checkFold(prefix, delimiter, after []byte) *Result {
	if len(prefix) > 1024 || len(delimiter) > delimiterMax || len(after) > 2048 {
		return invalid("Prefix, delimiter or start of the listing is too long.")
	}
	return nil
}

// fold walks over records whose keys are an object key and perhaps more, and folds those behind a
// common prefix into one, without reading the others behind it.
type fold struct {
	prefix, delimiter []byte
	after             []byte // object key or common prefix, exclusive
	afterRest         []byte // when set: records of the key after are wanted that lie behind this

	buried bool // keys whose current version is a delete marker are wanted too

	limit int    // records looked at, 0 for scanMax
	seek  []byte // buffer
}

// visitor receives what a fold meets. more false ends the walk.
type visitor interface {
	// record is called for a record of its own; rest is its key behind the object key.
	record(key, rest, value []byte) (more bool, err error)
	// shows says whether the record makes its common prefix worth listing.
	shows(value []byte) (bool, error)
	// prefix is called once for each common prefix.
	prefix(p []byte) (more bool, err error)
	// tired is called when too many records were looked at; key is the last of them. Nothing
	// stops inside a common prefix that is not yet known to be worth listing.
	tired(key []byte)
}

// run walks the keys that begin with base. The slices that it hands out live until the next.
func (f *fold) run(v *view, base []byte, to visitor) (err error) {
	base = bytes.Clone(base)
	limit := f.limit
	if limit == 0 {
		limit = scanMax
	}
	it, err := f.open(v, base)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("scan metadata of group %d: %w", v.g, cerr)
		}
	}()
	ok := f.first(it, base)
	for n := 0; ok; n++ {
		key, rest, good := cutKey(nil, it.Key()[len(base):])
		if !good {
			return broken("key %x", it.Key())
		}
		val, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan metadata of group %d: %w", v.g, err)
		}
		more := true
		if p := f.common(key); p == nil {
			more, err = to.record(key, rest, val)
			if n >= limit && more && err == nil {
				to.tired(key)
				return nil
			}
			ok = err == nil && more && it.Next()
		} else if bytes.Compare(p, f.after) <= 0 {
			ok = f.pass(it, base, p)
		} else if shows, serr := to.shows(val); serr != nil || !shows {
			err = serr
			ok = err == nil && it.Next()
		} else {
			more, err = to.prefix(p)
			ok = err == nil && more && f.pass(it, base, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// open gives the records to walk over.
func (f *fold) open(v *view, base []byte) (walker, error) {
	it, err := v.iter(appendEscaped(bytes.Clone(base), f.prefix))
	if err != nil || !f.buried {
		return it, err
	}
	other := bytes.Clone(base)
	other[prefixLen] = spaceBuried
	second, err := v.iter(appendEscaped(other, f.prefix))
	if err != nil {
		return nil, errors.Join(err, it.Close())
	}
	return &merged{first: it, second: second}, nil
}

// first goes to the first record behind after.
func (f *fold) first(it walker, base []byte) bool {
	if len(f.after) == 0 {
		return it.First()
	}
	f.seek = appendKey(append(f.seek[:0], base...), f.after)
	if f.afterRest != nil {
		f.seek = append(append(f.seek, f.afterRest...), 0)
		return it.SeekGE(f.seek)
	}
	return it.SeekGE(successor(f.seek))
}

// common gives the common prefix of a key, nil when it is listed by itself.
func (f *fold) common(key []byte) []byte {
	if len(f.delimiter) == 0 {
		return nil
	}
	i := bytes.Index(key[len(f.prefix):], f.delimiter)
	if i < 0 {
		return nil
	}
	return key[:len(f.prefix)+i+len(f.delimiter)]
}

// pass goes to the first record whose key does not begin with p.
func (f *fold) pass(it walker, base, p []byte) bool {
	f.seek = appendEscaped(append(f.seek[:0], base...), p)
	return it.SeekGE(successor(f.seek))
}

// lister fills a page of keys.
type lister struct {
	fold  fold
	page  ListPage
	max   int
	tags  bool
	arena []byte
	h     head
}

// full says that the page has all it may have: then there is more than it holds.
func (l *lister) full() bool {
	if len(l.page.Entries)+len(l.page.Prefixes) < l.max {
		return false
	}
	l.page.Truncated = true
	return true
}

func (l *lister) record(key, _, val []byte) (bool, error) {
	if !l.h.parseListing(val) || l.tags && !l.h.parse(val) {
		return false, broken("head of %q", key)
	}
	if l.h.marker() {
		return true, nil
	}
	if l.full() {
		return false, nil
	}
	if n := len(l.page.Entries); n == cap(l.page.Entries) { // small first, then all that it may become
		l.page.Entries = append(make([]ListEntry, 0, min(l.max, max(64, n*n))), l.page.Entries...)
	}
	l.page.Entries = append(l.page.Entries, ListEntry{
		Key: l.keep(key), ETag: l.keep(l.h.etag), Size: l.h.size, Mtime: l.h.mtime, Version: l.h.version,
		ChecksumAlgorithm: l.h.algorithm, ChecksumType: l.h.sumType, Tags: l.keep(l.h.tags), Class: classOf(l.h.flags),
	})
	l.page.Next = l.page.Entries[len(l.page.Entries)-1].Key
	return true, nil
}

func (l *lister) shows(val []byte) (bool, error) {
	if !l.h.parseListing(val) {
		return false, broken("head in a listing")
	}
	return !l.h.marker(), nil
}

func (l *lister) prefix(p []byte) (bool, error) {
	if l.full() {
		return false, nil
	}
	l.page.Prefixes = append(l.page.Prefixes, l.keep(p))
	l.page.Next = l.page.Prefixes[len(l.page.Prefixes)-1]
	return true, nil
}

func (l *lister) tired(key []byte) {
	l.page.Truncated = true
	l.page.Next = bytes.Clone(key)
}

// arenaMax is the largest piece of memory for a page's keys; 1,000 of common length fit in.
const arenaMax = 128 << 10

// keep copies b into memory of the page: few large pieces instead of many small ones.
func (l *lister) keep(b []byte) []byte {
	if cap(l.arena)-len(l.arena) < len(b) {
		l.arena = make([]byte, 0, max(len(b), min(arenaMax, max(2<<10, 2*cap(l.arena)))))
	}
	n := len(l.arena)
	l.arena = append(l.arena, b...)
	return l.arena[n:len(l.arena):len(l.arena)]
}

// sizeMax is more than the page takes when it is encoded.
func (p *ListPage) sizeMax() int {
	const varints = 80 // tags, lengths, numbers and the version of an entry
	n := varints + len(p.Next)
	for i := range p.Entries {
		e := &p.Entries[i]
		n += varints + len(e.Key) + len(e.ETag) + len(e.Tags)
	}
	for _, prefix := range p.Prefixes {
		n += varints + len(prefix)
	}
	return n
}

// AppendListPage encodes a page as it travels: see docs/formats/metadata.md.
func AppendListPage(dst []byte, p *ListPage) []byte {
	var entry []byte
	for i := range p.Entries {
		e := &p.Entries[i]
		entry = appendBytesField(entry[:0], 1, e.Key)
		entry = appendBytesField(entry, 2, e.ETag)
		entry = appendUintField(entry, 3, e.Size)
		entry = appendUintField(entry, 4, uint64(e.Mtime))
		entry = appendBytesField(entry, 5, e.Version[:])
		entry = appendUintField(entry, 6, uint64(e.ChecksumAlgorithm))
		entry = appendUintField(entry, 7, uint64(e.ChecksumType))
		entry = appendUintField(entry, 30, uint64(e.Class))
		entry = appendBytesField(entry, 50, e.Tags)
		dst = protowire.AppendTag(dst, 1, protowire.BytesType)
		dst = protowire.AppendBytes(dst, entry)
	}
	for _, p := range p.Prefixes {
		dst = protowire.AppendTag(dst, 2, protowire.BytesType)
		dst = protowire.AppendBytes(dst, p)
	}
	if p.Truncated {
		dst = appendUintField(dst, 3, 1)
	}
	return appendBytesField(dst, 4, p.Next)
}

// ParseListPage decodes a page, whose slices alias b.
func ParseListPage(b []byte) (*ListPage, error) {
	p := &ListPage{Entries: make([]ListEntry, 0, entriesIn(b))}
	bad := func() (*ListPage, error) { return nil, fmt.Errorf("meta: malformed list page of %d bytes", len(b)) }
	for in := b; len(in) > 0; {
		num, typ, n := protowire.ConsumeTag(in)
		if n < 0 {
			return bad()
		}
		in = in[n:]
		size := protowire.ConsumeFieldValue(num, typ, in)
		if size < 0 {
			return bad()
		}
		val := in[:size]
		in = in[size:]
		if typ == protowire.VarintType && num == 3 {
			flag, _ := protowire.ConsumeVarint(val)
			p.Truncated = flag != 0
		}
		if typ != protowire.BytesType {
			continue
		}
		val, _ = protowire.ConsumeBytes(val)
		switch num {
		case 1:
			var e ListEntry
			if !e.parse(val) {
				return bad()
			}
			p.Entries = append(p.Entries, e)
		case 2:
			p.Prefixes = append(p.Prefixes, val)
		case 4:
			p.Next = val
		}
	}
	return p, nil
}

// entriesIn counts the entries of an encoded page, up to what is broken or more than a page has.
func entriesIn(b []byte) (n int) {
	for len(b) > 0 && n < listMax {
		num, _, size := protowire.ConsumeField(b)
		if size < 0 {
			break
		}
		if num == 1 {
			n++
		}
		b = b[size:]
	}
	return n
}

// parse decodes an entry of a page.
func (e *ListEntry) parse(b []byte) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return false
		}
		switch typ {
		case protowire.BytesType:
			val, _ := protowire.ConsumeBytes(b)
			switch num {
			case 1:
				e.Key = val
			case 2:
				e.ETag = val
			case 5:
				if len(val) != len(e.Version) {
					return false
				}
				copy(e.Version[:], val)
			case 50:
				e.Tags = val
			}
		case protowire.VarintType:
			val, _ := protowire.ConsumeVarint(b)
			switch num {
			case 3:
				e.Size = val
			case 4:
				e.Mtime = int64(val)
			case 6:
				e.ChecksumAlgorithm = uint32(val)
			case 7:
				e.ChecksumType = uint32(val)
			case 30:
				e.Class = classFrom(val)
			}
		}
		b = b[size:]
	}
	return true
}
