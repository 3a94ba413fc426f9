package meta

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"shoal/node/consensus"
)

// errState is wrapped by every error that says that the stored state contradicts itself.
var errState = errors.New("meta: stored state contradicts itself")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errState}, args...)...)
}

// view reads one group's keys. Its buffers are reused, so it is for one goroutine.
type view struct {
	r    pebble.Reader
	g    consensus.GroupID
	kbuf []byte
	vbuf []byte
}

// key begins a key in the view's buffer: it lives until the next key is begun.
func (v *view) key(space byte) []byte { return appendSpace(v.kbuf[:0], v.g, space) }

// keep hands the buffer of a finished key back, in case it grew.
func (v *view) keep(k []byte) []byte {
	v.kbuf = k
	return k
}

func (v *view) uintKey(space byte, n uint64) []byte {
	return v.keep(appendUint64(v.key(space), n))
}

func (v *view) nameKey(space byte, name string) []byte {
	return v.keep(append(v.key(space), name...))
}

func (v *view) idKey(space byte, id versionID) []byte {
	return v.keep(append(v.key(space), id[:]...))
}

func (v *view) streamKey(space byte, id versionID, stream uint64) []byte {
	return v.keep(appendUint64(append(v.key(space), id[:]...), stream))
}

func (v *view) objectKey(space byte, bucket uint64, key []byte) []byte {
	return v.keep(appendKey(appendUint64(v.key(space), bucket), key))
}

func (v *view) objectIDKey(space byte, bucket uint64, key []byte, id versionID) []byte {
	return v.keep(append(v.objectKey(space, bucket, key), id[:]...))
}

func (v *view) objectSeqKey(space byte, bucket uint64, key []byte, seq uint64) []byte {
	return v.keep(appendUint64(v.objectKey(space, bucket, key), seq))
}

// get reads a key into the view's value buffer: the value lives until the next get.
func (v *view) get(key []byte) ([]byte, bool, error) {
	b, ok, err := v.getInto(v.vbuf[:0], key)
	v.vbuf = b[:0]
	return b, ok, err
}

// getInto appends the value of a key to dst.
func (v *view) getInto(dst, key []byte) ([]byte, bool, error) {
	val, closer, err := v.r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, fmt.Errorf("read metadata of group %d: %w", v.g, err)
	}
	dst = append(dst, val...)
	if err := closer.Close(); err != nil {
		return dst, false, fmt.Errorf("read metadata of group %d: %w", v.g, err)
	}
	return dst, true, nil
}

func (v *view) has(key []byte) (bool, error) {
	_, ok, err := v.get(key)
	return ok, err
}

// getMessage reads a record into m, which keeps nothing of the view's buffers.
func (v *view) getMessage(key []byte, m proto.Message) (bool, error) {
	b, ok, err := v.get(key)
	if err != nil || !ok {
		return false, err
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return false, broken("record %x of group %d: %v", key, v.g, err)
	}
	return true, nil
}

// getUint reads a number; 0 when there is none.
func (v *view) getUint(key []byte) (uint64, bool, error) {
	b, ok, err := v.get(key)
	if err != nil || !ok {
		return 0, false, err
	}
	if len(b) != 8 {
		return 0, false, broken("number %x of group %d has %d bytes", key, v.g, len(b))
	}
	return binary.BigEndian.Uint64(b), true, nil
}

// iter iterates over the keys that begin with prefix, which it does not retain.
func (v *view) iter(prefix []byte) (*pebble.Iterator, error) {
	lower := append([]byte(nil), prefix...)
	upper := successor(append([]byte(nil), prefix...))
	it, err := v.r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("scan metadata of group %d: %w", v.g, err)
	}
	return it, nil
}

// scan calls f for the keys that begin with prefix, in order, until f says stop. suffix is the
// key behind prefix; both slices live until f returns.
func (v *view) scan(prefix []byte, f func(suffix, value []byte) (more bool, err error)) error {
	return v.scanFrom(prefix, nil, f)
}

// scanFrom is scan from the first suffix that is at least from.
func (v *view) scanFrom(prefix, from []byte, f func(suffix, value []byte) (more bool, err error)) (err error) {
	n := len(prefix)
	start := append(append([]byte(nil), prefix...), from...)
	it, err := v.iter(prefix)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("scan metadata of group %d: %w", v.g, cerr)
		}
	}()
	for ok := it.SeekGE(start); ok; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan metadata of group %d: %w", v.g, err)
		}
		if more, err := f(it.Key()[n:], val); err != nil || !more {
			return err
		}
	}
	return nil
}

// current reads the current version of a key into h, whose slices then belong to buf. versioned false
// says that the bucket cannot have delete markers.
func (v *view) current(h *head, buf []byte, bucket uint64, key []byte, versioned bool) ([]byte, bool, error) {
	buf, ok, err := v.headAt(h, buf, v.objectKey(spaceCurrent, bucket, key))
	h.space = spaceCurrent
	if ok || err != nil || !versioned {
		return buf, ok, err
	}
	buf, ok, err = v.headAt(h, buf, v.objectKey(spaceBuried, bucket, key))
	h.space = spaceBuried
	return buf, ok, err
}

// headAt reads a head record into h, whose slices then belong to the buffer returned.
func (v *view) headAt(h *head, buf, key []byte) ([]byte, bool, error) {
	buf, ok, err := v.getInto(buf[:0], key)
	if err != nil || !ok {
		return buf, false, err
	}
	if !h.parse(buf) {
		return buf, false, broken("head %x of group %d", key, v.g)
	}
	return buf, true, nil
}
