package security

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Bodies that come in signed pieces
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html): every piece counts, and so does the end.

func streamAttacks() []attack {
	var all []attack
	put := func(name string, status int, code string, change func(*stream)) {
		all = append(all, attack{name, func(t *testing.T, v *victim) {
			b := v.bucket(t, bucketName(name))
			s := &stream{as: v.root, path: "/" + b.name + "/kept", pieces: []string{strings.Repeat("a", 70_000), strings.Repeat("b", 9_000)}}
			change(s)
			if a := v.sendRaw(t, http.MethodPut, s.text(v.addr)); a.status != status || a.code != code {
				t.Errorf("%v; want %d %q", a, status, code)
			}
			b.untouched(t)
		}})
	}
	put("A3 byte of a signed piece changed", 403, "SignatureDoesNotMatch", func(s *stream) {
		s.spoil = func(body string) string { return strings.Replace(body, "bbb", "bXb", 1) }
	})
	put("A3 signature of a piece changed", 403, "SignatureDoesNotMatch", func(s *stream) { s.forge = 1 })
	put("A3 signature of the last piece changed", 403, "SignatureDoesNotMatch", func(s *stream) { s.forge = 2 })
	put("A3 pieces exchanged", 403, "SignatureDoesNotMatch", func(s *stream) {
		s.spoil = func(body string) string {
			one, two, end := pieceEnds(body)
			return body[one:two] + body[:one] + body[two:end] + body[end:]
		}
	})
	put("A3 piece left out", 400, "IncompleteBody", func(s *stream) {
		s.spoil = func(body string) string {
			one, two, _ := pieceEnds(body)
			return body[:one] + body[two:]
		}
	})
	put("A3 decoded length too short", 400, "IncompleteBody", func(s *stream) { s.decoded = 100 })
	put("A3 decoded length too long", 400, "IncompleteBody", func(s *stream) { s.decoded = 100_000 })
	put("A3 decoded length not a number", 400, "InvalidArgument", func(s *stream) { s.decoded = -1 })
	put("A3 wrong checksum in the trailer", 400, "BadDigest", func(s *stream) { s.trailer = "x-amz-checksum-crc32:AAAAAA==" })
	put("A3 trailer changed behind the signature", 403, "SignatureDoesNotMatch", func(s *stream) {
		s.trailer = "x-amz-checksum-crc32:AAAAAA=="
		s.spoil = func(body string) string { return strings.Replace(body, "AAAAAA==", "AQAAAA==", 1) }
	})
	put("A2 unsigned pieces with a wrong secret", 403, "SignatureDoesNotMatch", func(s *stream) {
		s.as.secret += "x"
		s.unsigned, s.trailer = true, "x-amz-checksum-crc32:AAAAAA=="
	})
	put("A2 unsigned pieces with no signature at all", 400, "InvalidRequest", func(s *stream) {
		s.as = credential{}
		s.unsigned, s.trailer = true, "x-amz-checksum-crc32:AAAAAA=="
	})
	put("A2 unsigned pieces with a wrong checksum", 400, "BadDigest", func(s *stream) {
		s.unsigned, s.trailer = true, "x-amz-checksum-crc32:AAAAAA=="
	})
	return append(all,
		attack{"A3 connection cut at 99 in 100", cutShort},
		attack{"A3 body other than its digest", otherBody},
		attack{"A2 presigned PUT of pieces with a wrong secret", presignedPieces},
	)
}

// stream is a PUT in pieces.
type stream struct {
	as       credential
	path     string
	pieces   []string
	decoded  int    // said to be the length; what it is when 0
	trailer  string // "name:value"
	unsigned bool
	forge    int // which piece's signature is wrong, from 1
	spoil    func(body string) string
}

