package shardstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shoal/chunker"
)

// lookup returns a shard's entry.
func (s *Store) lookup(id ID) (entry, error) {
	x, done, err := s.index()
	if err != nil {
		return entry{}, err
	}
	e, err := x.entry(x.db, id)
	done()
	return e, s.indexError(err)
}

// indexError turns damage of the index into what callers see, and has it mended.
func (s *Store) indexError(err error) error {
	if !errors.Is(err, errIndexDamaged) {
		return err
	}
	s.askMend()
	return fmt.Errorf("%w: %v", ErrRebuilding, err)
}

// locate returns where a shard's payload lies, from memory or from the index.
func (s *Store) locate(id ID) (location, error) {
	loc, version, ok := s.cache.get(id)
	if ok {
		return loc, nil
	}
	e, err := s.lookup(id)
	if err != nil {
		return location{}, err
	}
	if e.corrupt() {
		return location{}, fmt.Errorf("%w: shard %v is marked so", ErrCorrupt, id)
	}
	loc = location{seg: e.pos.seg, length: e.payloadLen, off: e.payloadOffset()}
	s.cache.put(id, loc, version)
	return loc, nil
}

// ReadAt reads payload bytes from off on as they lie on disk, like io.ReaderAt: it returns io.EOF
// along with what there was when the payload ends before p is full. The bytes are not verified; the
// caller authenticates them or uses ReadVerified. It does not allocate for a shard read before.
func (s *Store) ReadAt(ctx context.Context, id ID, p []byte, off int64) (int, error) {
	return s.readAt(ctx, id, p, off, false)
}

// ReadOnce is ReadAt for much that is not wanted again soon: it goes past the page cache where it can, as ReadVerified does.
func (s *Store) ReadOnce(ctx context.Context, id ID, p []byte, off int64) (int, error) {
	return s.readAt(ctx, id, p, off, true)
}

func (s *Store) readAt(ctx context.Context, id ID, p []byte, off int64, once bool) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for {
		round := s.reclaims.Load()
		loc, err := s.locate(id)
		if err != nil {
			return 0, err
		}
		n, err := s.readPayload(id, loc, p, off, once)
		if round != s.reclaims.Load() {
			// Space was given back meanwhile, maybe that of this shard: what was read stands only
			// if the shard is still there.
			if again, err := s.locate(id); err != nil || again != loc {
				continue
			}
		}
		if err == nil || err == io.EOF {
			s.met.reads.Inc()
			s.met.readBytes.Add(float64(n))
		}
		return n, err
	}
}

// directMin is from how many bytes on a read that will not come again goes past the page cache: as long as a readahead is by default.
const directMin = 128 << 10

// readPayload reads like ReadAt. once says that the bytes are not wanted again soon.
func (s *Store) readPayload(id ID, loc location, p []byte, off int64, once bool) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: read at %d", ErrInvalid, off)
	}
	if off >= int64(loc.length) {
		return 0, io.EOF
	}
	short := int64(len(p)) > int64(loc.length)-off
	if short {
		p = p[:int64(loc.length)-off]
	}
	if once && len(p) >= directMin && s.readDirect(loc, p, off) {
		if short {
			return len(p), io.EOF
		}
		return len(p), nil
	}
	h, err := s.segs.acquire(loc.seg)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("%w: shard %v: its segment %08x is gone", ErrCorrupt, id, loc.seg)
		}
		return 0, err
	}
	n, err := h.ReadAt(p, loc.off+off)
	h.release()
	switch {
	case err == io.EOF && n < len(p):
		return n, fmt.Errorf("%w: segment %08x ends within shard %v", ErrCorrupt, loc.seg, id)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("read shard %v: %w", id, err)
	case short:
		return n, io.EOF
	}
	return n, nil
}

