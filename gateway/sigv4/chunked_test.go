package sigv4_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
)

// stream signs a PUT of a streamed payload and opens its body.
func stream(t testing.TB, payload string, decoded int64, header http.Header, body func(*http.Request) string) (*sigv4.Body, error) {
	t.Helper()
	h := http.Header{"X-Amz-Decoded-Content-Length": {strconv.FormatInt(decoded, 10)}}
	for name, values := range header {
		h[name] = values
	}
	r := request{method: "PUT", payload: payload, header: h}.sign(t)
	auth, err := testVerifier().Authenticate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !auth.Payload.Streamed() {
		t.Fatal("payload is not seen as streamed")
	}
	text := body(r)
	return auth.Payload.Wrap(strings.NewReader(text), int64(len(text)))
}

// readAll reads and verifies a body as a store does.
func readAll(b *sigv4.Body) (string, error) {
	text, err := io.ReadAll(b)
	if err != nil {
		return string(text), err
	}
	return string(text), b.Verify(checksum.Sum(b.Needs(), text))
}

func TestSignedChunks(t *testing.T) {
	const size = 3000
	data := strings.Repeat("0123456789", size/10)
	// good gives the chunks of data, each with what follows it.
	good := func(r *http.Request) []string {
		s := newChunkSigner(r)
		return []string{s.chunk(data[:1000]), s.chunk(data[1000:2999]), s.chunk(data[2999:]), s.chunk(""), "\r\n"}
	}
	tests := []struct {
		name  string
		body  func(*http.Request) string
		code  s3err.Code // "" for success
		bytes string     // a prefix that may have been handed out
	}{
		{"right", func(r *http.Request) string { return strings.Join(good(r), "") }, "", data},
		{"no last line end", func(r *http.Request) string { return strings.TrimSuffix(strings.Join(good(r), ""), "\r\n") }, "", data},
		{"one byte flipped", func(r *http.Request) string {
			return strings.Replace(strings.Join(good(r), ""), "0123456789", "0123456788", 1)
		}, s3err.SignatureDoesNotMatch, ""},
		{"chunks swapped", func(r *http.Request) string {
			c := good(r)
			return c[1] + c[0] + c[2] + c[3] + c[4]
		}, s3err.SignatureDoesNotMatch, ""},
		{"chunk left out", func(r *http.Request) string {
			c := good(r)
			return c[0] + c[2] + c[3] + c[4] + strings.Repeat("\r\n", 1000)
		}, s3err.SignatureDoesNotMatch, ""},
		{"chunk twice", func(r *http.Request) string {
			c := good(r)
			return c[0] + c[0] + c[1] + c[2] + c[3] + c[4]
		}, s3err.SignatureDoesNotMatch, ""},
		{"cut at a chunk", func(r *http.Request) string { return strings.Join(good(r)[:2], "") }, s3err.IncompleteBody, ""},
		{"cut in a chunk", func(r *http.Request) string { return strings.Join(good(r), "")[:2000] }, s3err.IncompleteBody, ""},
		{"cut in a head", func(r *http.Request) string { return good(r)[0] + "7c" }, s3err.IncompleteBody, ""},
		{"no last chunk", func(r *http.Request) string { return strings.Join(good(r)[:3], "") }, s3err.IncompleteBody, ""},
		{"last chunk too early", func(r *http.Request) string {
			s := newChunkSigner(r)
			return s.chunk(data[:1000]) + s.chunk("") + "\r\n"
		}, s3err.IncompleteBody, ""},
		{"more than declared", func(r *http.Request) string {
			s := newChunkSigner(r)
			return s.chunk(data) + s.chunk("x") + s.chunk("") + "\r\n"
		}, s3err.IncompleteBody, ""},
		{"last chunk unsigned", func(r *http.Request) string { return strings.Join(good(r)[:3], "") + "0\r\n\r\n" }, s3err.IncompleteBody, ""},
		{"last signature wrong", func(r *http.Request) string {
			return strings.Join(good(r)[:3], "") + "0;chunk-signature=" + strings.Repeat("0", 64) + "\r\n\r\n"
		}, s3err.SignatureDoesNotMatch, ""},
		{"bytes behind the end", func(r *http.Request) string { return strings.Join(good(r), "") + "x" }, s3err.MalformedTrailerError, ""},
		{"trailer not announced", func(r *http.Request) string {
			return strings.Join(good(r)[:4], "") + "x-amz-checksum-crc32c:AAAAAA==\r\n\r\n"
		}, s3err.MalformedTrailerError, ""},
		{"no size", func(*http.Request) string { return ";chunk-signature=" + strings.Repeat("0", 64) + "\r\n" }, s3err.IncompleteBody, ""},
		{"size is no number", func(*http.Request) string { return "xyz;chunk-signature=" + strings.Repeat("0", 64) + "\r\n" }, s3err.IncompleteBody, ""},
		{"negative size", func(*http.Request) string { return "-1;chunk-signature=" + strings.Repeat("0", 64) + "\r\n" }, s3err.IncompleteBody, ""},
		{"huge size", func(*http.Request) string {
			return "fffffffffffffff;chunk-signature=" + strings.Repeat("0", 64) + "\r\n"
		}, s3err.IncompleteBody, ""},
		{"size overflows", func(*http.Request) string {
			return strings.Repeat("f", 17) + ";chunk-signature=" + strings.Repeat("0", 64) + "\r\n"
		}, s3err.IncompleteBody, ""},
		{"endless head", func(*http.Request) string { return strings.Repeat("0", 1<<16) }, s3err.IncompleteBody, ""},
		{"bare line feed", func(r *http.Request) string {
			return strings.Replace(strings.Join(good(r), ""), "\r\n", "\n", 1)
		}, s3err.IncompleteBody, ""},
		{"data longer than its chunk", func(r *http.Request) string {
			return strings.Replace(strings.Join(good(r), ""), "0123456789", "01234567890", 1)
		}, s3err.IncompleteBody, ""},
		{"another extension", func(r *http.Request) string {
			return strings.Replace(strings.Join(good(r), ""), "chunk-signature", "chunk-sig", 1)
		}, s3err.IncompleteBody, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, err := stream(t, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", size, nil, tt.body)
			if err == nil {
				var text string
				text, err = readAll(body)
				if tt.code == "" && text != tt.bytes {
					t.Errorf("read %d bytes", len(text))
				}
			}
			checkCode(t, err, tt.code)
			if err != nil && body != nil {
				if n, again := body.Read(make([]byte, 10)); n != 0 || again == nil || again == io.EOF {
					t.Errorf("read after an error: %d, %v", n, again)
				}
				if body.Verify(checksum.Sums{}) == nil {
					t.Error("a body that failed verifies")
				}
			}
		})
	}
}

