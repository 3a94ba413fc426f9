package s3op_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shoal/acl"
	"shoal/chunker/checksum"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3op"
	"shoal/node/apitest"
)

// server answers S3 requests over real HTTP from a store in memory. It stands for
// package gateway without authentication: whoever asks is caller, root at first.
type server struct {
	*httptest.Server
	t       *testing.T
	store   *apitest.Memory
	service *s3op.Service
	caller  iam.Caller
	now     time.Time
	// admitted is set when a form is.
	admitted atomic.Bool
}

// start is the time of the store's clock at the beginning of every test.
var start = time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, store: apitest.NewMemory(), caller: iam.Root(), now: start}
	s.store.Clock = func() time.Time { return s.now }
	s.service = &s3op.Service{
		Buckets: s.store, Objects: s.store, Uploads: s.store, Versions: s.store, Rules: iam.NewBuckets(s.store), Region: "eu-test-1", PlainCustomerKeys: true,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), CanonicalUser: knows,
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	t.Cleanup(s.Close)
	return s
}

// rootID is what answers call the owner.
var rootID = acl.CanonicalID("root")

// knows says whose canonical IDs there are: root, alice and bob.
func knows(_ context.Context, canonical string) (bool, error) {
	switch canonical {
	case rootID, acl.CanonicalID("user:alice"), acl.CanonicalID("user:bob"):
		return true, nil
	}
	return false, nil
}

// body is a request's body as the gateway hands it on.
type body struct {
	io.Reader
	size    int64
	trailer checksum.Set
	value   string // of the trailer
}

func (b *body) Size() int64           { return b.size }
func (b *body) Needs() checksum.Set   { return b.trailer }
func (b *body) Trailer() checksum.Set { return b.trailer }

func (b *body) Verify(sums checksum.Sums) error {
	if b.trailer != 0 && sums.Base64(b.trailer) != b.value {
		return s3err.New(s3err.BadDigest)
	}
	return nil
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query, err := s3op.ParseQuery(r.URL.RawQuery)
	if err == nil {
		req := &s3op.Request{
			HTTP: r, Bucket: bucket, Key: key, Query: query, RequestID: "R", Caller: s.caller, Now: s.now,
		}
		op := s3op.Match(r.Method, bucket, key, query, r.Header)
		switch {
		case op.Unsigned:
			req.Form, req.FormAdmitted = r.Body, func() { s.admitted.Store(true) }
		case r.ContentLength > 0:
			b := &body{Reader: r.Body, size: r.ContentLength}
			// The trailer's value comes ahead in these tests.
			b.trailer, _ = checksum.ParseHeader(r.Header.Get("X-Amz-Trailer"))
			b.value = r.Header.Get("Test-Trailer")
			req.Body = b
		}
		err = op.Serve(r.Context(), s.service, req, w)
	}
	if err != nil {
		s3err.WriteXML(w, s3err.From(err), s3err.Request{
			Method: r.Method, Resource: r.URL.EscapedPath(), RequestID: "R", HostID: "H",
		})
	}
}

