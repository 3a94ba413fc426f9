package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"

	"shoal/gateway/s3err"
)

const (
	// lineBytesMax bounds a chunk's head and the whole trailer; it is the reader's buffer.
	lineBytesMax = 4 << 10
	// sizeDigitsMax bounds the hexadecimal digits of a chunk's size.
	sizeDigitsMax = 15
	emptyHash     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	signatureExt  = "chunk-signature="
)

// chunkReader decodes aws-chunked. It holds no chunk back: bytes go out as they come,
// hashed on the way, and a wrong signature is an error at the chunk's end, before
// io.EOF. So a chunk of any size costs no memory. Chunks may be smaller than the 8 KiB
// that AWS demands.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
type chunkReader struct {
	src     io.Reader
	signer  *chunkSigner // nil when chunks are not signed
	payload *Payload

	left     int64 // decoded bytes still to come, by the declared size
	chunk    int64 // of them, in this chunk
	want     [2 * hashBytes]byte
	trailer  []byte // decoded checksum
	err      error  // sticky
	buf      []byte // read from src and not consumed: buf[start:end]
	start    int
	end      int
	drained  bool // src gave io.EOF
	trailing strings.Builder
}

func newChunkReader(src io.Reader, p *Payload) *chunkReader {
	return &chunkReader{
		src: src, signer: p.signer, payload: p, left: p.decodedSize,
		buf: make([]byte, lineBytesMax),
	}
}

func errFrame() error {
	return s3err.Newf(s3err.IncompleteBody, "The request body terminated unexpectedly or its chunks are malformed.")
}

// Read gives the bytes of one chunk at most.
func (cr *chunkReader) Read(p []byte) (int, error) {
	if cr.err != nil {
		return 0, cr.err
	}
	n, err := cr.read(p)
	if err != nil {
		cr.err = err
	}
	return n, err
}

func (cr *chunkReader) read(p []byte) (int, error) {
	if cr.chunk == 0 {
		if err := cr.next(); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > cr.chunk {
		p = p[:cr.chunk]
	}
	n, err := cr.readData(p)
	if cr.signer != nil {
		cr.signer.data.Write(p[:n])
	}
	cr.chunk -= int64(n)
	cr.left -= int64(n)
	if err == io.EOF && cr.chunk > 0 {
		err = errFrame()
	}
	if err != nil && err != io.EOF {
		return n, err
	}
	if cr.chunk == 0 {
		return n, cr.closeChunk()
	}
	return n, nil
}

// readData reads from the buffer first, then straight into p.
func (cr *chunkReader) readData(p []byte) (int, error) {
	if cr.start < cr.end {
		n := copy(p, cr.buf[cr.start:cr.end])
		cr.start += n
		return n, nil
	}
	n, err := cr.src.Read(p)
	return n, cr.source(err)
}

// source notes the end of the underlying body.
func (cr *chunkReader) source(err error) error {
	switch {
	case err == nil:
		return nil
	case err == io.EOF:
		cr.drained = true
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return s3err.New(s3err.IncompleteBody).Wrap(err)
	}
	return err
}

// next reads the head of the next chunk; behind the last one it ends the body.
func (cr *chunkReader) next() error {
	line, err := cr.line()
	if err != nil {
		return err
	}
	size, err := cr.parseHead(line)
	if err != nil {
		return err
	}
	if size > 0 {
		if size > cr.left {
			return errFrame()
		}
		cr.chunk = size
		return nil
	}
	if cr.left != 0 {
		return s3err.New(s3err.IncompleteBody)
	}
	if cr.signer != nil && !cr.signer.closeChunk(&cr.want) {
		return errChunkSignature()
	}
	if err := cr.finish(); err != nil {
		return err
	}
	return io.EOF
}

// parseHead reads "size;chunk-signature=hex", or "size" where chunks are not signed.
func (cr *chunkReader) parseHead(line []byte) (int64, error) {
	digits, ext, extended := strings.Cut(string(line), ";")
	if digits == "" || len(digits) > sizeDigitsMax {
		return 0, errFrame()
	}
	var size int64
	for i := range len(digits) {
		if !isHex(digits[i]) {
			return 0, errFrame()
		}
		size = size<<4 | int64(unhex(digits[i]))
	}
	if cr.signer == nil {
		if extended {
			return 0, errFrame()
		}
		return size, nil
	}
	signature, ok := strings.CutPrefix(ext, signatureExt)
	if !ok || len(signature) != len(cr.want) {
		return 0, errFrame()
	}
	copy(cr.want[:], signature)
	return size, nil
}

// closeChunk reads the line end behind a chunk's data and checks its signature.
func (cr *chunkReader) closeChunk() error {
	line, err := cr.line()
	if err != nil {
		return err
	}
	if len(line) != 0 {
		return errFrame()
	}
	if cr.signer != nil && !cr.signer.closeChunk(&cr.want) {
		return errChunkSignature()
	}
	return nil
}

// line gives the next line without its end. The result lives until the next read.
func (cr *chunkReader) line() ([]byte, error) {
	scanned := cr.start
	for {
		for i := scanned; i < cr.end; i++ {
			if cr.buf[i] != '\n' {
				continue
			}
			line := cr.buf[cr.start:i]
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, errFrame()
			}
			cr.start = i + 1
			return line[:len(line)-1], nil
		}
		scanned = cr.end
		if cr.drained {
			return nil, errFrame()
		}
		if cr.start > 0 {
			scanned -= cr.start
			cr.end = copy(cr.buf, cr.buf[cr.start:cr.end])
			cr.start = 0
		}
		if cr.end == len(cr.buf) {
			return nil, errFrame()
		}
		n, err := cr.src.Read(cr.buf[cr.end:])
		cr.end += n
		if err := cr.source(err); err != nil && err != io.EOF {
			return nil, err
		}
	}
}

