package sigv4

import (
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
)

// What x-amz-content-sha256 may say instead of a digest.
const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	streamingSigned        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsigned      = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Payload describes how the body travels and what proves it.
type Payload struct {
	streamed bool // in the framing of aws-chunked
	trailed  bool // a trailer follows the last chunk
	signer   *chunkSigner

	digest      [hashBytes]byte // of the whole body, when hashed
	hashed      bool
	decodedSize int64        // x-amz-decoded-content-length, -1 when not sent
	trailer     checksum.Set // algorithm that the trailer announces
}

// describePayload reads the headers that say how the body is framed and proven.
func describePayload(c *claim, key *signingKey, r *http.Request) (Payload, error) {
	p := Payload{decodedSize: -1}
	switch c.payloadHash {
	case unsignedPayload:
		return p, nil
	case streamingSigned, streamingSignedTrailer:
		p.streamed = true
		p.trailed = c.payloadHash == streamingSignedTrailer
		p.signer = newChunkSigner(c, key)
	case streamingUnsigned:
		p.streamed, p.trailed = true, true
	default:
		return p.withDigest(c.payloadHash)
	}
	if c.presigned || key == nil {
		return p, s3err.Newf(s3err.InvalidRequest, "A streamed payload needs a signature in the Authorization header.")
	}
	if err := p.readDecodedSize(r.Header); err != nil {
		return p, err
	}
	return p, p.readTrailerHeader(r.Header)
}

func (p Payload) withDigest(text string) (Payload, error) {
	if strings.HasPrefix(text, "STREAMING-AWS4-ECDSA") {
		return p, errAsymmetric()
	}
	if len(text) != 2*hashBytes {
		return p, errSHA256Header(text)
	}
	if _, err := hex.Decode(p.digest[:], []byte(text)); err != nil {
		return p, errSHA256Header(text)
	}
	p.hashed = true
	return p, nil
}

func (p *Payload) readDecodedSize(h http.Header) error {
	values := h["X-Amz-Decoded-Content-Length"]
	if len(values) == 0 {
		return nil // Wrap refuses a body without it
	}
	size, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || len(values) > 1 {
		return s3err.Newf(s3err.InvalidArgument, "The x-amz-decoded-content-length header is not valid.").
			With("ArgumentName", "x-amz-decoded-content-length").With("ArgumentValue", values[0])
	}
	p.decodedSize = int64(size)
	return nil
}

// laterSums are the checksums that S3 added later: known, and not built.
var laterSums = map[string]bool{"x-amz-checksum-md5": true, "x-amz-checksum-sha512": true, "x-amz-checksum-xxhash3": true,
	"x-amz-checksum-xxhash64": true, "x-amz-checksum-xxhash128": true}

// readTrailerHeader reads x-amz-trailer, which names one checksum.
func (p *Payload) readTrailerHeader(h http.Header) error {
	values, ok := h["X-Amz-Trailer"]
	switch {
	case !p.trailed && !ok:
		return nil
	case !p.trailed:
		return s3err.Newf(s3err.InvalidRequest, "The x-amz-trailer header needs a payload that ends in a trailer.")
	case !ok:
		return s3err.Newf(s3err.InvalidRequest, "A payload that ends in a trailer needs the x-amz-trailer header.")
	}
	if len(values) == 1 {
		name := strings.TrimSpace(values[0])
		if p.trailer, ok = checksum.ParseHeader(name); ok {
			return nil
		}
		if laterSums[strings.ToLower(name)] {
			return s3err.Newf(s3err.NotImplemented, "A header you provided implies functionality that is not implemented.").
				With("Header", name)
		}
	}
	return s3err.Newf(s3err.InvalidRequest, "The value specified in the x-amz-trailer header is not supported").
		With("ArgumentName", "x-amz-trailer").With("ArgumentValue", strings.Join(values, ","))
}

// Streamed says whether the body travels in the framing of aws-chunked.
func (p *Payload) Streamed() bool { return p.streamed }

// Wrap makes a reader of the decoded bytes. contentLength is that of the request, -1
// when it is not known. It returns MissingContentLength when nothing says how many
// bytes there will be, and IncompleteBody when the lengths contradict each other.
func (p *Payload) Wrap(body io.Reader, contentLength int64) (*Body, error) {
	b := &Body{payload: *p, size: contentLength}
	if !p.streamed {
		if contentLength < 0 {
			return nil, s3err.New(s3err.MissingContentLength)
		}
		b.plain = body
		return b, nil
	}
	if p.decodedSize < 0 {
		return nil, s3err.New(s3err.MissingContentLength)
	}
	if contentLength >= 0 && contentLength < p.decodedSize {
		return nil, s3err.Newf(s3err.IncompleteBody, "The request body is shorter than x-amz-decoded-content-length.")
	}
	b.size = p.decodedSize
	b.chunks = newChunkReader(body, p)
	return b, nil
}
