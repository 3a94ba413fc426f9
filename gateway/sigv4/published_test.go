package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"shoal/chunker/checksum"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// The credentials and the clock of the published examples.
const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

// keys is a store of credentials.
type keys map[string]string

func (k keys) Credential(_ context.Context, id string) (api.Credential, error) {
	secret, ok := k[id]
	if !ok {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential, Op: "keys"}
	}
	return api.Credential{AccessKeyID: id, Secret: secret, Principal: "root"}, nil
}

func exampleVerifier() *sigv4.Verifier {
	return sigv4.New(sigv4.Config{
		Credentials: keys{exampleID: exampleSecret},
		Now:         func() time.Time { return exampleTime },
	})
}

// readRequest reads a request as a server does. Its file holds the bytes of the wire.
func readRequest(t testing.TB, name string) *http.Request {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "published", name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func TestPublishedExamples(t *testing.T) {
	tests := []struct {
		name      string
		presigned bool
		signed    string
	}{
		{"get-object", false, "host;range;x-amz-content-sha256;x-amz-date"},
		{"put-object", false, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class"},
		{"get-lifecycle", false, "host;x-amz-content-sha256;x-amz-date"},
		{"list-objects", false, "host;x-amz-content-sha256;x-amz-date"},
		{"presigned-get", true, "host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := exampleVerifier()
			r := readRequest(t, tt.name)
			auth, err := v.Authenticate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if auth.AccessKeyID != exampleID || auth.Principal != "root" || auth.Anonymous {
				t.Errorf("auth = %+v", auth)
			}
			if auth.Presigned != tt.presigned || auth.SignedHeaders != tt.signed {
				t.Errorf("presigned %v, signed headers %q", auth.Presigned, auth.SignedHeaders)
			}
			body, err := auth.Payload.Wrap(r.Body, r.ContentLength)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := body.ReadAll(1<<10, 0); err != nil {
				t.Errorf("read body: %v", err)
			}
		})
	}
}

// exampleBody frames 65 KiB of 'a' in a chunk of 64 KiB and one of 1 KiB.
func exampleBody(signatures [3]string, trailer string) string {
	var b strings.Builder
	for i, size := range []int{64 << 10, 1 << 10, 0} {
		b.WriteString([]string{"10000", "400", "0"}[i] + ";chunk-signature=" + signatures[i] + "\r\n")
		if size > 0 {
			b.WriteString(strings.Repeat("a", size) + "\r\n")
		}
	}
	return b.String() + trailer
}

// The published signatures of the chunks, and of the trailer.
var (
	plainChunks = [3]string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}
	trailedChunks = [3]string{
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
	}
)

const exampleTrailer = "x-amz-checksum-crc32c:sOO8/Q==\r\n" +
	"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"

// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
func TestPublishedStreams(t *testing.T) {
	tests := []struct {
		name, body string
		needs      checksum.Set
	}{
		{"chunked-put", exampleBody(plainChunks, "\r\n"), 0},
		{"chunked-trailer-put", exampleBody(trailedChunks, exampleTrailer), checksum.CRC32C},
		// Clients place empty lines differently.
		{"chunked-trailer-put", exampleBody(trailedChunks, strings.Replace(exampleTrailer, "\r\n", "\n\r\n", 1)), checksum.CRC32C},
		{"chunked-put", exampleBody(plainChunks, ""), 0},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole":   func(r io.Reader) io.Reader { return r },
		"bytes":   iotest.OneByteReader,
		"halves":  iotest.HalfReader,
		"eof":     iotest.DataErrReader,
		"stutter": func(r io.Reader) io.Reader { return &stutter{r: r} },
	}
	for _, tt := range tests {
		for kind, wrap := range readers {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				auth, err := exampleVerifier().Authenticate(t.Context(), readRequest(t, tt.name))
				if err != nil {
					t.Fatal(err)
				}
				body, err := auth.Payload.Wrap(wrap(strings.NewReader(tt.body)), int64(len(tt.body)))
				if err != nil {
					t.Fatal(err)
				}
				if body.Size() != 66560 || body.Needs() != tt.needs {
					t.Errorf("size %d, needs %v", body.Size(), body.Needs())
				}
				got, err := io.ReadAll(body)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != strings.Repeat("a", 66560) {
					t.Errorf("decoded %d wrong bytes", len(got))
				}
				if err := body.Verify(checksum.Sum(body.Needs(), got)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// stutter gives nothing at every other read.
type stutter struct {
	r   io.Reader
	odd bool
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.odd = !s.odd; s.odd {
		return 0, nil
	}
	return s.r.Read(p)
}
