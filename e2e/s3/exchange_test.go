package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"shoal/acl"
)

// H is a set of headers. Several lines of one header are parted by "\n".
type H map[string]string

// exchange is one request and what must come back; a case is an exchange with a name, with
// others before and after it.
//
// {b} and {b2} in line, headers and body stand for the case's bucket and for a name that
// belongs to the case alone, {owner} for the canonical ID of the owner, and {name} for what an earlier
// exchange saved under that name; {md5} in headers is the digest of the body as it is sent. In expected headers and texts they stand for the same, and
// {*} for anything but "<".
type exchange struct {
	name string
	doc  string // the page that says what must come back, where it is not the family's

	// before are requests that prepare the case; each must succeed.
	before []exchange

	do      string // "GET /{b}/key?query", as it stands in the request line
	head    H
	body    string
	as      identity
	payload string    // x-amz-content-sha256 where it is not the digest of the body
	form    *postForm // takes the place of the body
	host    string    // Host header; such a request goes to the first server

	status int           // 0, in before alone, is any 2xx
	code   string        // error code; "" for none
	want   H             // headers of the answer; "-" for one that must not be there
	has    []string      // pieces of the body, in this order
	hasNot []string      // what the body must not hold
	exact  *string       // the whole body
	save   H             // by name: "X-Header", or "<Element>" for its first text
	then   []exchange    // what follows
	check  func(*answer) // anything else
}

func text(s string) *string { return &s }

// run is one case under way.
type run struct {
	*store
	t     *testing.T
	names map[string]string // what {name} stands for
}

func (s *store) newRun(t *testing.T, f *family, number int) *run {
	r := &run{store: s, t: t, names: map[string]string{
		"b": bucketName(f, number, 1), "b2": bucketName(f, number, 2), "owner": owner,
	}}
	if !f.bare {
		r.step(&exchange{do: "PUT /{b}"})
	}
	r.all(f.before)
	return r
}

// owner is the canonical ID of the root principal, which is that of nobody else
// (https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html).
var owner = acl.CanonicalID("root")

// play runs a case.
func (r *run) play(c *exchange) {
	r.t.Helper()
	r.all(c.before)
	r.step(c)
	r.all(c.then)
}

func (r *run) all(list []exchange) {
	r.t.Helper()
	for i := range list {
		r.play(&list[i])
	}
}

// step sends one request and checks what came back.
func (r *run) step(e *exchange) {
	r.t.Helper()
	a := r.send(e)
	if e.status == 0 && a.status/100 == 2 && e.code == "" {
		e = &exchange{do: e.do, status: a.status, save: e.save}
	}
	if a.status != e.status || a.code() != e.code {
		r.t.Fatalf("%s: status %d, code %q; want %d, %q\n%s", r.fill(e.do), a.status, a.code(), e.status, e.code, brief(a.body))
	}
	r.usual(a)
	r.headers(e, a)
	r.body(e, a)
	for name, where := range e.save {
		r.names[name] = a.find(where)
		if r.names[name] == "" {
			r.t.Fatalf("%s: the answer has no %s: %v\n%s", r.fill(e.do), where, a.header, brief(a.body))
		}
	}
	if e.check != nil {
		e.check(a)
	}
}

// usual checks what every answer of S3 has
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html,
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
func (r *run) usual(a *answer) {
	r.t.Helper()
	for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "Date", "Server"} {
		if a.header.Get(name) == "" {
			r.t.Errorf("%s: the answer has no header %s", a.line, name)
		}
	}
	if strings.HasPrefix(a.body, "<?xml") {
		wellFormed(r.t, a.body)
	}
	if a.status < 400 || a.method == http.MethodHead {
		return
	}
	if a.header.Get("Content-Type") != "application/xml" {
		r.t.Errorf("%s: an error of type %q", a.line, a.header.Get("Content-Type"))
	}
	if a.element("RequestId") != a.header.Get("X-Amz-Request-Id") || a.element("HostId") == "" || a.element("Message") == "" {
		r.t.Errorf("%s: the error document is not whole:\n%s", a.line, brief(a.body))
	}
}

func (r *run) headers(e *exchange, a *answer) {
	r.t.Helper()
	for name, want := range e.want {
		got, ok := a.header[http.CanonicalHeaderKey(name)]
		switch {
		case want == "-" && ok:
			r.t.Errorf("%s: header %s is %q, want none", a.line, name, got)
		case want != "-" && !ok:
			r.t.Errorf("%s: no header %s, want %q", a.line, name, want)
		case want != "-" && !matches(r.fill(want), strings.Join(got, "\n")):
			r.t.Errorf("%s: header %s is %q, want %q", a.line, name, got, r.fill(want))
		}
	}
}

func (r *run) body(e *exchange, a *answer) {
	r.t.Helper()
	rest := a.body
	for _, piece := range e.has {
		piece = r.fill(piece)
		at, end := search(piece, rest)
		if at < 0 {
			r.t.Errorf("%s: the body lacks %q, or has it too early:\n%s", a.line, piece, brief(a.body))
			return
		}
		rest = rest[end:]
	}
	for _, piece := range e.hasNot {
		if at, _ := search(r.fill(piece), a.body); at >= 0 {
			r.t.Errorf("%s: the body holds %q:\n%s", a.line, r.fill(piece), brief(a.body))
		}
	}
	if e.exact != nil && !matches(r.fill(*e.exact), a.body) {
		r.t.Errorf("%s: the body is\n%s\nwant\n%s", a.line, brief(a.body), brief(r.fill(*e.exact)))
	}
}

// brief is the beginning of a text, for messages.
func brief(s string) string {
	const most = 3000
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:most], len(s))
}

// fill puts names in place of what is written in braces.
func (r *run) fill(s string) string {
	if !strings.Contains(s, "{") {
		return s
	}
	for name, value := range r.names {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

// wellFormed reads a document with a parser that is not ours.
func wellFormed(t *testing.T, doc string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("the answer is no XML: %v\n%s", err, doc)
			return
		}
	}
}

// join makes one list of several.
func join(lists ...[]exchange) []exchange { return slices.Concat(lists...) }
