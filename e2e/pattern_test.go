package e2e

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
)

// pattern is content made from a seed: any range of it can be written and checked without
// holding it.
type pattern struct {
	seed uint64
	size int64
}

// word gives 8 bytes of the content (the mixing function of SplitMix64).
func (p pattern) word(i int64) uint64 {
	z := (p.seed+1)*0xd1342543de82ef95 + uint64(i)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ReadAt is that of io.ReaderAt.
func (p pattern) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	short := int64(len(b)) > p.size-off
	if short {
		b = b[:p.size-off]
	}
	n := 0
	var w [8]byte
	for n < len(b) {
		at := off + int64(n)
		if at%8 == 0 && len(b)-n >= 8 {
			binary.LittleEndian.PutUint64(b[n:], p.word(at/8))
			n += 8
			continue
		}
		binary.LittleEndian.PutUint64(w[:], p.word(at/8))
		n += copy(b[n:], w[at%8:])
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// reader reads all of the content and can seek.
func (p pattern) reader() *io.SectionReader { return io.NewSectionReader(p, 0, p.size) }

// bytes is all of the content.
func (p pattern) bytes() []byte {
	b := make([]byte, p.size)
	_, err := p.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		panic(err)
	}
	return b
}

// etag is the ETag of a single PUT of the content.
func (p pattern) etag() string {
	h := md5.New()
	if _, err := io.Copy(h, p.reader()); err != nil {
		panic(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// verify reads r to its end and compares it with n bytes of the content from off.
func (p pattern) verify(r io.Reader, off, n int64) error {
	got := make([]byte, 64<<10)
	want := make([]byte, len(got))
	var done int64
	for {
		m, err := r.Read(got)
		if done+int64(m) > n {
			return fmt.Errorf("more than %d bytes", n)
		}
		if m > 0 {
			if _, err := p.ReadAt(want[:m], off+done); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if !bytes.Equal(got[:m], want[:m]) {
				return fmt.Errorf("wrong bytes within %d bytes from %d", m, off+done)
			}
		}
		done += int64(m)
		if errors.Is(err, io.EOF) {
			if done != n {
				return fmt.Errorf("%d bytes instead of %d under a clean end", done, n)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", done, err)
		}
	}
}

func TestPattern(t *testing.T) {
	p := pattern{seed: 7, size: 1000}
	whole := p.bytes()
	for off := range int64(40) {
		for n := range int64(40) {
			b := make([]byte, n)
			if _, err := p.ReadAt(b, off); err != nil || !bytes.Equal(b, whole[off:off+n]) {
				t.Fatalf("%d bytes from %d differ: %v", n, off, err)
			}
		}
	}
	if err := p.verify(bytes.NewReader(whole), 0, 1000); err != nil {
		t.Error(err)
	}
	whole[999] ^= 1
	if err := p.verify(bytes.NewReader(whole), 0, 1000); err == nil {
		t.Error("a wrong byte is not seen")
	}
	if err := p.verify(bytes.NewReader(whole[:999]), 0, 1000); err == nil {
		t.Error("a missing byte is not seen")
	}
	if bytes.Equal(pattern{seed: 8, size: 1000}.bytes()[:64], whole[:64]) {
		t.Error("two seeds give the same content")
	}
}
