package placement

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden holds that every release, on every machine, computes the same tables in the same bytes.
func TestGolden(t *testing.T) {
	var list strings.Builder
	for _, l := range layouts {
		table := tableOf(t, l.name, l.drives, l.width)
		fmt.Fprintf(&list, "%-28s %x\n", l.name, sha256.Sum256(table.Append(nil)))
	}
	golden(t, "tables.txt", []byte(list.String()))
	golden(t, "table-format2.bin", mustFold(t, 0x0102030405060708, layout(1, 2, 1, mild), 3, nil).Append(nil))
	golden(t, "table-format1.bin", mustBuild(t, 0x0102030405060708, layout(2, 1, 1, mild), 1, nil).Append(nil))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what was recorded:\n%.2000s", name, got)
	}
}

func TestDecodeGivesTheTable(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			table := tableOf(t, l.name, l.drives, l.width)
			encoded := table.Append([]byte("before"))[6:]
			got, err := Decode(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if got.Epoch() != 1 || got.Width() != l.width || got.Moved(table) != 0 {
				t.Errorf("epoch %d, width %d, %d shards elsewhere", got.Epoch(), got.Width(), got.Moved(table))
			}
			if fmt.Sprint(got.Ranked(nil, 77)) != fmt.Sprint(table.Ranked(nil, 77)) {
				t.Error("ranks differ")
			}
			if !bytes.Equal(got.Append(nil), encoded) {
				t.Error("encodes to other bytes")
			}
		})
	}
}

// reseal corrects the checksum after a change, so that the checks behind it are reached.
func reseal(b []byte) []byte {
	end := len(b) - crcSize
	binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], castagnoli))
	return b
}

func TestDecodeRefuses(t *testing.T) {
	valid := mustBuild(t, 1, layout(1, 3, 1, equal), 2, nil).Append(nil)
	for _, tc := range []struct {
		name   string
		change func(b []byte) []byte
	}{
		{"nothing", func(b []byte) []byte { return nil }},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }},
		{"one bit", func(b []byte) []byte { b[100] ^= 4; return b }},
		{"magic", func(b []byte) []byte { b[0] = 'X'; return reseal(b) }},
		{"format", func(b []byte) []byte { b[4] = 3; return reseal(b) }},
		{"width", func(b []byte) []byte { b[14] = 3; return reseal(b) }},
		{"no width", func(b []byte) []byte { b[14] = 0; return reseal(b) }},
		{"drives", func(b []byte) []byte { b[18] = 0xff; return reseal(b) }},
		{"no weight", func(b []byte) []byte { clear(b[35:39]); return reseal(b) }},
		{"order", func(b []byte) []byte { b[19] = 0xff; return reseal(b) }},
		{"no such drive", func(b []byte) []byte { b[len(b)-crcSize-2] = 3; return reseal(b) }},
		{"drive twice", func(b []byte) []byte {
			copy(b[len(b)-crcSize-2:], b[len(b)-crcSize-4:len(b)-crcSize-2])
			return reseal(b)
		}},
		{"more", func(b []byte) []byte { return reseal(append(b, 0)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Decode(tc.change(bytes.Clone(valid))); !errors.Is(err, ErrTable) {
				t.Errorf("error %v, want %v", err, ErrTable)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(mustBuild(f, 1, layout(1, 3, 1, equal), 2, nil).Append(nil))
	f.Add(mustBuild(f, 1, layout(2, 1, 1, mild), 1, nil).Append(nil))
	f.Add(mustFold(f, 1, layout(1, 2, 1, mild), 3, nil).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > headSize+crcSize {
			reseal(b)
		}
		table, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrTable) {
				t.Fatalf("error %v is not %v", err, ErrTable)
			}
			return
		}
		if !bytes.Equal(table.Append(nil), b) {
			t.Fatal("encodes to other bytes")
		}
	})
}