func checkCode(t *testing.T, err error, code s3err.Code) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	if !errors.Is(err, s3err.New(code)) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestTrailers(t *testing.T) {
	const data = "The quick brown fox jumps over the lazy dog"
	sums := checksum.Sum(checksum.Content(), []byte(data))
	for set := range checksum.Content().Each {
		announce := http.Header{"X-Amz-Trailer": {set.Header()}}
		line := set.Header() + ":" + sums.Base64(set)
		wrong := checksum.Sum(set, []byte("another"))
		wrongLine := set.Header() + ":" + wrong.Base64(set)
		unsigned := func(trailer string) func(*http.Request) string {
			return func(*http.Request) string { return "2b\r\n" + data + "\r\n0\r\n" + trailer }
		}
		signed := func(line, kept string) func(*http.Request) string {
			return func(r *http.Request) string {
				s := newChunkSigner(r)
				return s.chunk(data) + s.chunk("") + strings.Replace(s.trailer(line), line, kept, 1)
			}
		}
		const plain, proven = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
		tests := []struct {
			name, payload string
			body          func(*http.Request) string
			code          s3err.Code
		}{
			{"unsigned", plain, unsigned(line + "\r\n\r\n"), ""},
			{"unsigned, upper case and a space", plain, unsigned(strings.ToUpper(set.Header()) + ": " + sums.Base64(set) + "\r\n\r\n"), ""},
			{"unsigned, no empty line", plain, unsigned(line + "\r\n"), ""},
			{"unsigned, no line end", plain, unsigned(line), ""},
			{"unsigned, wrong", plain, unsigned(wrongLine + "\r\n\r\n"), s3err.BadDigest},
			{"unsigned, missing", plain, unsigned("\r\n"), s3err.MalformedTrailerError},
			{"unsigned, twice", plain, unsigned(line + "\r\n" + line + "\r\n\r\n"), s3err.MalformedTrailerError},
			{"unsigned, another header", plain, unsigned("x-amz-meta-a:b\r\n" + line + "\r\n\r\n"), s3err.MalformedTrailerError},
			{"unsigned, a signature", plain, unsigned(line + "\r\nx-amz-trailer-signature:" + strings.Repeat("0", 64) + "\r\n\r\n"), s3err.MalformedTrailerError},
			{"unsigned, no colon", plain, unsigned("hello\r\n\r\n"), s3err.MalformedTrailerError},
			{"unsigned, not base64", plain, unsigned(set.Header() + ":!!!!\r\n\r\n"), s3err.InvalidRequest},
			{"unsigned, too short", plain, unsigned(set.Header() + ":AA==\r\n\r\n"), s3err.InvalidRequest},
			{"unsigned, endless", plain, unsigned(strings.Repeat("\r\n", 4096) + line), s3err.MalformedTrailerError},
			{"unsigned, extension", plain, func(*http.Request) string { return "2b;x=y\r\n" + data + "\r\n0\r\n" + line }, s3err.IncompleteBody},
			{"unsigned, byte flipped", plain, func(*http.Request) string {
				return "2b\r\n" + strings.Replace(data, "fox", "fix", 1) + "\r\n0\r\n" + line
			}, s3err.BadDigest},
			{"signed", proven, signed(line, line), ""},
			{"signed, wrong checksum", proven, signed(wrongLine, wrongLine), s3err.BadDigest},
			{"signed, checksum replaced", proven, signed(wrongLine, line), s3err.SignatureDoesNotMatch},
			{"signed, signature missing", proven, func(r *http.Request) string {
				s := newChunkSigner(r)
				return s.chunk(data) + s.chunk("") + line + "\r\n\r\n"
			}, s3err.MalformedTrailerError},
			{"signed, checksum missing", proven, func(r *http.Request) string {
				s := newChunkSigner(r)
				return s.chunk(data) + s.chunk("") + "\r\n" + strings.TrimPrefix(s.trailer(line), line)
			}, s3err.MalformedTrailerError},
			{"signed, signature cut", proven, func(r *http.Request) string {
				s := newChunkSigner(r)
				return s.chunk(data) + s.chunk("") + strings.TrimRight(s.trailer(line), "\r\n")[:len(line)+60]
			}, s3err.MalformedTrailerError},
		}
		for _, tt := range tests {
			t.Run(set.Name()+"/"+tt.name, func(t *testing.T) {
				body, err := stream(t, tt.payload, int64(len(data)), announce, tt.body)
				if err != nil {
					t.Fatal(err)
				}
				if body.Trailer() != set || body.Needs() != set {
					t.Errorf("trailer %v, needs %v", body.Trailer(), body.Needs())
				}
				_, err = readAll(body)
				checkCode(t, err, tt.code)
			})
		}
	}
}

