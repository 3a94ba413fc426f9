package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

var goldenFrames = []Frame{
	{Kind: KindRequest, Method: 0x0102, ID: 1, Arg: 5_000_000, HeaderLen: 7, PayloadLen: 4096},
	{Kind: KindRequest, Method: 0x8001, ID: 1<<64 - 1, HeaderLen: BodyHeaderMax, PayloadLen: PayloadMax},
	{Kind: KindResponse, Method: 0x0102, ID: 1, HeaderLen: 0, PayloadLen: 0},
	{Kind: KindError, ID: 2, Arg: 404, HeaderLen: 12},
	{Kind: KindRefuse, ID: 3, Arg: RefuseRole, HeaderLen: TextMax},
	{Kind: KindCancel, ID: 4},
	{Kind: KindNotify, Method: 9, PayloadLen: 100},
	{Kind: KindCredit, Arg: 256},
	{Kind: KindPing, ID: 77},
	{Kind: KindPong, ID: 77},
	{Kind: KindStream, Method: 0x8010, ID: 5},
	{Kind: KindAccept, Method: 0x8010, ID: 5},
}

func TestFrameGolden(t *testing.T) {
	var out strings.Builder
	for _, f := range goldenFrames {
		fmt.Fprintf(&out, "%v %s\n", f.Kind, hex.EncodeToString(f.Append(nil)))
	}
	path := filepath.Join("testdata", "frames-v1.golden")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Fatalf("encoding changed:\n%s\nwant:\n%s", out.String(), want)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(want)), "\n") {
		_, text, _ := strings.Cut(line, " ")
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var f Frame
		if err := f.Decode(raw); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if f != goldenFrames[i] {
			t.Fatalf("line %d: got %+v want %+v", i+1, f, goldenFrames[i])
		}
	}
}

func TestFrameRefused(t *testing.T) {
	good := func() []byte {
		f := Frame{Kind: KindRequest, ID: 1, HeaderLen: 10, PayloadLen: 10}
		return f.Append(nil)
	}
	cases := []struct {
		name string
		edit func(b []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"truncated", func(b []byte) []byte { return b[:HeaderSize-1] }},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }},
		{"next version", func(b []byte) []byte { b[0] = Version + 1; return b }},
		{"kind 0", func(b []byte) []byte { b[1] = 0; return b }},
		{"kind past the last", func(b []byte) []byte { b[1] = byte(kindMax) + 1; return b }},
		{"header one too long", func([]byte) []byte {
			f := Frame{Kind: KindRequest, HeaderLen: BodyHeaderMax + 1}
			return f.Append(nil)
		}},
		{"payload one too long", func([]byte) []byte {
			f := Frame{Kind: KindResponse, PayloadLen: PayloadMax + 1}
			return f.Append(nil)
		}},
		{"lengths that overflow together", func([]byte) []byte {
			f := Frame{Kind: KindResponse, HeaderLen: 1<<32 - 1, PayloadLen: 1<<32 - 1}
			return f.Append(nil)
		}},
		{"cancel with a body", func([]byte) []byte {
			f := Frame{Kind: KindCancel, PayloadLen: 1}
			return f.Append(nil)
		}},
		{"notification with a header", func([]byte) []byte {
			f := Frame{Kind: KindNotify, HeaderLen: 1}
			return f.Append(nil)
		}},
		{"error text too long", func([]byte) []byte {
			f := Frame{Kind: KindError, HeaderLen: TextMax + 1}
			return f.Append(nil)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var f Frame
			if err := f.Decode(c.edit(good())); !errors.Is(err, ErrFrame) {
				t.Fatalf("got %v, want ErrFrame", err)
			}
		})
	}
	var f Frame
	if err := f.Decode(good()); err != nil {
		t.Fatalf("the unedited frame: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	for _, g := range goldenFrames {
		f.Add(g.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr Frame
		if err := fr.Decode(b); err != nil {
			return
		}
		if fr.BodySize() > BodyHeaderMax+PayloadMax {
			t.Fatalf("body of %d bytes accepted", fr.BodySize())
		}
		if got := fr.Append(nil); !bytes.Equal(got, b[:HeaderSize]) {
			t.Fatalf("re-encoded to %x, was %x", got, b[:HeaderSize])
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, HeaderSize)
	f := Frame{Kind: KindRequest, Method: 3, ID: 9, HeaderLen: 30, PayloadLen: 4096}
	for b.Loop() {
		buf = f.Append(buf[:0])
		if err := f.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
