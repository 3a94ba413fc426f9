package s3err

import (
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"
)

const (
	// fieldBytesMax bounds each value of an error document; a longer one is cut, since
	// a document only explains.
	fieldBytesMax = 2048
	// bufferBytesMax bounds the buffers that are kept for reuse.
	bufferBytesMax = 64 << 10
)

// Request says which request an error document answers.
type Request struct {
	Method    string // HEAD is answered without a document
	Resource  string // path as the client sent it, without its query
	RequestID string
	HostID    string
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// WriteXML answers a request with an error document. It returns the bytes of body
// written. Header x-amz-request-id and its like are the caller's to set before.
func WriteXML(w http.ResponseWriter, e *Error, req Request) int64 {
	h := w.Header()
	if e.RetryAfter > 0 {
		seconds := max(int64(e.RetryAfter.Seconds()), 1)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if e.Status == http.StatusNotModified {
		h.Del("Content-Length") // ETag and Last-Modified stay: they describe what the client has
		h.Del("Content-Type")
		w.WriteHeader(e.Status)
		return 0
	}
	for _, name := range describing {
		delete(h, name)
	}
	if e.LastModified != "" {
		h["Last-Modified"] = []string{e.LastModified}
	}
	h["Content-Type"] = contentType
	buf := buffers.Get().(*[]byte)
	doc := AppendXML((*buf)[:0], e, req)
	if req.Method == http.MethodHead {
		h.Del("Content-Length")
		w.WriteHeader(e.Status)
		doc = doc[:0]
	} else {
		h["Content-Length"] = []string{strconv.Itoa(len(doc))}
		w.WriteHeader(e.Status)
	}
	n, _ := w.Write(doc) // a client that has gone is found by the next read of its connection
	if cap(doc) <= bufferBytesMax {
		*buf = doc
		buffers.Put(buf)
	}
	return int64(n)
}

// describing are headers that describe an object; an operation may have set them
// before it failed, and an error document must not carry them.
var describing = [...]string{
	"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Range", "Etag", "Expires", "Last-Modified", "X-Amz-Expiration",
}

var contentType = []string{"application/xml"}

// AppendXML appends the error document to b.
func AppendXML(b []byte, e *Error, req Request) []byte {
	b = append(b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error>"...)
	b = appendElement(b, "Code", string(e.Code))
	b = appendElement(b, "Message", e.Message)
	for _, f := range e.Fields {
		b = appendElement(b, f.Name, f.Value)
	}
	resource := req.Resource
	if e.Resource != "" {
		resource = e.Resource
	}
	b = appendElement(b, "Resource", resource)
	b = appendElement(b, "RequestId", req.RequestID)
	b = appendElement(b, "HostId", req.HostID)
	return append(b, "</Error>"...)
}

func appendElement(b []byte, name, value string) []byte {
	if len(value) > fieldBytesMax {
		value = value[:fieldBytesMax]
		for i := 1; i < utf8.UTFMax && !utf8.ValidString(value[len(value)-i:]); i++ {
			if utf8.RuneStart(value[len(value)-i]) {
				value = value[:len(value)-i]
				break
			}
		}
	}
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, '>')
	b = appendEscaped(b, value)
	b = append(b, '<', '/')
	b = append(b, name...)
	return append(b, '>')
}

// appendEscaped appends text as XML 1.0 character data. What XML cannot hold at all
// (control characters, broken UTF-8) becomes U+FFFD.
func appendEscaped(b []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\'':
			b = append(b, "&apos;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r == '\t', r == '\n':
			b = append(b, byte(r))
		case r < 0x20, r == 0xFFFE, r == 0xFFFF:
			b = utf8.AppendRune(b, utf8.RuneError)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
