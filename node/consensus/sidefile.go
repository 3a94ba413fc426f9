package consensus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The side file names the number of the last batch of log writes that was durable. It lies outside the database, so that a database
// whose log lost its tail cannot take the proof along. It is written after each fsync and synced only now and then: a power loss
// may set it back, which weakens the proof and never makes a false one.
//
// It holds two slots that are written in turn, so that a torn write leaves the other.

const (
	sideFileName = "durable"
	sideMagic    = 0x6c616f68 // "hoal"
	sideSlotLen  = 4 + 4 + 8 + 8 + 8 + 4
	sideSlotGap  = 512
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// sideRecord is one slot.
type sideRecord struct {
	Store   uint64
	Durable uint64
}

func (r sideRecord) encode(turn uint64) []byte { return r.append(make([]byte, 0, sideSlotLen), turn) }

// append appends the slot to b, which is empty.
func (r sideRecord) append(b []byte, turn uint64) []byte {
	b = binary.LittleEndian.AppendUint32(b, sideMagic)
	b = binary.LittleEndian.AppendUint32(b, recordFormat)
	b = binary.LittleEndian.AppendUint64(b, turn)
	b = binary.LittleEndian.AppendUint64(b, r.Store)
	b = binary.LittleEndian.AppendUint64(b, r.Durable)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crcTable))
}

func decodeSideSlot(b []byte) (r sideRecord, turn uint64, ok bool) {
	if len(b) < sideSlotLen || binary.LittleEndian.Uint32(b) != sideMagic || binary.LittleEndian.Uint32(b[4:]) != recordFormat {
		return r, 0, false
	}
	if crc32.Checksum(b[:sideSlotLen-4], crcTable) != binary.LittleEndian.Uint32(b[sideSlotLen-4:]) {
		return r, 0, false
	}
	turn = binary.LittleEndian.Uint64(b[8:])
	return sideRecord{Store: binary.LittleEndian.Uint64(b[16:]), Durable: binary.LittleEndian.Uint64(b[24:])}, turn, true
}

type sideFile struct {
	f     vfs.File
	store uint64
	turn  uint64
	buf   [sideSlotLen]byte
}

// readSideFile returns what the side file says; found is false when there is none, and an error tells that it is damaged.
func readSideFile(fs vfs.FS, dir string) (r sideRecord, found bool, err error) {
	f, err := fs.Open(fs.PathJoin(dir, sideFileName))
	if isNotExist(err) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("open side file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 2*sideSlotGap))
	if err != nil {
		return r, false, fmt.Errorf("read side file: %w", err)
	}
	var best uint64
	for i := range 2 {
		if len(b) < i*sideSlotGap {
			break
		}
		if s, turn, ok := decodeSideSlot(b[i*sideSlotGap:]); ok && (!found || turn > best) {
			r, best, found = s, turn, true
		}
	}
	if !found {
		return r, false, fmt.Errorf("%w: the side file %s is damaged", ErrLogLost, fs.PathJoin(dir, sideFileName))
	}
	return r, true, nil
}

// createSideFile replaces the side file durably by one that says r, and keeps it open.
func createSideFile(fs vfs.FS, dir string, r sideRecord) (*sideFile, error) {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory of side file: %w", err)
	}
	name := fs.PathJoin(dir, sideFileName)
	tmp := name + ".tmp"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("create side file: %w", err)
	}
	// Both slots exist from the start: later writes change no metadata of the file.
	b := make([]byte, sideSlotGap+sideSlotLen)
	copy(b, r.encode(1))
	copy(b[sideSlotGap:], r.encode(2))
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err == nil {
		// The directory may be new, too.
		err = syncDir(fs, fs.PathDir(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("write side file: %w", err)
	}
	f, err = fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open side file: %w", err)
	}
	return &sideFile{f: f, store: r.Store, turn: 2}, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// write records that batch durable is behind an fsync.
func (s *sideFile) write(durable uint64) error {
	s.turn++
	b := sideRecord{Store: s.store, Durable: durable}.append(s.buf[:0], s.turn)
	_, err := s.f.WriteAt(b, int64(s.turn%2)*sideSlotGap)
	if err != nil {
		return fmt.Errorf("write side file: %w", err)
	}
	return nil
}

// sync forces the side file to disk.
func (s *sideFile) sync() error { return s.f.SyncData() }

func (s *sideFile) close() error { return s.f.Close() }
