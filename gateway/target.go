package gateway

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"shoal/gateway/s3err"
	"shoal/gateway/s3op"
)

// target is what a request is about. Bucket and key are decoded once, from the bytes
// of the request line: no package between cleans, joins or decodes them.
type target struct {
	path        string // as sent, for error documents
	bucket, key string
	query       s3op.Query
}

// hosts finds the bucket in a Host header.
type hosts struct {
	suffixes []string // ".domain", lower case, longest first
}

func newHosts(domains []string) hosts {
	var h hosts
	for _, d := range domains {
		suffix := "." + strings.ToLower(d)
		at := 0
		for at < len(h.suffixes) && len(h.suffixes[at]) >= len(suffix) {
			at++
		}
		h.suffixes = append(h.suffixes[:at], append([]string{suffix}, h.suffixes[at:]...)...)
	}
	return h
}

// bucket gives the bucket that a host names, "" for the endpoint itself and for names
// that are not ours (clients reach the endpoint by its address, too).
func (h hosts) bucket(host string) string {
	if len(h.suffixes) == 0 {
		return ""
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:colon]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range h.suffixes {
		if name, ok := strings.CutSuffix(host, suffix); ok {
			return name
		}
		if host == suffix[1:] {
			return "" // the endpoint, even when it lies below a shorter domain
		}
	}
	return ""
}

// parse reads the target of a request. InvalidURI, InvalidBucketName.
func (h hosts) parse(r *http.Request) (target, error) {
	path, query := requestURI(r)
	t := target{path: path}
	if path == "" || path[0] != '/' {
		return t, s3err.New(s3err.InvalidURI)
	}
	var err error
	if t.query, err = s3op.ParseQuery(query); err != nil {
		return t, s3err.New(s3err.InvalidURI).Wrap(err)
	}
	rest := path[1:]
	if t.bucket = h.bucket(r.Host); t.bucket == "" {
		var bucket string
		bucket, rest, _ = strings.Cut(rest, "/")
		if bucket == "" && rest != "" {
			return t, s3err.New(s3err.InvalidBucketName).With("BucketName", "")
		}
		var ok bool
		if t.bucket, ok = decode(bucket); !ok {
			return t, s3err.New(s3err.InvalidURI)
		}
		if strings.ContainsAny(t.bucket, "/\\\x00") {
			return t, s3err.New(s3err.InvalidBucketName).With("BucketName", t.bucket)
		}
	}
	var ok bool
	if t.key, ok = decode(rest); !ok {
		return t, s3err.New(s3err.InvalidURI)
	}
	return t, nil
}

// requestURI gives path and query as they stand in the request line, without scheme
// and authority of the absolute form.
func requestURI(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if uri == "" {
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if uri[0] != '/' {
		_, rest, ok := strings.Cut(uri, "://")
		if !ok {
			return uri, ""
		}
		slash := strings.IndexAny(rest, "/?")
		if slash < 0 {
			return "/", ""
		}
		if uri = rest[slash:]; uri[0] == '?' {
			uri = "/" + uri
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// decode undoes percent-escapes once. It refuses broken ones and what is not UTF-8
// afterwards; a plus is a plus.
func decode(s string) (string, bool) {
	percent := strings.IndexByte(s, '%')
	if percent < 0 {
		return s, utf8.ValidString(s)
	}
	b := make([]byte, percent, len(s))
	copy(b, s)
	for i := percent; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := unhex(s[i+1]), unhex(s[i+2])
		if high > 15 || low > 15 {
			return "", false
		}
		b = append(b, high<<4|low)
		i += 2
	}
	if !utf8.Valid(b) {
		return "", false
	}
	return string(b), true
}

// unhex gives the value of a hexadecimal digit, 255 for anything else.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
