package s3op

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"

	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

const supportedSums = "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"

// digests is what a client said of a body's digests
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
type digests struct {
	md5       []byte       // Content-MD5, nil when not sent
	algorithm checksum.Set // content checksum in a header or trailer, 0 when none
	value     []byte       // its value in the header, nil when it comes in a trailer
}

// sumHeader is the canonical header of each content checksum.
var sumHeader = func() map[checksum.Set]string {
	names := make(map[checksum.Set]string)
	for a := range checksum.Content().Each {
		names[a] = http.CanonicalHeaderKey(a.Header())
	}
	return names
}()

// readDigests reads Content-MD5, x-amz-checksum-* and what is said of a trailer.
func (c *call) readDigests() (digests, error) {
	d, err := readMD5(c.HTTP.Header)
	if err != nil {
		return d, err
	}
	h := c.HTTP.Header
	if c.Body != nil {
		d.algorithm = c.Body.Trailer()
	}
	for a := range checksum.Content().Each {
		text, ok := h[sumHeader[a]]
		if !ok {
			continue
		}
		if d.algorithm != 0 {
			return d, errInvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		value, err := a.ParseBase64(text[0])
		if err != nil {
			return d, errInvalidRequest("Value for %s header is invalid.", a.Header())
		}
		d.algorithm, d.value = a, value
	}
	return d, c.checkSDKAlgorithm(d.algorithm)
}

// readMD5 reads Content-MD5.
func readMD5(h http.Header) (digests, error) {
	text, ok := h["Content-Md5"]
	if !ok {
		return digests{}, nil
	}
	md5, err := checksum.MD5.ParseBase64(text[0])
	if err != nil {
		return digests{}, s3err.Newf(s3err.InvalidDigest, "The Content-MD5 you specified was invalid.").
			With("Content-MD5", text[0])
	}
	return digests{md5: md5}, nil
}

// checkSDKAlgorithm holds x-amz-sdk-checksum-algorithm against the checksum that came.
func (c *call) checkSDKAlgorithm(have checksum.Set) error {
	name := c.HTTP.Header.Get("X-Amz-Sdk-Checksum-Algorithm")
	if name == "" {
		return nil
	}
	a, err := parseAlgorithm(name)
	switch {
	case err != nil:
		return err
	case have == 0:
		return errInvalidRequest("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* " +
			"or x-amz-trailer headers were found.")
	case a != have:
		return errInvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return nil
}

// parseAlgorithm reads the name of a content checksum. The algorithms that S3 added
// later are known and not built.
func parseAlgorithm(name string) (checksum.Set, error) {
	if a, ok := checksum.ParseName(name); ok {
		return a, nil
	}
	switch name {
	case "MD5", "SHA512", "XXHASH3", "XXHASH64", "XXHASH128":
		return 0, errNotImplemented("checksum algorithm " + name)
	}
	return 0, errInvalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: %s", supportedSums)
}

// needs names the digests to compute beside MD5.
func (d *digests) needs(body Body) checksum.Set {
	set := d.algorithm
	if body != nil {
		set |= body.Needs()
	}
	return set
}

// verifier gives the check that ends a put: what was signed first, then what was said
// in headers.
func (d *digests) verifier(body Body) func(checksum.Sums) error {
	return func(sums checksum.Sums) error {
		if body != nil {
			if err := body.Verify(sums); err != nil {
				return err
			}
		}
		if d.md5 != nil && !bytes.Equal(d.md5, sums.MD5[:]) {
			return s3err.Newf(s3err.BadDigest, "The Content-MD5 you specified did not match what we received.").
				With("ExpectedDigest", base64.StdEncoding.EncodeToString(d.md5)).
				With("CalculatedDigest", sums.Base64(checksum.MD5))
		}
		if d.value != nil && !bytes.Equal(d.value, sums.Bytes(d.algorithm)) {
			return s3err.Newf(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", d.algorithm.Name())
		}
		return nil
	}
}

// empty is the body of a request that has none.
type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }

// content gives the body to store and its size. A request that does not say how long
// its body is gets MissingContentLength.
func (c *call) content() (io.Reader, int64, error) {
	r := c.HTTP
	if r.ProtoMajor < 2 && r.ContentLength <= 0 && len(r.TransferEncoding) == 0 && r.Header.Get("Content-Length") == "" {
		return nil, 0, s3err.New(s3err.MissingContentLength)
	}
	if c.Body == nil {
		return empty{}, 0, nil
	}
	size := c.Body.Size()
	if size > api.MaxPutSize {
		return nil, 0, s3err.New(s3err.EntityTooLarge).
			With("ProposedSize", itoa(size)).With("MaxSizeAllowed", itoa(api.MaxPutSize))
	}
	return c.Body, size, nil
}

// document reads a body that is an XML document of at most limit bytes and verifies
// its digests. With proof, a Content-MD5 or a content checksum must have come.
func (c *call) document(limit int64, proof bool) ([]byte, error) {
	d, err := c.readDigests()
	if err != nil {
		return nil, err
	}
	if proof && d.md5 == nil && d.algorithm == 0 {
		return nil, errInvalidRequest("Missing required header for this request: Content-MD5")
	}
	if c.Body == nil || c.Body.Size() == 0 {
		return nil, nil
	}
	return c.readText(limit, &d)
}

// readText reads a body of at most limit bytes and holds it against what was signed
// and what d says.
func (c *call) readText(limit int64, d *digests) ([]byte, error) {
	size := c.Body.Size()
	if size > limit {
		return nil, s3err.New(s3err.MaxMessageLengthExceeded).With("MaxMessageLengthBytes", itoa(limit))
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(c.Body, text); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if n, err := io.ReadFull(c.Body, make([]byte, 1)); n != 0 || err != io.EOF {
		if n != 0 {
			err = s3err.New(s3err.IncompleteBody)
		}
		return nil, err
	}
	return text, d.verifier(c.Body)(checksum.Sum(d.needs(c.Body)|checksum.MD5, text))
}

// writeChecksum sets the headers that tell a checksum.
func writeChecksum(h http.Header, sum api.Checksum, withType bool) {
	if sum.Algorithm == 0 || sum.Value == "" {
		return
	}
	h[sumHeader[sum.Algorithm]] = []string{sum.Value}
	if withType {
		h["X-Amz-Checksum-Type"] = checksumTypes[sum.Type]
	}
}

var checksumTypes = [...][]string{api.FullObject: {"FULL_OBJECT"}, api.Composite: {"COMPOSITE"}}
