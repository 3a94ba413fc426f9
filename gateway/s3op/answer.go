package s3op

import (
	"net/http"
	"sync"
)

// answers are the buffers that documents are made in.
var answers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// answerMax bounds what a buffer may keep between requests: a page of 1,000 long keys.
const answerMax = 2 << 20

var typeXML = []string{"application/xml"}

// writeXML answers 200 with the document that build appends. It returns an error only
// to fit the end of an operation: a client that has gone is not one.
func (c *call) writeXML(build func([]byte) []byte) error {
	buf := answers.Get().(*[]byte)
	doc := build((*buf)[:0])
	h := c.w.Header()
	h["Content-Type"] = typeXML
	h["Content-Length"] = []string{itoa(int64(len(doc)))}
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(doc) // net/http closes a connection that cannot be written
	if cap(doc) <= answerMax {
		*buf = doc
		answers.Put(buf)
	}
	return nil
}

var zero = []string{"0"}

// writeEmpty answers 200 without a body.
func (c *call) writeEmpty() error {
	c.w.Header()["Content-Length"] = zero
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// writeNoContent answers 204.
func (c *call) writeNoContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
