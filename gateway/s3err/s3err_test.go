package s3err_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// Every kind has a row of its own: none falls to InternalError by omission.
func TestEveryKind(t *testing.T) {
	internal := map[api.Kind]bool{api.Internal: true, api.Corrupt: true, api.OutcomeUnknown: true}
	for _, kind := range api.Kinds() {
		e := s3err.From(&api.Error{Kind: kind, Op: "test"})
		if e.Status < 400 || e.Status > 599 || e.Message == "" || e.Code == "" {
			t.Errorf("%v: %+v", kind, e)
		}
		if (e.Code == s3err.InternalError) != internal[kind] {
			t.Errorf("%v is %s", kind, e.Code)
		}
	}
	if e := s3err.From(&api.Error{Kind: 9999}); e.Code != s3err.InternalError || e.Status != 500 {
		t.Errorf("a kind of a later release: %+v", e)
	}
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func TestFrom(t *testing.T) {
	own := s3err.New(s3err.InvalidRange)
	tests := []struct {
		name   string
		err    error
		code   s3err.Code
		status int
		fields []s3err.Field
	}{
		{"own", own, s3err.InvalidRange, 416, nil},
		{"own, wrapped", fmt.Errorf("get: %w", own), s3err.InvalidRange, 416, nil},
		{"own in a store's error", &api.Error{Kind: api.Internal, Err: own}, s3err.InvalidRange, 416, nil},
		{"no key", &api.Error{Kind: api.NoSuchKey, Bucket: "b", Key: "k"}, s3err.NoSuchKey, 404, []s3err.Field{{"Key", "k"}}},
		{"no bucket", &api.Error{Kind: api.NoSuchBucket, Bucket: "b"}, s3err.NoSuchBucket, 404, []s3err.Field{{"BucketName", "b"}}},
		{"no version", &api.Error{Kind: api.NoSuchVersion, Key: "k", Version: "v"}, s3err.NoSuchVersion, 404, []s3err.Field{{"Key", "k"}, {"VersionId", "v"}}},
		{"wrapped", fmt.Errorf("put: %w", &api.Error{Kind: api.BucketNotEmpty}), s3err.BucketNotEmpty, 409, nil},
		{"unknown", errors.New("drive d7"), s3err.InternalError, 500, nil},
		{"canceled", context.Canceled, s3err.RequestTimeout, 400, nil},
		{"deadline", fmt.Errorf("read: %w", context.DeadlineExceeded), s3err.RequestTimeout, 400, nil},
		{"connection deadline", os.ErrDeadlineExceeded, s3err.RequestTimeout, 400, nil},
		{"cut body", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), s3err.IncompleteBody, 400, nil},
		{"long body", &http.MaxBytesError{Limit: 1}, s3err.MaxMessageLengthExceeded, 400, nil},
		{"read-only", &api.Error{Kind: api.ReadOnly}, s3err.ReadOnly, 503, nil},
		{"full", &api.Error{Kind: api.StorageFull}, s3err.InsufficientStorage, 507, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := s3err.From(tt.err)
			if e.Code != tt.code || e.Status != tt.status || fmt.Sprint(e.Fields) != fmt.Sprint(tt.fields) {
				t.Errorf("got %+v", e)
			}
			if strings.Contains(e.Message, "drive") {
				t.Errorf("client is told %q", e.Message)
			}
			if !errors.Is(e, tt.err) && !errors.Is(tt.err, e) {
				t.Error("the cause is lost to the log")
			}
		})
	}
	if s3err.From(nil) != nil {
		t.Error("no error became one")
	}
	if e := s3err.From(&api.Error{Kind: api.InvalidArgument, Detail: "max-keys is odd"}); e.Message != "max-keys is odd" {
		t.Errorf("detail is lost: %q", e.Message)
	}
	if e := s3err.From(&api.Error{Kind: api.Corrupt, Detail: "shard 3 of chunk x"}); strings.Contains(e.Message, "shard") {
		t.Errorf("client is told %q", e.Message)
	}
	if e := s3err.From(&api.Error{Kind: api.SlowDown}); e.RetryAfter == 0 {
		t.Error("a busy store names no time to come back")
	}
}

