package s3op

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"

	"shoal/acl"
	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/gateway/sigv4"
)

// postBuffer is how large a file may be of which the size need not be known beforehand.
const postBuffer = 4 << 20

// postObject is PostObject: an upload from a form in a browser, which a policy allows that
// somebody has signed, or which strangers may do
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html).
func postObject(ctx context.Context, c *call) error {
	f, err := parseForm(c.HTTP.Header.Get("Content-Type"), c.Form)
	if err != nil {
		return err
	}
	policy, err := c.authorizeForm(ctx, f)
	if err != nil {
		return err
	}
	key, ok := f.fields["key"]
	key = strings.ReplaceAll(key, "${filename}", f.filename)
	if !ok || key == "" {
		return errInvalidArgument("key", key, "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	if c.Caller.Kind == acl.Anonymous { // who is not known is asked before anything is read
		if err := c.may(ctx, "s3:PutObject", thing{bucket: c.Bucket, key: key}); err != nil {
			return err
		}
	}
	c.FormAdmitted()
	body, err := c.formBody(f, policy)
	if err != nil {
		return err
	}
	headers, err := formHeaders(f)
	if err != nil {
		return err
	}
	put := c.putCall(key, headers, body)
	if err := put.authorizeOwn(ctx, nil); err != nil {
		return err
	}
	req, err := put.readPut(ctx)
	if err != nil {
		return err
	}
	w, err := c.Objects.Put(ctx, req)
	if err != nil {
		return err
	}
	h := c.w.Header()
	writeChecksum(h, w.Checksum, true)
	writeSealed(h, req.CustomerKey)
	set(h, "X-Amz-Version-Id", w.VersionID)
	return c.answerForm(f, key, w.ETag)
}

// authorizeForm finds out who signed the form's policy, and holds the form against it. A form without either is a
// stranger's.
func (c *call) authorizeForm(ctx context.Context, f *form) (*postPolicy, error) {
	encoded, ok := f.fields["policy"]
	if _, signed := f.fields["x-amz-signature"]; !ok && !signed {
		return &postPolicy{max: math.MaxInt64}, nil
	}
	if !ok {
		return nil, s3err.New(s3err.AccessDenied) // what was signed is not there
	}
	if _, old := f.fields["awsaccesskeyid"]; old {
		return nil, errInvalidRequest("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	}
	for _, name := range [...]string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"} {
		if f.fields[name] == "" {
			return nil, errInvalidArgumentf(name, "", "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", name)
		}
	}
	err := c.AuthenticateForm(ctx, c.Request, &sigv4.Form{
		Algorithm: f.fields["x-amz-algorithm"], Credential: f.fields["x-amz-credential"], Date: f.fields["x-amz-date"],
		Signature: f.fields["x-amz-signature"], Policy: encoded, Token: f.fields["x-amz-security-token"],
	})
	if err != nil {
		return nil, err
	}
	policy, err := parsePostPolicy(encoded)
	if err != nil {
		return nil, err
	}
	return policy, policy.check(c.Bucket, f, c.Now)
}

// formBody gives the content of the file with its size. A small file is read here; the size
// of a larger one follows from the length of the request, which the file must then end.
func (c *call) formBody(f *form, p *postPolicy) (*postBody, error) {
	limited := &rangeReader{r: f.file, min: p.min, max: p.max}
	head, err := io.ReadAll(io.LimitReader(limited, postBuffer+1))
	if err != nil {
		return nil, err
	}
	if len(head) <= postBuffer {
		return &postBody{bytes.NewReader(head), int64(len(head))}, nil
	}
	if c.HTTP.ContentLength < 0 {
		return nil, s3err.New(s3err.MissingContentLength)
	}
	size := c.HTTP.ContentLength - f.offset - int64(len(f.delim)+len("--\r\n"))
	if size < int64(len(head)) {
		return nil, malformedForm()
	}
	if size > p.max {
		return nil, tooLarge(size, p.max)
	}
	return &postBody{io.MultiReader(bytes.NewReader(head), limited), size}, nil
}

func tooLarge(size, most int64) error {
	return s3err.New(s3err.EntityTooLarge).With("ProposedSize", itoa(size)).With("MaxSizeAllowed", itoa(most))
}

// rangeReader ends with an error when a file has more or fewer bytes than a policy allows.
type rangeReader struct {
	r        io.Reader
	n        int64
	min, max int64
}

// Read reads at most one byte more than is allowed.
func (r *rangeReader) Read(b []byte) (int, error) {
	if left := r.max - r.n; int64(len(b)) > left && left < 1<<62 {
		b = b[:left+1]
	}
	n, err := r.r.Read(b)
	if r.n += int64(n); r.n > r.max {
		return 0, tooLarge(r.n, r.max)
	}
	if err == io.EOF && r.n < r.min {
		return n, s3err.New(s3err.EntityTooSmall).With("ProposedSize", itoa(r.n)).With("MinSizeAllowed", itoa(r.min))
	}
	return n, err
}

// postBody is the body of the PUT that a form stands for.
type postBody struct {
	io.Reader
	size int64
}

func (b *postBody) Size() int64                { return b.size }
func (b *postBody) Needs() checksum.Set        { return 0 }
func (b *postBody) Trailer() checksum.Set      { return 0 }
func (b *postBody) Verify(checksum.Sums) error { return nil }

// formOnly are the fields that are no headers of the object.
var formOnly = stringSet("key policy success_action_redirect redirect success_action_status x-amz-algorithm x-amz-credential " +
	"x-amz-date x-amz-signature x-amz-security-token bucket submit tagging acl")

var formHeaderFields = stringSet("cache-control content-type content-disposition content-encoding content-language expires")

// formHeaders turns the fields of a form into the headers of a PUT.
func formHeaders(f *form) (http.Header, error) {
	h := make(http.Header)
	for _, name := range f.order {
		value := f.fields[name]
		switch {
		case name == "acl":
			h.Set("X-Amz-Acl", value)
		case name == "tagging":
			tags, err := s3xml.ParseTagging([]byte(value))
			if err != nil {
				return nil, xmlError(err)
			}
			var pairs []string
			for _, t := range tags {
				pairs = append(pairs, url.QueryEscape(t.Key)+"="+url.QueryEscape(t.Value))
			}
			h.Set("X-Amz-Tagging", strings.Join(pairs, "&"))
		case name == "x-amz-checksum-algorithm":
			// Forms have no other name for it: it must fit the checksum that another field gives.
			h.Set("X-Amz-Sdk-Checksum-Algorithm", value)
		case formOnly[name], strings.HasPrefix(name, "x-ignore-"):
		case formHeaderFields[name], strings.HasPrefix(name, "x-amz-"):
			h.Set(name, strings.ReplaceAll(value, "${filename}", f.filename))
		}
	}
	if h.Get("Content-Type") == "" && f.fileType != "" {
		h.Set("Content-Type", f.fileType)
	}
	return h, putOperation.checkHeaders(h)
}

// putOperation is the operation whose headers a form may have.
var putOperation = Operation{Name: "PostObject", known: knownHeaders(writeHeaders + sumHeaders)}

// putCall is the PUT that a form stands for. It has the form's headers in the place of the request's, but for those that tell who sends
// it: no form has fields of their names, and policies decide by them.
func (c *call) putCall(key string, h http.Header, body *postBody) *call {
	r := *c.Request
	httpReq := *c.HTTP
	for _, name := range [...]string{"User-Agent", "Referer"} {
		if v := c.HTTP.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
	httpReq.Header, httpReq.ContentLength = h, body.size
	h.Set("Content-Length", itoa(body.size))
	r.HTTP, r.Key, r.Body, r.Query = &httpReq, key, body, nil
	return &call{Service: c.Service, Request: &r, op: c.op, w: c.w}
}

// answerForm answers as the form wants it: a redirection, or one of three statuses.
func (c *call) answerForm(f *form, key, etag string) error {
	h := c.w.Header()
	h["ETag"] = []string{`"` + etag + `"`}
	target := f.fields["success_action_redirect"]
	if target == "" {
		target = f.fields["redirect"]
	}
	if u, err := url.Parse(target); target != "" && err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		query := "bucket=" + url.QueryEscape(c.Bucket) + "&key=" + url.QueryEscape(key) + "&etag=" + url.QueryEscape(`"`+etag+`"`)
		if u.RawQuery != "" {
			query = u.RawQuery + "&" + query
		}
		u.RawQuery = query
		h["Location"] = []string{u.String()}
		h["Content-Length"] = zero
		c.w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	place := strings.TrimSuffix(c.location(), "/") + "/" + (&url.URL{Path: key}).EscapedPath()
	h["Location"] = []string{place}
	switch f.fields["success_action_status"] {
	case "200":
		return c.writeEmpty()
	case "201":
		doc := s3xml.AppendPosted(nil, place, c.Bucket, key, etag)
		h["Content-Type"], h["Content-Length"] = typeXML, []string{itoa(int64(len(doc)))}
		c.w.WriteHeader(http.StatusCreated)
		_, _ = c.w.Write(doc) // net/http closes a connection that cannot be written
		return nil
	}
	return c.writeNoContent()
}
