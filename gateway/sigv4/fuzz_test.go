package sigv4_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
)

// FuzzAuthenticate: no request panics, and none is accepted that the signer did not sign.
func FuzzAuthenticate(f *testing.F) {
	names, err := filepath.Glob("testdata/published/*.http")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		r := readRequest(f, strings.TrimSuffix(filepath.Base(name), ".http"))
		f.Add(r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Content-Sha256"))
	}
	good := request{}.sign(f)
	f.Add("GET", good.RequestURI, good.Header.Get("Authorization"), good.Header.Get("X-Amz-Date"), emptySum)
	v := testVerifier()
	f.Fuzz(func(t *testing.T, method, uri, authorization, date, payload string) {
		_, query, _ := strings.Cut(uri, "?")
		r := &http.Request{Method: method, RequestURI: uri, Host: good.Host, URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}}
		for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": payload} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		auth, err := v.Authenticate(t.Context(), r)
		if err == nil {
			if !auth.Anonymous && authorization != good.Header.Get("Authorization") &&
				!strings.Contains(authorization, signatureOf(good)) {
				t.Errorf("accepted %q", authorization)
			}
			return
		}
		var e *s3err.Error
		if !errors.As(err, &e) || e.Status < 400 || e.Status > 599 {
			t.Errorf("error %v", err)
		}
		doc := s3err.AppendXML(nil, e, s3err.Request{Method: method, Resource: uri})
		if len(doc) > 256<<10 {
			t.Errorf("document of %d bytes", len(doc))
		}
	})
}

func signatureOf(r *http.Request) string {
	_, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	return sig
}

// FuzzChunks: a stream of unsigned chunks never panics, never gives more than was
// declared, and means the same however it is cut into reads.
func FuzzChunks(f *testing.F) {
	f.Add("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 5)
	f.Add("2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n", 5)
	f.Add("0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 0)
	f.Add("fffffffffffffff\r\n", 1<<30)
	text, err := os.ReadFile("testdata/published/put-object.http")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), 10)
	v := testVerifier()
	f.Fuzz(func(t *testing.T, sent string, decoded int) {
		if decoded < 0 || decoded > 1<<40 {
			return
		}
		r := request{method: "PUT", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: http.Header{
			"X-Amz-Trailer": {"x-amz-checksum-crc32"}, "X-Amz-Decoded-Content-Length": {strconv.Itoa(decoded)},
		}}.sign(t)
		auth, err := v.Authenticate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		read := func(src io.Reader) (string, error) {
			body, err := auth.Payload.Wrap(src, -1)
			if err != nil {
				return "", err
			}
			text, err := io.ReadAll(body)
			if err != nil {
				return string(text), err
			}
			return string(text), body.Verify(checksum.Sum(body.Needs(), text))
		}
		whole, err := read(strings.NewReader(sent))
		if len(whole) > decoded || err == nil && len(whole) != decoded {
			t.Errorf("decoded %d bytes of %d: %v", len(whole), decoded, err)
		}
		bytewise, err2 := read(iotest.OneByteReader(strings.NewReader(sent)))
		if (err == nil) != (err2 == nil) || err == nil && whole != bytewise {
			t.Errorf("whole: %q, %v; by bytes: %q, %v", whole, err, bytewise, err2)
		}
	})
}