func TestCodes(t *testing.T) {
	for _, code := range s3err.Codes() {
		e := s3err.New(code)
		if e.Code != code || e.Status < 300 || e.Status > 599 || e.Message == "" {
			t.Errorf("%s: %+v", code, e)
		}
		if strings.TrimFunc(string(code), func(r rune) bool { return r >= 'A' && r <= 'z' }) != "" && code != s3err.XAmzContentSHA256Mismatch {
			t.Errorf("odd code %q", code)
		}
	}
	if e := s3err.New("Unheard"); e.Status != 500 {
		t.Errorf("an unknown code has status %d", e.Status)
	}
	if !errors.Is(s3err.Newf(s3err.NoSuchKey, "x"), s3err.New(s3err.NoSuchKey)) || errors.Is(s3err.New(s3err.NoSuchKey), s3err.New(s3err.NoSuchBucket)) {
		t.Error("errors.Is does not decide by code")
	}
}

func TestDocument(t *testing.T) {
	e := s3err.New(s3err.NoSuchKey).With("Key", `a<b>&"'c`)
	got := string(s3err.AppendXML(nil, e, s3err.Request{Resource: "/b/a%3C", RequestID: "R", HostID: "H"}))
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b&gt;&amp;&quot;&apos;c</Key>" +
		"<Resource>/b/a%3C</Resource><RequestId>R</RequestId><HostId>H</HostId></Error>"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWriteXML(t *testing.T) {
	slow := s3err.New(s3err.SlowDown)
	slow.RetryAfter = 500 * time.Millisecond
	tests := []struct {
		name   string
		method string
		err    *s3err.Error
		body   bool
		header map[string]string
	}{
		{"get", "GET", s3err.New(s3err.NoSuchKey), true, map[string]string{"Content-Type": "application/xml", "Etag": "", "Content-Encoding": ""}},
		{"head", "HEAD", s3err.New(s3err.NoSuchKey), false, map[string]string{"Content-Length": "", "Etag": ""}},
		{"not modified", "GET", s3err.New(s3err.NotModified), false, map[string]string{"Etag": `"e"`, "Content-Type": "", "Content-Length": ""}},
		{"slow down", "PUT", slow, true, map[string]string{"Retry-After": "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Etag", `"e"`)
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Length", "99")
			n := s3err.WriteXML(w, tt.err, s3err.Request{Method: tt.method})
			if w.Code != tt.err.Status || (w.Body.Len() > 0) != tt.body || int64(w.Body.Len()) != n {
				t.Errorf("status %d, body %q, %d bytes said", w.Code, w.Body, n)
			}
			for name, want := range tt.header {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// FuzzDocument: whatever a client sent, the document is bounded and well-formed.
func FuzzDocument(f *testing.F) {
	f.Add("key", "/b/k")
	f.Add("\x00\xff\ufffe]]>", strings.Repeat("é", 2000))
	f.Fuzz(func(t *testing.T, value, resource string) {
		doc := s3err.AppendXML(nil, s3err.New(s3err.NoSuchKey).With("Key", value), s3err.Request{Resource: resource})
		if len(doc) > 30000 || !utf8.Valid(doc) {
			t.Errorf("%d bytes", len(doc))
		}
		var parsed struct{ Code, Key, Resource string }
		if err := xml.Unmarshal(doc, &parsed); err != nil || parsed.Code != "NoSuchKey" {
			t.Errorf("%v in %s", err, doc)
		}
		clean := func(s string) bool {
			return utf8.ValidString(s) && len(s) < 2000 && !strings.ContainsFunc(s, func(r rune) bool {
				return r < ' ' || r == 0xfffe || r == 0xffff
			})
		}
		if clean(value) && parsed.Key != value {
			t.Errorf("value %q became %q", value, parsed.Key)
		}
	})
}

func BenchmarkWriteXML(b *testing.B) {
	e := s3err.New(s3err.NoSuchKey).With("Key", "some/key")
	req := s3err.Request{Method: "GET", Resource: "/bucket/some/key", RequestID: "0123456789ABCDEF", HostID: "host"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = s3err.AppendXML(buf[:0], e, req)
	}
}