func TestPlainBody(t *testing.T) {
	const data = "Welcome to Amazon S3."
	sums := checksum.Sum(checksum.SHA256, []byte(data))
	hexSum := "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
	open := func(payload, sent string, length int64) (*sigv4.Body, error) {
		auth, err := testVerifier().Authenticate(t.Context(), request{method: "PUT", payload: payload}.sign(t))
		if err != nil {
			t.Fatal(err)
		}
		return auth.Payload.Wrap(strings.NewReader(sent), length)
	}
	t.Run("digest", func(t *testing.T) {
		body, err := open(hexSum, data, int64(len(data)))
		if err != nil || body.Needs() != checksum.SHA256 || body.Size() != int64(len(data)) {
			t.Fatal(body, err)
		}
		if err := body.Verify(sums); !errors.Is(err, s3err.New(s3err.IncompleteBody)) {
			t.Errorf("verified before the end: %v", err)
		}
		if _, err := readAll(body); err != nil {
			t.Error(err)
		}
		if err := body.Verify(checksum.Sums{}); err == nil {
			t.Error("verified without the digest it needs")
		}
	})
	t.Run("digest of another body", func(t *testing.T) {
		body, err := open(hexSum, strings.ToUpper(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = readAll(body)
		checkCode(t, err, s3err.XAmzContentSHA256Mismatch)
	})
	t.Run("unsigned", func(t *testing.T) {
		body, err := open("UNSIGNED-PAYLOAD", data, int64(len(data)))
		if err != nil || body.Needs() != 0 {
			t.Fatal(body, err)
		}
		if _, err := readAll(body); err != nil {
			t.Error(err)
		}
	})
	t.Run("no length", func(t *testing.T) {
		_, err := open(hexSum, data, -1)
		checkCode(t, err, s3err.MissingContentLength)
	})
	t.Run("cut off", func(t *testing.T) {
		auth, err := testVerifier().Authenticate(t.Context(), request{method: "PUT", payload: hexSum}.sign(t))
		if err != nil {
			t.Fatal(err)
		}
		body, err := auth.Payload.Wrap(io.MultiReader(strings.NewReader("Wel"), iotest.ErrReader(io.ErrUnexpectedEOF)), 21)
		if err != nil {
			t.Fatal(err)
		}
		_, err = readAll(body)
		checkCode(t, err, s3err.IncompleteBody)
	})
	t.Run("read whole", func(t *testing.T) {
		for _, tt := range []struct {
			sent   string
			length int64
			limit  int64
			code   s3err.Code
		}{
			{data, 21, 21, ""},
			{data, 21, 20, s3err.MaxMessageLengthExceeded},
			{data[:20], 21, 100, s3err.IncompleteBody},
			{data, 20, 100, s3err.IncompleteBody},
			{"", 21, 100, s3err.IncompleteBody},
		} {
			body, err := open(hexSum, tt.sent, tt.length)
			if err != nil {
				t.Fatal(err)
			}
			text, got, err := body.ReadAll(tt.limit, checksum.MD5)
			checkCode(t, err, tt.code)
			if tt.code == "" && (string(text) != data || !got.Set.Has(checksum.MD5|checksum.SHA256)) {
				t.Errorf("read %q with %v", text, got.Set)
			}
		}
	})
}

func TestStreamLengths(t *testing.T) {
	const payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	r := request{method: "PUT", payload: payload}.sign(t)
	auth, err := testVerifier().Authenticate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = auth.Payload.Wrap(strings.NewReader(""), 100)
	checkCode(t, err, s3err.MissingContentLength)

	_, err = stream(t, payload, 1000, nil, func(*http.Request) string { return "0\r\n" })
	checkCode(t, err, s3err.IncompleteBody)

	// An empty object is one empty chunk.
	body, err := stream(t, payload, 0, nil, func(r *http.Request) string { return newChunkSigner(r).chunk("") + "\r\n" })
	if err != nil {
		t.Fatal(err)
	}
	text, err := readAll(body)
	if text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