// rest gives all that is left of the body, which is the trailer.
func (cr *chunkReader) rest() ([]byte, error) {
	cr.end = copy(cr.buf, cr.buf[cr.start:cr.end])
	cr.start = 0
	for !cr.drained {
		if cr.end == len(cr.buf) {
			return nil, errTrailer()
		}
		n, err := cr.src.Read(cr.buf[cr.end:])
		cr.end += n
		if err := cr.source(err); err != nil && err != io.EOF {
			return nil, err
		}
	}
	return cr.buf[:cr.end], nil
}

// chunkSigner computes the chain of signatures over a body's chunks.
type chunkSigner struct {
	key      *signingKey
	prefix   string // time and scope lines
	previous [2 * hashBytes]byte
	data     hash.Hash // over the chunk so far
	text     []byte    // scratch for strings to sign
}

func newChunkSigner(c *claim, key *signingKey) *chunkSigner {
	s := &chunkSigner{key: key, prefix: c.amzDate + "\n" + c.scope + "\n", data: sha256.New()}
	copy(s.previous[:], c.signature)
	return s
}

// closeChunk says whether the signature of the chunk that was hashed is want, and
// makes it the link to the next.
func (s *chunkSigner) closeChunk(want *[2 * hashBytes]byte) bool {
	var sum [hashBytes]byte
	s.data.Sum(sum[:0])
	s.data.Reset()
	s.begin("AWS4-HMAC-SHA256-PAYLOAD")
	s.text = append(s.text, emptyHash...)
	s.text = append(s.text, '\n')
	return s.end(sum[:], want)
}

// closeTrailer is closeChunk for the trailer's lines.
func (s *chunkSigner) closeTrailer(lines []byte, want *[2 * hashBytes]byte) bool {
	sum := sha256Sum(lines)
	s.begin("AWS4-HMAC-SHA256-TRAILER")
	return s.end(sum[:], want)
}

func (s *chunkSigner) begin(name string) {
	s.text = append(s.text[:0], name...)
	s.text = append(s.text, '\n')
	s.text = append(s.text, s.prefix...)
	s.text = append(s.text, s.previous[:]...)
	s.text = append(s.text, '\n')
}

func (s *chunkSigner) end(sum []byte, want *[2 * hashBytes]byte) bool {
	s.text = hex.AppendEncode(s.text, sum)
	var got [2 * hashBytes]byte
	s.key.sign(&got, s.text)
	s.previous = got
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
