package chunker

import (
	"context"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrShort is returned when a stream ends before its declared size.
	ErrShort = errors.New("stream shorter than declared")
	// ErrLong is returned when a stream goes on past its declared size, or past ObjectSizeMax.
	ErrLong = errors.New("stream longer than declared")
)

// Cutter cuts a stream into chunks: all of ChunkSize bytes but the last, which may be shorter. It
// reads straight into the chunks' memory. It is not safe for concurrent use.
type Cutter struct {
	r        io.Reader
	size     int   // bytes of a full piece
	declared int64 // -1: not declared
	done     int64 // bytes handed out
	ended    bool  // the reader has returned io.EOF
	err      error // what every further call returns
}

// NewCutter returns a cutter of r. declaredBytes is the size that the stream was announced with, or
// -1 when it was not. The cutter does not close r.
func NewCutter(r io.Reader, declaredBytes int64) *Cutter {
	return NewPieces(r, declaredBytes, ChunkSize)
}

// NewPieces is NewCutter with pieces of another size than a chunk's, for a writer that handles a
// chunk in parts that fit the processor's cache.
func NewPieces(r io.Reader, declaredBytes int64, pieceBytes int) *Cutter {
	c := &Cutter{r: r, declared: declaredBytes, size: pieceBytes}
	if declaredBytes > ObjectSizeMax {
		c.err = fmt.Errorf("%w: %d bytes, at most %d", ErrLong, declaredBytes, int64(ObjectSizeMax))
	}
	return c
}

// NextSize returns how large a buffer the next chunk needs: exactly its length when the size was
// declared, else ChunkSize. It is 0 at the end of a declared size.
func (c *Cutter) NextSize() int {
	if c.declared < 0 {
		return c.size
	}
	return int(min(c.declared-c.done, int64(c.size)))
}

// Fill reads the next chunk into dst, which has NextSize bytes, and returns its length, which is
// never 0 without an error. At the end it returns io.EOF, an empty stream's first call included.
//
// The chunk that completes a declared size is returned only once the reader has been seen to end
// there: a reader that checks its bytes at the end has thus agreed before the last chunk goes
// anywhere. Errors are ErrShort, ErrLong, or the reader's own, wrapped; dst is then worthless, and
// every further call returns the same error.
func (c *Cutter) Fill(dst []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(dst) != c.NextSize() {
		panic(fmt.Sprintf("chunker: chunk buffer of %d bytes, want %d", len(dst), c.NextSize()))
	}
	n, err := c.fill(dst)
	c.done += int64(n)
	if err == nil && n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.EOF
	}
	c.err = err
	return 0, err
}

// Next takes a buffer from pool and fills it with the next chunk. The caller releases it. It returns
// io.EOF at the end, and no buffer with any error.
func (c *Cutter) Next(ctx context.Context, pool *Pool) (*Buffer, error) {
	if c.err != nil {
		return nil, c.err
	}
	buf, err := pool.Get(ctx, c.NextSize())
	if err != nil {
		return nil, err
	}
	n, err := c.Fill(buf.B)
	if err != nil {
		buf.Release()
		return nil, err
	}
	buf.B = buf.B[:n]
	return buf, nil
}

// Done returns the number of bytes in all chunks so far.
func (c *Cutter) Done() int64 { return c.done }

func (c *Cutter) fill(dst []byte) (int, error) {
	n, err := c.readFull(dst)
	if err != nil {
		return 0, fmt.Errorf("read byte %d of the stream: %w", c.done+int64(n), err)
	}
	switch {
	case c.declared < 0 && c.done+int64(n) > ObjectSizeMax:
		return 0, fmt.Errorf("%w: at most %d bytes", ErrLong, int64(ObjectSizeMax))
	case c.declared >= 0 && n < len(dst):
		return 0, fmt.Errorf("%w: %d of %d bytes", ErrShort, c.done+int64(n), c.declared)
	case c.declared >= 0 && c.done+int64(n) == c.declared:
		if err := c.expectEnd(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// readFull reads until dst is full or the stream ends, which is not an error here.
func (c *Cutter) readFull(dst []byte) (int, error) {
	n := 0
	for empty := 0; n < len(dst) && !c.ended; {
		k, err := c.r.Read(dst[n:])
		n += k
		switch {
		case err == io.EOF:
			c.ended = true
		case err != nil:
			return n, err
		case k > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return n, io.ErrNoProgress
			}
		}
	}
	return n, nil
}

// expectEnd returns nil when the stream ends here.
func (c *Cutter) expectEnd() error {
	var probe [1]byte
	n, err := c.readFull(probe[:])
	if err != nil {
		return fmt.Errorf("read the end of the stream: %w", err)
	}
	if n > 0 {
		return fmt.Errorf("%w: more than %d bytes", ErrLong, c.declared)
	}
	return nil
}