// readDirect reads payload bytes past the page cache and says whether it has. If not, who reads through it learns why. Both p and the
// offset must be aligned for that; of the last page, which p does not fill, what belongs to p is copied.
func (s *Store) readDirect(loc location, p []byte, off int64) bool {
	if !isAligned(p) || off%pageSize != 0 {
		return false
	}
	h, err := s.direct.acquire(loc.seg)
	if err != nil {
		return false
	}
	defer h.release()
	full := len(p) &^ (pageSize - 1)
	if full == len(p) {
		_, err = h.ReadvAt([][]byte{p}, loc.off+off)
		return err == nil
	}
	buf := s.heads.Get().(*[]byte)
	defer s.heads.Put(buf)
	last := (*buf)[:pageSize]
	if _, err = h.ReadvAt([][]byte{p[:full], last}, loc.off+off); err != nil {
		return false
	}
	copy(p[full:], last)
	return true
}

// ReadVerified is ReadAt with bytes that were verified against the shard's hash. It reads and
// hashes the groups of 64 KiB that the range touches. Damage is ErrCorrupt. Who wants much, in memory that is aligned to pages, is
// served past the page cache.
func (s *Store) ReadVerified(ctx context.Context, id ID, p []byte, off int64) (int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		round := s.reclaims.Load()
		e, err := s.lookup(id)
		if err != nil {
			return 0, err
		}
		n, err := s.readVerified(ctx, id, &e, p, off)
		if round != s.reclaims.Load() {
			if again, err := s.lookup(id); err != nil || again.pos != e.pos {
				continue
			}
		}
		if err == nil || err == io.EOF {
			s.met.reads.Inc()
			s.met.readBytes.Add(float64(n))
		}
		return n, err
	}
}

func (s *Store) readVerified(ctx context.Context, id ID, e *entry, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: read at %d", ErrInvalid, off)
	}
	if e.corrupt() {
		return 0, fmt.Errorf("%w: shard %v is marked so", ErrCorrupt, id)
	}
	if off >= int64(e.payloadLen) {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	blk, err := s.readHead(id, e)
	if err != nil {
		return 0, err
	}
	end := min(off+int64(len(p)), int64(e.payloadLen))
	from := off &^ (chunker.HashGroupSize - 1)
	to := min((end+chunker.HashGroupSize-1)&^(chunker.HashGroupSize-1), int64(e.payloadLen))
	loc := location{seg: e.pos.seg, length: e.payloadLen, off: e.payloadOffset()}
	groups := p
	if from != off || to != end || int(end-off) != len(p) {
		buf, err := s.copies.Get(ctx, int(to-from))
		if err != nil {
			return 0, err
		}
		defer buf.Release()
		groups = buf.B[:to-from]
	}
	if _, err := s.readPayload(id, loc, groups, from, true); err != nil && err != io.EOF {
		return 0, err
	}
	if !chunker.VerifyRange(blk.shard.outboard, int(e.payloadLen), blk.shard.hash(), int(from), groups) {
		s.met.corrupt.Inc()
		clear(groups)
		return 0, fmt.Errorf("%w: payload of shard %v within [%d, %d)", ErrCorrupt, id, from, to)
	}
	n := int(end - off)
	if &groups[0] != &p[0] || from != off {
		copy(p, groups[off-from:][:n])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readHead reads the head of a shard's record and makes sure that it is the one the entry means.
func (s *Store) readHead(id ID, e *entry) (*block, error) {
	if e.headLen < blockHeadLen || e.headLen > headBytesMax {
		return nil, fmt.Errorf("%w: entry of shard %v has a head of %d bytes", ErrCorrupt, id, e.headLen)
	}
	h, err := s.segs.acquire(e.pos.seg)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("%w: shard %v: its segment %08x is gone", ErrCorrupt, id, e.pos.seg)
		}
		return nil, err
	}
	defer h.release()
	head := make([]byte, e.headLen)
	if _, err := h.ReadAt(head, e.pos.offset()); err != nil {
		if err == io.EOF {
			err = fmt.Errorf("%w: segment %08x ends within it", ErrCorrupt, e.pos.seg)
		}
		return nil, fmt.Errorf("read head of shard %v: %w", id, err)
	}
	blk, err := decodeBlock(head)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: head of shard %v: %v", ErrCorrupt, id, err)
	case blk.kind != kindShard || blk.shard.id != id || blk.pos != e.pos || blk.seq != e.seq || blk.bodyLen != e.payloadLen:
		return nil, fmt.Errorf("%w: head of shard %v is that of another record", ErrCorrupt, id)
	}
	return blk, nil
}

