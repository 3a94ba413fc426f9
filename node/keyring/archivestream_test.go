package keyring

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

const longPassphrase = "correct horse battery"

func longArchive(t testing.TB, plain []byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := newArchiveWriter(&file, longPassphrase, archiveLogNMin)
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 50_000)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func openLong(file []byte, passphrase string) ([]byte, error) {
	r, err := NewArchiveReader(bytes.NewReader(file), passphrase)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestLongArchive(t *testing.T) {
	for _, size := range []int{0, 1, longPiece - 1, longPiece, longPiece + 1, 3 * longPiece} {
		plain := bytes.Repeat([]byte("shoal"), size/5+1)[:size]
		file := longArchive(t, plain)
		got, err := openLong(file, longPassphrase)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
		if size > 100 && bytes.Contains(file, []byte("shoalshoal")) {
			t.Errorf("%d bytes: the plaintext shows", size)
		}
	}
	r, err := NewArchiveReader(iotest.OneByteReader(bytes.NewReader(longArchive(t, []byte("x")))), longPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "x" {
		t.Errorf("byte by byte: %q, %v", got, err)
	}
}

func TestLongArchiveRefuses(t *testing.T) {
	const sealed = longPiece + archiveTag
	file := longArchive(t, make([]byte, 3*longPiece))
	piece := func(i int) []byte { return file[longHead+i*sealed : longHead+(i+1)*sealed] }
	for name, bad := range map[string][]byte{
		"empty":           {},
		"short head":      file[:longHead-1],
		"no piece":        file[:longHead],
		"last piece gone": file[:len(file)-sealed],
		"cut in a piece":  file[:len(file)-9],
		"piece left out":  bytes.Join([][]byte{file[:longHead], piece(0), piece(2)}, nil),
		"exchanged":       bytes.Join([][]byte{file[:longHead], piece(1), piece(0), piece(2)}, nil),
		"repeated":        bytes.Join([][]byte{file, piece(2)}, nil),
		"bytes behind":    append(bytes.Clone(file), 0),
		"other salt":      flip(file, 13),
		"other format":    flip(file, 4),
		"work beyond":     flip(file, 11),
		"flipped":         flip(file, longHead+sealed+5),
		"short archive":   append([]byte(archiveMagic), file[4:]...),
	} {
		if _, err := openLong(bad, longPassphrase); !errors.Is(err, ErrArchive) && !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openLong(file, "another passphrase"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := NewArchiveWriter(io.Discard, "short"); err == nil {
		t.Error("a short passphrase is taken")
	}
}

func flip(file []byte, at int) []byte {
	b := bytes.Clone(file)
	b[at] ^= 1
	return b
}

func FuzzLongArchive(f *testing.F) {
	file := longArchive(f, []byte("something"))
	f.Add(file)
	f.Add(file[:longHead])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := openLong(b, longPassphrase)
		if err == nil && (!bytes.Equal(b, file) || string(got) != "something") {
			t.Fatalf("forged: %x", b)
		}
	})
}