// H is a set of headers.
type H map[string]string

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// do sends one request; line is like "GET /bucket/key?query".
func (s *server) do(line string, headers H, content string) *answer {
	s.t.Helper()
	method, target, _ := strings.Cut(line, " ")
	r, err := http.NewRequest(method, s.URL, strings.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	if r.URL.Path, err = url.PathUnescape(path); err != nil {
		s.t.Fatal(err)
	}
	r.URL.RawPath, r.URL.RawQuery = path, query
	for name, value := range headers {
		r.Header[http.CanonicalHeaderKey(name)] = strings.Split(value, "\n")
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		return &answer{err: err}
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	a.body, a.err = string(text), err
	return a
}

// must is do for requests that prepare a test.
func (s *server) must(line string, headers H, content string) *answer {
	s.t.Helper()
	a := s.do(line, headers, content)
	if a.err != nil || a.status/100 != 2 {
		s.t.Fatalf("%s: status %d, %v, %s", line, a.status, a.err, a.body)
	}
	return a
}

// code is the error code in the answer's document.
func (a *answer) code() string { return a.element("Code") }

// element is the text of the first element of that name.
func (a *answer) element(name string) string {
	_, rest, ok := strings.Cut(a.body, "<"+name+">")
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

// all is the text of every element of that name.
func (a *answer) all(name string) []string {
	var out []string
	for rest := a.body; ; {
		_, after, ok := strings.Cut(rest, "<"+name+">")
		if !ok {
			return out
		}
		text, after, _ := strings.Cut(after, "</"+name+">")
		out, rest = append(out, text), after
	}
}

// exchange is one request and what must come back.
type exchange struct {
	name   string
	line   string // "GET /b/k?query"
	head   H
	body   string
	status int
	code   string        // error code; "" for none
	want   H             // headers of the answer; "-" for one that must not be there
	has    []string      // pieces of the body
	hasNot []string      // what the body must not hold
	exact  *string       // the whole body
	before func(*server) // prepares what only this case needs
}

func text(s string) *string { return &s }

// run gives each exchange a server of its own that was prepared by setup. doc is the
// page that says what must come back.
func run(t *testing.T, doc string, setup func(*server), cases []exchange) {
	t.Helper()
	if !strings.HasPrefix(doc, "https://") {
		t.Fatal("no document cited")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			if setup != nil {
				setup(s)
			}
			if c.before != nil {
				c.before(s)
			}
			c.check(t, s.do(c.line, c.head, c.body))
		})
	}
}

func (c *exchange) check(t *testing.T, a *answer) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("%s: %v", c.line, a.err)
	}
	if a.status != c.status || a.code() != c.code {
		t.Fatalf("%s: status %d code %q, want %d %q\n%s", c.line, a.status, a.code(), c.status, c.code, a.body)
	}
	for name, want := range c.want {
		got, ok := a.header[http.CanonicalHeaderKey(name)]
		switch {
		case want == "-" && ok:
			t.Errorf("header %s: %q, want none", name, got)
		case want != "-" && strings.Join(got, "\n") != want:
			t.Errorf("header %s: %q, want %q", name, got, want)
		}
	}
	for _, piece := range c.has {
		if !strings.Contains(a.body, piece) {
			t.Errorf("body lacks %q:\n%s", piece, a.body)
		}
	}
	for _, piece := range c.hasNot {
		if strings.Contains(a.body, piece) {
			t.Errorf("body holds %q:\n%s", piece, a.body)
		}
	}
	if c.exact != nil && a.body != *c.exact {
		t.Errorf("body:\n%s\nwant:\n%s", a.body, *c.exact)
	}
	if strings.HasPrefix(a.body, "<?xml") {
		wellFormed(t, a.body)
	}
}

// wellFormed reads a document with a parser that is not ours.
func wellFormed(t *testing.T, doc string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("answer is no XML: %v\n%s", err, doc)
			return
		}
	}
}

// sums of a content in the forms of the headers.
func md5Of(content string) string {
	sums := checksum.Sum(checksum.MD5, []byte(content))
	return sums.Base64(checksum.MD5)
}

func etagOf(content string) string {
	sums := checksum.Sum(checksum.MD5, []byte(content))
	return `"` + sums.ETag() + `"`
}

func sumOf(a checksum.Set, content string) string {
	sums := checksum.Sum(a, []byte(content))
	return sums.Base64(a)
}

// bkt makes bucket bkt.
func bkt(s *server) { s.must("PUT /bkt", nil, "") }

// big gives n bytes that repeat nowhere near.
func big(n int) string {
	var b bytes.Buffer
	b.Grow(n + 32)
	for x := uint64(0x9e3779b97f4a7c15); b.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
		for i := range 8 {
			b.WriteByte(byte(x >> (8 * i)))
		}
	}
	return b.String()[:n]
}

func itoa(n int) string { return strconv.Itoa(n) }
