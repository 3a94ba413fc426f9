package sigv4

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"

	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
)

// Body is the decoded body of a request. It is for one goroutine.
type Body struct {
	payload Payload
	size    int64
	plain   io.Reader    // a body without framing
	chunks  *chunkReader // a body in chunks
	done    bool         // Read gave io.EOF
}

// Read gives decoded bytes. io.EOF comes only when the body had its declared size and
// all chunk signatures and the trailer's were right; IncompleteBody and
// SignatureDoesNotMatch otherwise. Bytes handed out before an error are not proven.
func (b *Body) Read(p []byte) (int, error) {
	var n int
	var err error
	if b.chunks != nil {
		n, err = b.chunks.Read(p)
	} else {
		n, err = b.plain.Read(p)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = s3err.New(s3err.IncompleteBody).Wrap(err)
		}
	}
	if err == io.EOF {
		b.done = true
	}
	return n, err
}

// Size is the number of decoded bytes that the client declared.
func (b *Body) Size() int64 { return b.size }

// Needs names the digests that Verify wants to see.
func (b *Body) Needs() checksum.Set {
	need := b.payload.trailer
	if b.payload.hashed {
		need |= checksum.SHA256
	}
	return need
}

// Trailer is the checksum that the client sends behind the body, 0 when none.
func (b *Body) Trailer() checksum.Set { return b.payload.trailer }

// Verify holds the digests of all bytes read against the digest in the signature and
// the checksum in the trailer. It is called once, after Read gave io.EOF.
// XAmzContentSHA256Mismatch, BadDigest, IncompleteBody when the body was not read to
// its end.
func (b *Body) Verify(sums checksum.Sums) error {
	if !b.done {
		return s3err.New(s3err.IncompleteBody)
	}
	if missing := b.Needs() &^ sums.Set; missing != 0 {
		return s3err.New(s3err.InternalError).Wrap(errors.New("sigv4: digests not computed: " + missing.String()))
	}
	if b.payload.hashed && subtle.ConstantTimeCompare(sums.SHA256[:], b.payload.digest[:]) != 1 {
		return s3err.New(s3err.XAmzContentSHA256Mismatch).
			With("ClientComputedContentSHA256", string(appendHex(nil, b.payload.digest[:]))).
			With("S3ComputedContentSHA256", string(appendHex(nil, sums.SHA256[:])))
	}
	if b.payload.trailer != 0 && !bytes.Equal(sums.Bytes(b.payload.trailer), b.chunks.trailer) {
		return s3err.Newf(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", b.payload.trailer.Name())
	}
	return nil
}

// ReadAll reads a body of at most limit bytes and verifies it. extra names digests
// that the caller wants to see as well. It returns MaxMessageLengthExceeded for a
// longer body, and the errors of Read and Verify.
func (b *Body) ReadAll(limit int64, extra checksum.Set) ([]byte, checksum.Sums, error) {
	if b.size > limit {
		return nil, checksum.Sums{}, s3err.New(s3err.MaxMessageLengthExceeded)
	}
	text := make([]byte, b.size)
	if _, err := io.ReadFull(b, text); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = s3err.New(s3err.IncompleteBody)
		}
		return nil, checksum.Sums{}, err
	}
	var one [1]byte
	if n, err := b.Read(one[:]); n > 0 || err == nil {
		return nil, checksum.Sums{}, s3err.New(s3err.IncompleteBody)
	} else if err != io.EOF {
		return nil, checksum.Sums{}, err
	}
	sums := checksum.Sum(b.Needs()|extra, text)
	return text, sums, b.Verify(sums)
}
