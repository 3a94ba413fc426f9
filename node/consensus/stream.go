package consensus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A snapshot travels as blocks of keys and values of the group's whole state span, keys without the span's prefix and in order. Each
// block is length, CRC-32C, payload; an empty block ends the stream and carries the number of keys. docs/formats/raft-frame.md describes it.

const (
	streamBlockBytes    = 256 << 10
	streamBlockBytesMax = 16 << 20
	streamKeyMax        = 64 << 10
	// importFileBytes is where the receiver closes a file and begins the next.
	importFileBytes = 64 << 20
)

// exportState writes the state span of g to w.
func exportState(sn *pebble.Snapshot, g GroupID, w io.Writer) error {
	it, err := sn.NewIter(&pebble.IterOptions{LowerBound: groupKey(spaceState, g), UpperBound: spanEnd(spaceState, g)})
	if err != nil {
		return fmt.Errorf("export state of group %d: %w", g, err)
	}
	defer it.Close()
	block := make([]byte, 0, streamBlockBytes+4096)
	var count uint64
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("export state of group %d: %w", g, err)
		}
		block = appendBytes(block, it.Key()[groupKeyLen:])
		block = appendBytes(block, v)
		count++
		if len(block) >= streamBlockBytes {
			if err := writeBlock(w, block); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("export state of group %d: %w", g, err)
	}
	if len(block) > 0 {
		if err := writeBlock(w, block); err != nil {
			return err
		}
	}
	end := binary.LittleEndian.AppendUint64(make([]byte, 8, 16), count)
	binary.LittleEndian.PutUint32(end[4:], crc32.Checksum(end[8:], crcTable))
	if _, err = w.Write(end); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func writeBlock(w io.Writer, block []byte) error {
	var h [8]byte
	binary.LittleEndian.PutUint32(h[:], uint32(len(block)))
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(block, crcTable))
	if _, err := w.Write(h[:]); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := w.Write(block); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// readStream calls visit for each key and value of a stream, in order. Both are valid during the call. A stream that is cut, altered or
// out of order is ErrBadSnapshot.
func readStream(r io.Reader, visit func(key, value []byte) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var block, prev []byte
	var count uint64
	for {
		var h [8]byte
		if _, err := io.ReadFull(br, h[:]); err != nil {
			return fmt.Errorf("%w: %v", ErrBadSnapshot, err)
		}
		n, sum := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
		if n == 0 {
			return readEnd(br, sum, count)
		}
		if n > streamBlockBytesMax {
			return fmt.Errorf("%w: block of %d bytes", ErrBadSnapshot, n)
		}
		// The length is a peer's word: memory grows only as fast as bytes arrive.
		var buf bytes.Buffer
		buf.Grow(int(min(n, 2*streamBlockBytes)))
		if m, err := io.CopyN(&buf, br, int64(n)); err != nil {
			return fmt.Errorf("%w: block cut after %d of %d bytes", ErrBadSnapshot, m, n)
		}
		block = buf.Bytes()
		if crc32.Checksum(block, crcTable) != sum {
			return fmt.Errorf("%w: block checksum differs", ErrBadSnapshot)
		}
		b := reader{b: block, what: "snapshot block"}
		for len(b.b) > 0 {
			k := b.bytes(streamKeyMax)
			v := b.bytes(len(b.b))
			if b.err != nil || len(k) == 0 || count > 0 && bytes.Compare(prev, k) >= 0 {
				return fmt.Errorf("%w: malformed block", ErrBadSnapshot)
			}
			if err := visit(k, v); err != nil {
				return err
			}
			prev = append(prev[:0], k...)
			count++
		}
	}
}

func readEnd(r io.Reader, sum uint32, count uint64) error {
	var end [8]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return fmt.Errorf("%w: %v", ErrBadSnapshot, err)
	}
	if crc32.Checksum(end[:], crcTable) != sum || binary.LittleEndian.Uint64(end[:]) != count {
		return fmt.Errorf("%w: stream of %d keys does not end with their number", ErrBadSnapshot, count)
	}
	return nil
}

// importer writes a stream into files that the database can ingest, and checks that it is the state its header promises.
type importer struct {
	db     *pebble.DB
	fs     vfs.FS
	prefix string
	h      *snapshotHeader
	files  []string
	w      *sstable.Writer
	key    []byte
	// size is what the file being written holds, uncompressed.
	size int
	// applied and conf say that the state's own records were seen and agree with the header.
	applied, conf bool
}

// importState reads a stream into files whose names begin with prefix. The files are the caller's to remove, also after an error.
func importState(ctx context.Context, db *pebble.DB, fs vfs.FS, prefix string, h *snapshotHeader, r io.Reader) ([]string, error) {
	im := &importer{db: db, fs: fs, prefix: prefix, h: h}
	err := readStream(r, func(k, v []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return im.add(k, v)
	})
	if cerr := im.closeFile(); err == nil {
		err = cerr
	}
	if err == nil && !(im.applied && im.conf) {
		err = fmt.Errorf("%w: state differs from its header", ErrBadSnapshot)
	}
	return im.files, err
}

func (im *importer) add(k, v []byte) error {
	if len(k) == 2 && k[0] == stateOwn {
		switch k[1] {
		case stateApplied:
			im.applied = bytes.Equal(v, im.h.pos.encode())
		case stateConf:
			im.conf = bytes.Equal(v, im.h.conf.encode())
		}
	}
	if im.w == nil {
		if err := im.openFile(); err != nil {
			return err
		}
	}
	im.key = append(append(im.key[:0], groupKey(spaceState, im.h.group)...), k...)
	if err := im.w.Set(im.key, v); err != nil {
		return fmt.Errorf("write snapshot file: %w", err)
	}
	if im.size += len(im.key) + len(v); im.size >= importFileBytes {
		return im.closeFile()
	}
	return nil
}

func (im *importer) openFile() error {
	name := fmt.Sprintf("%s-%04d.sst", im.prefix, len(im.files))
	f, err := im.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create snapshot file: %w", err)
	}
	im.files = append(im.files, name)
	opts := PebbleOptions(PebbleConfig{FS: im.fs})
	opts.EnsureDefaults()
	im.size = 0
	im.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), opts.MakeWriterOptions(0, im.db.TableFormat()))
	return nil
}

// closeFile finishes the file being written and forces it to disk.
func (im *importer) closeFile() error {
	if im.w == nil {
		return nil
	}
	w := im.w
	im.w = nil
	if err := w.Close(); err != nil {
		return fmt.Errorf("write snapshot file: %w", err)
	}
	return nil
}
