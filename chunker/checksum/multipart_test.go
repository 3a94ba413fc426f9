package checksum

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestMultipartETag(t *testing.T) {
	parts := [][md5.Size]byte{md5.Sum([]byte("one")), md5.Sum([]byte("two"))}
	joined := md5.Sum(append(bytes.Clone(parts[0][:]), parts[1][:]...))
	if got, want := MultipartETag(parts), hex.EncodeToString(joined[:])+"-2"; got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
	// Two parts of 5 MiB of zeros, as md5sum computes it.
	zeros := md5.Sum(make([]byte, 5<<20))
	if got, want := MultipartETag([][md5.Size]byte{zeros, zeros}), "a7d414b9133d6483d9a1c4e04e856e3b-2"; got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
}

func TestComposite(t *testing.T) {
	for a := range (SHA256 | SHA1 | CRC32 | CRC32C).Each {
		one, two := Sum(a, []byte("one")), Sum(a, []byte("two"))
		got, err := Composite(a, [][]byte{one.Bytes(a), two.Bytes(a)})
		joined := Sum(a, append(bytes.Clone(one.Bytes(a)), two.Bytes(a)...))
		if want := joined.Base64(a) + "-2"; err != nil || got != want {
			t.Errorf("%v: %s, want %s, error %v", a, got, want, err)
		}
		digest, parts, err := ParseComposite(a, got)
		if err != nil || parts != 2 || !bytes.Equal(digest, joined.Bytes(a)) {
			t.Errorf("%v: parsed %x of %d parts, error %v", a, digest, parts, err)
		}
		if _, err := Composite(a, [][]byte{one.Bytes(a)[1:]}); !errors.Is(err, ErrChecksum) {
			t.Errorf("%v: short part, error %v", a, err)
		}
	}
	if _, err := Composite(CRC64NVME, nil); !errors.Is(err, ErrChecksum) {
		t.Errorf("CRC64NVME: error %v", err)
	}
	for _, text := range []string{"", "AAAAAA==", "AAAAAA==-", "AAAAAA==-0", "AAAAAA==-10001", "AAAAAA==-+1", "AAAAAA==-01", "AAAA-1", "AAAAAA==-1-1"} {
		if _, _, err := ParseComposite(CRC32, text); !errors.Is(err, ErrChecksum) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestCombineIsTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := pattern(200_000)
	cuts := []int{0, 1, 7, 8, 64, 100_000, len(p) - 1, len(p)}
	for range 50 {
		cuts = append(cuts, r.IntN(len(p)))
	}
	for a := range (CRC32 | CRC32C | CRC64NVME).Each {
		whole := Sum(a, p)
		for _, cut := range cuts {
			first, second := Sum(a, p[:cut]), Sum(a, p[cut:])
			got, err := Combine(a, first.Bytes(a), second.Bytes(a), int64(len(p)-cut))
			if err != nil || !bytes.Equal(got, whole.Bytes(a)) {
				t.Fatalf("%v cut at %d: %x, want %x, error %v", a, cut, got, whole.Bytes(a), err)
			}
		}
	}
}

// Lengths beyond memory follow from shorter ones: a content of zeros doubles again and again.
func TestCombineLongLengths(t *testing.T) {
	for a := range (CRC32 | CRC32C | CRC64NVME).Each {
		sums := Sum(a, make([]byte, 1024))
		doubled, length := sums.Bytes(a), int64(1024)
		for length < 1<<42 {
			var err error
			if doubled, err = Combine(a, doubled, doubled, length); err != nil {
				t.Fatal(err)
			}
			length *= 2
		}
		// The same length in unequal pieces.
		piece := Sum(a, make([]byte, 3*1024))
		rest, err := Combine(a, piece.Bytes(a), doubled, length)
		if err != nil {
			t.Fatal(err)
		}
		other, err := Combine(a, doubled, piece.Bytes(a), 3*1024)
		if err != nil || !bytes.Equal(rest, other) {
			t.Errorf("%v: %x and %x, error %v", a, rest, other, err)
		}
	}
}

func TestCombineRefuses(t *testing.T) {
	for name, f := range map[string]func() ([]byte, error){
		"SHA-256":  func() ([]byte, error) { return Combine(SHA256, make([]byte, 32), make([]byte, 32), 1) },
		"two":      func() ([]byte, error) { return Combine(CRC32|CRC32C, make([]byte, 4), make([]byte, 4), 1) },
		"short":    func() ([]byte, error) { return Combine(CRC32, make([]byte, 3), make([]byte, 4), 1) },
		"long":     func() ([]byte, error) { return Combine(CRC64NVME, make([]byte, 8), make([]byte, 9), 1) },
		"negative": func() ([]byte, error) { return Combine(CRC32, make([]byte, 4), make([]byte, 4), -1) },
	} {
		if _, err := f(); !errors.Is(err, ErrChecksum) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzCombine(f *testing.F) {
	f.Add([]byte("hello"), []byte("world"))
	f.Fuzz(func(t *testing.T, p, q []byte) {
		for a := range (CRC32 | CRC32C | CRC64NVME).Each {
			whole, first, second := Sum(a, append(bytes.Clone(p), q...)), Sum(a, p), Sum(a, q)
			got, err := Combine(a, first.Bytes(a), second.Bytes(a), int64(len(q)))
			if err != nil || fmt.Sprintf("%x", got) != fmt.Sprintf("%x", whole.Bytes(a)) {
				t.Fatalf("%v: %x, want %x", a, got, whole.Bytes(a))
			}
		}
	})
}