func (s *stream) text(addr string) []byte {
	kind := "STREAMING-" + algorithm + "-PAYLOAD"
	if s.unsigned {
		kind = "STREAMING-UNSIGNED-PAYLOAD"
	}
	r := &request{method: http.MethodPut, path: s.path, as: s.as, payload: kind}
	total := 0
	for _, p := range s.pieces {
		total += len(p)
	}
	if s.decoded != 0 {
		total = s.decoded
	}
	r.head = map[string]string{"content-encoding": "aws-chunked", "x-amz-decoded-content-length": fmt.Sprint(total)}
	if s.trailer != "" {
		r.payload += "-TRAILER"
		name, _, _ := strings.Cut(s.trailer, ":")
		r.head["x-amz-trailer"] = name
	}
	if r.as.id == "" {
		r.head["x-amz-content-sha256"] = r.payload
	}
	// The length of the body does not depend on the signatures in it.
	r.head["content-length"] = fmt.Sprint(len(s.body(r, strings.Repeat("0", 64))))
	head := string(r.text(addr))
	_, seed, _ := strings.Cut(head, "Signature=")
	seed, _, _ = strings.Cut(seed, "\r\n")
	body := s.body(r, seed)
	if s.spoil != nil {
		spoilt := s.spoil(body)
		head = strings.Replace(head, fmt.Sprintf("content-length: %d\r\n", len(body)), fmt.Sprintf("content-length: %d\r\n", len(spoilt)), 1)
		body = spoilt
	}
	return []byte(head + body)
}

// body is the pieces with their frames, signed on from the signature of the head.
func (s *stream) body(r *request, previous string) string {
	now := time.Now().UTC()
	chain := func(kind, text string) string {
		previous = hex.EncodeToString(mac(r.signingKey(now), strings.Join([]string{
			algorithm + kind, r.date, r.scope(now), previous, text,
		}, "\n")))
		return previous
	}
	var b strings.Builder
	for i, p := range append(s.pieces[:len(s.pieces):len(s.pieces)], "") {
		if s.unsigned {
			fmt.Fprintf(&b, "%x\r\n", len(p))
		} else {
			signature := chain("-PAYLOAD", digest(nil)+"\n"+digest([]byte(p)))
			if s.forge == i+1 {
				signature = flip(signature)
			}
			fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n", len(p), signature)
		}
		if p != "" {
			b.WriteString(p + "\r\n")
		}
	}
	if s.trailer != "" {
		b.WriteString(s.trailer + "\r\n")
		if !s.unsigned {
			b.WriteString("x-amz-trailer-signature:" + chain("-TRAILER", digest([]byte(s.trailer+"\n"))) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.String()
}

func flip(hexText string) string {
	if hexText[0] == '0' {
		return "1" + hexText[1:]
	}
	return "0" + hexText[1:]
}

// pieceEnds tells where the first two of three frames end, and the third.
func pieceEnds(body string) (one, two, end int) {
	next := func(from int) int {
		var n int
		line, _, _ := strings.Cut(body[from:], "\r\n")
		if _, err := fmt.Sscanf(line, "%x;", &n); err != nil {
			panic(err)
		}
		return from + len(line) + 2 + n + 2
	}
	one = next(0)
	two = next(one)
	return one, two, len(body)
}

func cutShort(t *testing.T, v *victim) {
	b := v.bucket(t, "a3-cut")
	for _, payload := range []string{"", unsignedPayload} {
		r := &request{method: http.MethodPut, path: "/" + b.name + "/kept", as: v.root, payload: payload, body: []byte(strings.Repeat("c", 1<<20))}
		text := r.text(v.addr)
		v.cut(t, text[:len(text)-10_000])
	}
	b.untouched(t)
}

func otherBody(t *testing.T, v *victim) {
	b := v.bucket(t, "a3-body")
	v.is(t, &request{method: http.MethodPut, path: "/" + b.name + "/kept", as: v.root, payload: digest([]byte("other")), body: []byte("x")}, 400, "XAmzContentSHA256Mismatch")
	v.is(t, &request{method: http.MethodPut, path: "/" + b.name + "/kept", as: v.root, payload: "e3b0", body: []byte("x")}, 400, "InvalidArgument")
	b.untouched(t)
}

func presignedPieces(t *testing.T, v *victim) {
	b := v.bucket(t, "a2-presigned")
	body := "1\r\nx\r\n0\r\nx-amz-checksum-crc32:jNy+tg==\r\n\r\n"
	r := &request{
		method: http.MethodPut, path: "/" + b.name + "/kept", as: credential{v.root.id, "x"}, presign: "300", body: []byte(body),
		head: map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": "1", "content-encoding": "aws-chunked"},
	}
	if a := v.send(t, r); a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
		t.Errorf("%v", a)
	}
	b.untouched(t)
}