// Stat describes a stored shard, hashes and owners included. A shard whose record cannot be read is
// described as far as the index goes, along with ErrCorrupt.
func (s *Store) Stat(id ID) (Info, error) {
	for {
		round := s.reclaims.Load()
		x, done, err := s.index()
		if err != nil {
			return Info{}, err
		}
		e, err := x.entry(x.db, id)
		var owners []Owner
		if err == nil {
			owners, err = x.owners(x.db, id)
		}
		done()
		if err != nil {
			return Info{}, s.indexError(err)
		}
		info := e.info(id)
		info.Owners = owners
		blk, err := s.readHead(id, &e)
		if round != s.reclaims.Load() {
			continue
		}
		if err != nil {
			return info, err
		}
		info.Hashes = hashesOf(blk.shard)
		return info, nil
	}
}

// Owners gives the owners of a shard from the index alone. It returns ErrNotFound when the shard is not
// there, and ErrCorrupt when it is known to be damaged.
func (s *Store) Owners(id ID) ([]Owner, error) {
	x, done, err := s.index()
	if err != nil {
		return nil, err
	}
	defer done()
	e, err := x.entry(x.db, id)
	if err != nil {
		return nil, s.indexError(err)
	}
	if e.corrupt() {
		return nil, fmt.Errorf("%w: shard %v", ErrCorrupt, id)
	}
	owners, err := x.owners(x.db, id)
	return owners, s.indexError(err)
}

// scanPage is how many shards Scan takes from the index at a time.
const scanPage = 256

// Scan calls fn for the shards after the given ID, in the order of IDs, until fn returns false. A
// shard that comes or goes meanwhile may or may not be seen. Info has no hashes. The zero ID starts
// at the beginning: no chunk has it. fn may use the store.
func (s *Store) Scan(ctx context.Context, after ID, fn func(Info) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		infos, err := s.scan(after)
		if err != nil || len(infos) == 0 {
			return s.indexError(err)
		}
		for _, info := range infos {
			if !fn(info) {
				return nil
			}
		}
		after = infos[len(infos)-1].ID
	}
}

// scan returns the next shards, at most scanPage, none at the end.
func (s *Store) scan(after ID) ([]Info, error) {
	x, done, err := s.index()
	if err != nil {
		return nil, err
	}
	defer done()
	start := shardEnd(after)
	if after == (ID{}) {
		start = []byte{keyShard}
	}
	var sc scanner
	err = x.each(start, []byte{keyShard + 1}, sc.next)
	if err == errScanned {
		err = nil
	}
	return sc.infos, err
}

// scanner puts entries and the owner keys behind them together.
type scanner struct{ infos []Info }

// errScanned ends an iteration that has enough.
var errScanned = errors.New("enough")

func (sc *scanner) next(key, value []byte) error {
	switch len(key) {
	case shardKeyLen + ownerLen:
		last := len(sc.infos) - 1
		if last < 0 || parseID(key[1:]) != sc.infos[last].ID {
			return fmt.Errorf("%w: owner of a shard that has no entry", errIndexDamaged)
		}
		sc.infos[last].Owners = append(sc.infos[last].Owners, parseOwnerKey(key))
		return nil
	case shardKeyLen:
		if len(sc.infos) == scanPage {
			return errScanned
		}
		e, err := decodeEntry(value)
		sc.infos = append(sc.infos, e.info(parseID(key[1:])))
		return err
	}
	return fmt.Errorf("%w: shard key of %d bytes", errIndexDamaged, len(key))
}
