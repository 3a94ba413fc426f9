package chunker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var errReader = errors.New("the reader's own error")

func TestCutter(t *testing.T) {
	body := pattern(2*ChunkSize + 100)
	failing := func(n int) io.Reader { return io.MultiReader(bytes.NewReader(body[:n]), iotest.ErrReader(errReader)) }
	for _, tc := range []struct {
		name     string
		r        io.Reader
		declared int64
		chunks   []int // lengths of the chunks before the end
		want     error
	}{
		{"empty, declared", strings.NewReader(""), 0, nil, io.EOF},
		{"empty, undeclared", strings.NewReader(""), -1, nil, io.EOF},
		{"one byte", bytes.NewReader(body[:1]), 1, []int{1}, io.EOF},
		{"one chunk less one", bytes.NewReader(body[:ChunkSize-1]), ChunkSize - 1, []int{ChunkSize - 1}, io.EOF},
		{"one chunk", bytes.NewReader(body[:ChunkSize]), ChunkSize, []int{ChunkSize}, io.EOF},
		{"one chunk and one", bytes.NewReader(body[:ChunkSize+1]), ChunkSize + 1, []int{ChunkSize, 1}, io.EOF},
		{"three chunks", bytes.NewReader(body), 2*ChunkSize + 100, []int{ChunkSize, ChunkSize, 100}, io.EOF},
		{"one chunk, undeclared", bytes.NewReader(body[:ChunkSize]), -1, []int{ChunkSize}, io.EOF},
		{"three chunks, undeclared", bytes.NewReader(body), -1, []int{ChunkSize, ChunkSize, 100}, io.EOF},
		{"small reads", iotest.HalfReader(bytes.NewReader(body)), 2*ChunkSize + 100, []int{ChunkSize, ChunkSize, 100}, io.EOF},
		{"end with the data", iotest.DataErrReader(bytes.NewReader(body)), -1, []int{ChunkSize, ChunkSize, 100}, io.EOF},
		{"short", bytes.NewReader(body[:ChunkSize+50]), ChunkSize + 51, []int{ChunkSize}, ErrShort},
		{"short at an edge", bytes.NewReader(body[:ChunkSize]), ChunkSize + 1, []int{ChunkSize}, ErrShort},
		{"short, nothing", strings.NewReader(""), 1, nil, ErrShort},
		{"long", bytes.NewReader(body[:101]), 100, nil, ErrLong},
		{"long at an edge", bytes.NewReader(body[:ChunkSize+1]), ChunkSize, nil, ErrLong},
		{"long, nothing declared", strings.NewReader("x"), 0, nil, ErrLong},
		{"declared too long", strings.NewReader("x"), ObjectSizeMax + 1, nil, ErrLong},
		{"reader fails", failing(10), 100, nil, errReader},
		{"reader fails, undeclared", failing(ChunkSize + 10), -1, []int{ChunkSize}, errReader},
		{"reader fails at the end", failing(100), 100, nil, errReader},
		{"reader stalls", iotest.ErrReader(nil), 100, nil, io.ErrNoProgress},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pool := NewPool(3 * ChunkSize)
			defer pool.Trim()
			c := NewCutter(tc.r, tc.declared)
			off := 0
			for i, want := range tc.chunks {
				buf, err := c.Next(context.Background(), pool)
				if err != nil {
					t.Fatalf("chunk %d: %v", i, err)
				}
				if !bytes.Equal(buf.B, body[off:off+want]) {
					t.Errorf("chunk %d of %d bytes is not bytes %d to %d", i, len(buf.B), off, off+want)
				}
				off += want
				buf.Release()
			}
			for range 2 {
				if buf, err := c.Next(context.Background(), pool); buf != nil || !errors.Is(err, tc.want) {
					t.Errorf("at the end: buffer %v, error %v, want %v", buf, err, tc.want)
				}
			}
			if c.Done() != int64(off) {
				t.Errorf("%d bytes done, want %d", c.Done(), off)
			}
			if s := pool.Stats(); s.LentBytes != 0 {
				t.Errorf("buffers leak: %+v", s)
			}
		})
	}
}

func TestCutterWaitsForBuffers(t *testing.T) {
	pool := NewPool(ChunkSize)
	held := mustGet(t, pool, ChunkSize)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := NewCutter(strings.NewReader("hello"), 5)
	if _, err := c.Next(ctx, pool); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	held.Release()
	buf, err := c.Next(context.Background(), pool) // A wait given up costs no byte.
	if err != nil || string(buf.B) != "hello" {
		t.Errorf("error %v", err)
	}
}
