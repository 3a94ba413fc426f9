package placement

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A table in bytes is described in docs/formats/placement-table.md.

const (
	tableMagic   = "SHPT"
	tableFormat  = 1
	foldedFormat = 2 // of tables with fewer drives than shards

	headSize     = len(tableMagic) + 2 + 8 + 1 + 4 // magic, format, epoch, width, drives
	driveSizeMin = 16 + 4 + 1 + 1                  // ID, weight, lengths of two names
	crcSize      = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the encoding of the table to dst. Equal tables have equal encodings.
func (t *Table) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, tableMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, t.format())
	dst = binary.LittleEndian.AppendUint64(dst, t.epoch)
	dst = append(dst, byte(t.width))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.drives)))
	for i := range t.drives {
		d := &t.drives[i]
		dst = append(dst, d.ID[:]...)
		dst = binary.LittleEndian.AppendUint32(dst, d.Weight)
		dst = append(append(dst, byte(len(d.Node))), d.Node...)
		dst = append(append(dst, byte(len(d.Site))), d.Site...)
	}
	for _, drive := range t.slots {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(drive))
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func (t *Table) format() uint16 {
	if t.Folded() {
		return foldedFormat
	}
	return tableFormat
}

// Decode reads what Append wrote. It accepts a table only whole, undamaged and in its one encoding,
// and returns ErrTable for all else. It does not retain b.
func Decode(b []byte) (*Table, error) {
	if len(b) < headSize+crcSize || string(b[:len(tableMagic)]) != tableMagic {
		return nil, fmt.Errorf("%w: no table", ErrTable)
	}
	format := binary.LittleEndian.Uint16(b[len(tableMagic):])
	if format != tableFormat && format != foldedFormat {
		return nil, fmt.Errorf("%w: format %d, want %d or %d", ErrTable, format, tableFormat, foldedFormat)
	}
	body, crc := b[:len(b)-crcSize], binary.LittleEndian.Uint32(b[len(b)-crcSize:])
	if crc32.Checksum(body, castagnoli) != crc {
		return nil, fmt.Errorf("%w: checksum differs", ErrTable)
	}
	epoch := binary.LittleEndian.Uint64(b[6:])
	width := int(b[14])
	drives, slots, err := decodeDrives(body[headSize:], binary.LittleEndian.Uint32(b[15:]))
	if err != nil {
		return nil, err
	}
	if width < 1 || width > WidthMax || len(drives) == 0 || len(slots) != 2*GroupCount*width {
		return nil, fmt.Errorf("%w: %d drives, %d shards, %d bytes of groups", ErrTable, len(drives), width, len(slots))
	}
	t := newTable(epoch, width, drives)
	if t.format() != format {
		return nil, fmt.Errorf("%w: %d drives for %d shards in format %d", ErrTable, len(drives), width, format)
	}
	for i := range t.slots {
		t.slots[i] = int(binary.LittleEndian.Uint16(slots[2*i:]))
	}
	return t, t.check()
}

// decodeDrives reads count drives and returns what follows them.
func decodeDrives(b []byte, count uint32) ([]Drive, []byte, error) {
	if count > DrivesMax || int(count) > len(b)/driveSizeMin {
		return nil, nil, fmt.Errorf("%w: %d drives in %d bytes", ErrTable, count, len(b))
	}
	drives := make([]Drive, count)
	for i := range drives {
		d := &drives[i]
		if len(b) < driveSizeMin {
			return nil, nil, fmt.Errorf("%w: drive %d cut off", ErrTable, i)
		}
		copy(d.ID[:], b)
		d.Weight = binary.LittleEndian.Uint32(b[16:])
		b = b[20:]
		for _, name := range []*string{&d.Node, &d.Site} {
			if len(b) == 0 || len(b) <= int(b[0]) {
				return nil, nil, fmt.Errorf("%w: drive %d cut off", ErrTable, i)
			}
			end := 1 + int(b[0])
			*name, b = string(b[1:end]), b[end:]
		}
	}
	if err := checkDrives(drives); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrTable, err)
	}
	return drives, b, nil
}

// check returns ErrTable unless each group names drives that exist, different ones when there are enough, and else none more often
// than it must.
func (t *Table) check() error {
	most := driveCap(len(t.drives), t.width)
	for group := range GroupCount {
		targets := t.Targets(uint16(group))
		for i, drive := range targets {
			if drive >= len(t.drives) {
				return fmt.Errorf("%w: group %d names drive %d of %d", ErrTable, group, drive, len(t.drives))
			}
			if occurrences(targets[:i+1], drive) > most {
				return fmt.Errorf("%w: group %d names drive %d more than %d times", ErrTable, group, drive, most)
			}
		}
	}
	return nil
}
