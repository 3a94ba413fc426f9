package transport

import (
	"bufio"
	"io"

	"shoal/p2p/wire"
)

// streamReadBuffer is the read buffer of an RPC stream, in bytes.
const streamReadBuffer = 32 << 10

// frameReader takes frames off a stream.
type frameReader struct {
	r *bufio.Reader
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, streamReadBuffer)}
}

// next reads a fixed header. io.EOF means that the stream ended between frames.
func (fr *frameReader) next(f *wire.Frame) error {
	b, err := fr.r.Peek(wire.HeaderSize)
	if err != nil {
		if err == io.EOF && len(b) > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if err := f.Decode(b); err != nil {
		return err
	}
	_, err = fr.r.Discard(wire.HeaderSize)
	return err
}

// body reads what follows the fixed header f. into is used for the payload if it fits.
func (fr *frameReader) body(f *wire.Frame, into []byte) (body, error) {
	return readBody(fr.r, f, into)
}

// skip drops what follows the fixed header f.
func (fr *frameReader) skip(f *wire.Frame) error {
	_, err := fr.r.Discard(f.BodySize())
	return err
}

func readBody(r io.Reader, f *wire.Frame, into []byte) (body, error) {
	d := newBody(int(f.HeaderLen), int(f.PayloadLen), into)
	_, err := io.ReadFull(r, d.header)
	if err == nil {
		_, err = io.ReadFull(r, d.payload)
	}
	if err != nil {
		d.release()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return body{}, err
	}
	return d, nil
}
