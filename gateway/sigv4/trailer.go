package sigv4

import (
	"bytes"

	"shoal/gateway/s3err"
)

const trailerSignature = "x-amz-trailer-signature"

func errTrailer() error { return s3err.New(s3err.MalformedTrailerError) }

func errChunkSignature() error { return s3err.New(s3err.SignatureDoesNotMatch) }

// finish reads what stands behind the last chunk: nothing but a line end, or the
// trailer. Clients differ in where they put empty lines, so those mean nothing; any
// other line must be the checksum that was announced or the trailer's signature.
func (cr *chunkReader) finish() error {
	rest, err := cr.rest()
	if err != nil {
		return err
	}
	var signature [2 * hashBytes]byte
	var signed bool
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case !ok || !cr.payload.trailed || signed:
			return errTrailer()
		case cr.signer != nil && bytes.EqualFold(name, []byte(trailerSignature)):
			if len(value) != len(signature) {
				return errTrailer()
			}
			signed = true
			copy(signature[:], value)
		case cr.trailer == nil && bytes.EqualFold(name, []byte(cr.payload.trailer.Header())):
			if cr.trailer, err = cr.payload.trailer.ParseBase64(string(value)); err != nil {
				return s3err.Newf(s3err.InvalidRequest, "Value for %s trailing header is invalid.", cr.payload.trailer.Header())
			}
			cr.trailing.WriteString(cr.payload.trailer.Header())
			cr.trailing.WriteByte(':')
			cr.trailing.Write(value)
			cr.trailing.WriteByte('\n')
		default:
			return errTrailer()
		}
	}
	return cr.checkTrailer(signed, &signature)
}

// checkTrailer demands what was announced.
func (cr *chunkReader) checkTrailer(signed bool, signature *[2 * hashBytes]byte) error {
	if !cr.payload.trailed {
		return nil
	}
	if cr.trailer == nil || signed != (cr.signer != nil) {
		return errTrailer()
	}
	if signed && !cr.signer.closeTrailer([]byte(cr.trailing.String()), signature) {
		return errChunkSignature()
	}
	return nil
}
