package sigv4

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	upperHex = "0123456789ABCDEF"
	// scratchBytesMax bounds the buffers kept for reuse.
	scratchBytesMax = 64 << 10
)

// scratch is the memory in which one canonical request is put together.
type scratch struct {
	b     []byte
	query []byte // encoded names and values, back to back
	pairs []span
	// sameAsSent is set by canonical when path and query were in canonical form already.
	sameAsSent bool
}

// span is one query parameter within scratch.query.
type span struct{ name, value, end int }

var scratchPool = sync.Pool{New: func() any { return &scratch{b: make([]byte, 0, 2048)} }}

// canonical puts the canonical request together; the result lives until the next call.
// With asSent set, path and query string stand in it as they came.
func (s *scratch) canonical(c *claim, r *http.Request, asSent bool) []byte {
	if cap(s.b) > scratchBytesMax || cap(s.query) > scratchBytesMax {
		*s = scratch{}
	}
	path, query := splitURI(r)
	s.sameAsSent = true
	b := append(s.b[:0], r.Method...)
	b = append(b, '\n')
	from := len(b)
	if asSent {
		b = append(b, path...)
	} else {
		b = appendPath(b, path)
	}
	if string(b[from:]) != path {
		s.sameAsSent = false
	}
	if len(b) == from {
		b = append(b, '/')
	}
	b = append(b, '\n')
	from = len(b)
	if asSent {
		b = appendSentQuery(b, c, query)
	} else {
		b = s.appendQuery(b, c, query)
		s.sameAsSent = s.sameAsSent && string(b[from:]) == query
	}
	b = append(b, '\n')
	for rest := c.signedHeaders; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.signedHeaders...)
	b = append(b, '\n')
	b = append(b, c.payloadHash...)
	s.b = b
	return b
}

// splitURI gives path and query as they stand in the request line.
func splitURI(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if uri == "" { // a request that no server read, as in tests
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if uri[0] != '/' {
		if _, rest, ok := strings.Cut(uri, "://"); ok { // absolute form, as proxies send it
			slash := strings.IndexAny(rest, "/?")
			if slash < 0 {
				return "/", ""
			}
			uri = rest[slash:]
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// appendPath appends a path that is decoded once and encoded as S3 does: all but
// unreserved characters and the slash are escaped. Nothing is normalised.
func appendPath(b []byte, path string) []byte { return appendEncoded(b, path, true, false) }

// appendEncoded re-encodes escaped text. A broken escape is taken as the characters it
// is made of: what such a request means is decided elsewhere.
func appendEncoded(b []byte, s string, keepSlash, plusIsSpace bool) []byte {
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case ch == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			ch = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		case ch == '+' && plusIsSpace:
			ch = ' '
		}
		if unreserved[ch] || ch == '/' && keepSlash {
			b = append(b, ch)
		} else {
			b = append(b, '%', upperHex[ch>>4], upperHex[ch&15])
		}
	}
	return b
}

// unreserved are the characters that are never escaped.
var unreserved = func() (table [256]bool) {
	for ch := range table {
		table[ch] = ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' ||
			ch == '-' || ch == '.' || ch == '_' || ch == '~'
	}
	return table
}()

func isHex(ch byte) bool {
	return ch >= '0' && ch <= '9' || ch >= 'a' && ch <= 'f' || ch >= 'A' && ch <= 'F'
}

func unhex(ch byte) byte {
	switch {
	case ch <= '9':
		return ch - '0'
	case ch <= 'F':
		return ch - 'A' + 10
	}
	return ch - 'a' + 10
}

// appendQuery appends the parameters sorted by encoded name, then value. The signature
// of a presigned URL is left out.
func (s *scratch) appendQuery(b []byte, c *claim, raw string) []byte {
	s.query, s.pairs = s.query[:0], s.pairs[:0]
	for rest := raw; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		if pair == "" || c.presigned && name == "X-Amz-Signature" {
			continue
		}
		p := span{name: len(s.query)}
		s.query = appendEncoded(s.query, name, false, true)
		p.value = len(s.query)
		s.query = appendEncoded(s.query, value, false, true)
		p.end = len(s.query)
		s.pairs = append(s.pairs, p)
	}
	s.sortPairs()
	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, s.query[p.name:p.value]...)
		b = append(b, '=')
		b = append(b, s.query[p.value:p.end]...)
	}
	return b
}

// appendSentQuery appends the query string as it came, but for the signature.
func appendSentQuery(b []byte, c *claim, raw string) []byte {
	first := true
	for rest := raw; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if name, _, _ := strings.Cut(pair, "="); c.presigned && name == "X-Amz-Signature" {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		b = append(b, pair...)
	}
	return b
}

func (s *scratch) sortPairs() {
	compare := func(x, y span) int {
		if d := bytes.Compare(s.query[x.name:x.value], s.query[y.name:y.value]); d != 0 {
			return d
		}
		return bytes.Compare(s.query[x.value:x.end], s.query[y.value:y.end])
	}
	if !slices.IsSortedFunc(s.pairs, compare) {
		slices.SortFunc(s.pairs, compare)
	}
}

// appendHeader appends a header's values: each trimmed, runs of spaces made one,
// joined by commas. net/http keeps some headers out of its map; they are put back.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	if name == "host" {
		return appendTrimmed(b, r.Host)
	}
	values, ok := r.Header[headerKey(name)]
	if !ok {
		switch name {
		case "content-length":
			return strconv.AppendInt(b, max(r.ContentLength, 0), 10)
		case "transfer-encoding":
			values = r.TransferEncoding
		case "expect":
			return append(b, "100-continue"...)
		}
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b
}

func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := 0; i < len(v); i++ {
		if v[i] != ' ' || v[i-1] != ' ' {
			b = append(b, v[i])
		}
	}
	return b
}

// headerKeys spares the usual names the allocation of their canonical form.
var headerKeys = func() map[string]string {
	keys := make(map[string]string)
	for _, name := range strings.Fields("accept accept-encoding amz-sdk-invocation-id amz-sdk-request content-encoding " +
		"content-length content-md5 content-type date expect if-match if-none-match range user-agent " +
		"x-amz-acl x-amz-checksum-algorithm x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme " +
		"x-amz-checksum-mode x-amz-checksum-sha1 x-amz-checksum-sha256 x-amz-content-sha256 x-amz-copy-source " +
		"x-amz-copy-source-range x-amz-date x-amz-decoded-content-length x-amz-metadata-directive " +
		"x-amz-sdk-checksum-algorithm x-amz-storage-class x-amz-trailer x-amz-user-agent") {
		keys[name] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return keys
}()

func headerKey(name string) string {
	if key, ok := headerKeys[name]; ok {
		return key
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

func appendHex(b, raw []byte) []byte { return hex.AppendEncode(b, raw) }
