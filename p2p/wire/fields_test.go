package wire

import (
	"bytes"
	"errors"
	"testing"
)

type sample struct {
	id   [4]byte
	n    uint64
	m    uint32
	s    string
	list [][]byte
}

func (s *sample) encode() []byte {
	var r Record
	r.Bytes(1, s.id[:])
	r.Uint(2, s.n)
	r.Uint(3, uint64(s.m))
	r.String(4, s.s)
	for _, e := range s.list {
		r.Repeat(5, e)
	}
	return r
}

func decodeSample(b []byte) (*sample, error) {
	var s sample
	f := NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(s.id[:])
		case 2:
			s.n = f.Uint()
		case 3:
			s.m = f.Uint32()
		case 4:
			s.s = f.String(8)
		case 5:
			s.list = append(s.list, f.Bytes(4))
		}
	}
	return &s, f.Err()
}

func TestFieldsRoundTrip(t *testing.T) {
	in := sample{id: [4]byte{1, 2, 3, 4}, n: 1 << 60, m: 7, s: "site-a", list: [][]byte{{1}, {}, {2, 3}}}
	out, err := decodeSample(in.encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.encode(), in.encode()) {
		t.Fatalf("got %+v want %+v", out, in)
	}
}

func TestFieldsSkipUnknown(t *testing.T) {
	in := sample{id: [4]byte{1, 2, 3, 4}, n: 5}
	r := Record(in.encode())
	r.Uint(100, 9)
	r.String(101, "from a later release")
	out, err := decodeSample(r)
	if err != nil || out.n != 5 {
		t.Fatalf("got %+v, %v", out, err)
	}
}

func TestFieldsRefused(t *testing.T) {
	record := func(f func(r *Record)) []byte {
		var r Record
		f(&r)
		return r
	}
	cases := []struct {
		name string
		b    []byte
	}{
		{"cut tag", []byte{0x80}},
		{"cut varint", []byte{0x10, 0x80}},
		{"cut bytes", []byte{0x0a, 0x05, 1}},
		{"length past the end", []byte{0x22, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"bytes where a number belongs", record(func(r *Record) { r.Bytes(2, []byte{1}) })},
		{"a number where bytes belong", record(func(r *Record) { r.Uint(4, 1) })},
		{"number too large", record(func(r *Record) { r.Uint(3, 1<<32) })},
		{"string too long", record(func(r *Record) { r.String(4, "123456789") })},
		{"array too short", record(func(r *Record) { r.Bytes(1, []byte{1, 2, 3}) })},
		{"array too long", record(func(r *Record) { r.Bytes(1, []byte{1, 2, 3, 4, 5}) })},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := decodeSample(c.b); !errors.Is(err, ErrRecord) {
				t.Fatalf("got %v, want ErrRecord", err)
			}
		})
	}
}

func FuzzFields(f *testing.F) {
	s := sample{id: [4]byte{1, 2, 3, 4}, n: 300, m: 7, s: "x", list: [][]byte{{1}}}
	f.Add(s.encode())
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSample(b)
		if err != nil {
			return
		}
		again, err := decodeSample(s.encode())
		if err != nil {
			t.Fatalf("what was accepted is refused once re-encoded: %v", err)
		}
		if !bytes.Equal(again.encode(), s.encode()) {
			t.Fatal("encoding is not stable")
		}
	})
}
