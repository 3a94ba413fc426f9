package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"shoal/e2e/netns"
)

const (
	// exchangeWithin bounds one request with its answer.
	exchangeWithin = 2 * time.Minute
	// keptMax bounds an answer that is kept whole, in bytes.
	keptMax  = 4 << 20
	readSize = 256 << 10
)

// client is one connection of HTTP/1.1, dialled again when it broke. It is for one goroutine.
type client struct {
	addr    string
	host    *netns.Host // where it stands; nil is where this process does
	sign    *signer
	conn    net.Conn
	in      *bufio.Reader
	head    []byte
	vector  net.Buffers
	scratch []byte
}

func newClient(addr string, s *signer) *client {
	return &client{addr: addr, sign: s, scratch: make([]byte, readSize)}
}

// request is what is asked. Query must be escaped and in the order of its names.
type request struct {
	method, path, query string
	headers             []header
	body                []byte
	payload             string // digest of body in hex, or UNSIGNED-PAYLOAD; empty for no body
}

// answer is what came back. Body is filled where no sink took it.
type answer struct {
	status int
	length int64 // of the body as announced, -1 when it came in chunks
	etag   string
	body   []byte
	close  bool
	chunks bool
}

// statusError is an answer that was not 2xx.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

func (c *client) close() {
	if c.conn != nil {
		// What is closed here is given up; there is nobody to tell.
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *client) dial(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	if err := loopbackOnly(c.addr); err != nil {
		return err
	}
	conn, err := c.host.Dial(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 16<<10)
	return nil
}

// do sends a request and reads its answer. The pieces of a body go to sink with their
// offset; without a sink the body is kept. An answer other than 2xx is a *statusError; after any other
// error the connection is closed.
func (c *client) do(ctx context.Context, r *request, sink func(offset int64, p []byte) error) (a answer, err error) {
	if err := c.dial(ctx); err != nil {
		return a, err
	}
	defer func() {
		var refused *statusError
		if a.close || err != nil && !errors.As(err, &refused) {
			c.close()
		}
	}()
	now := time.Now()
	if err := c.conn.SetDeadline(now.Add(exchangeWithin)); err != nil {
		return a, err
	}
	if err := c.send(now, r); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	if a, err = c.readHead(r.method); err != nil {
		return a, fmt.Errorf("read answer: %w", err)
	}
	if a.status/100 != 2 {
		sink = nil
	}
	if err := c.readBody(r.method, &a, sink); err != nil {
		return a, fmt.Errorf("read body: %w", err)
	}
	if a.status/100 != 2 {
		text := strings.Join(strings.Fields(string(a.body)), " ")
		return a, &statusError{a.status, text[:min(len(text), 300)]}
	}
	return a, nil
}

// send writes head and body with one call.
func (c *client) send(now time.Time, r *request) error {
	payload := r.payload
	if payload == "" {
		payload = emptyDigest
	}
	headers := append(make([]header, 0, 8), r.headers...)
	headers = c.sign.sign(now, r.method, r.path, r.query, c.addr, payload, headers)
	o := append(c.head[:0], r.method...)
	o = append(append(o, ' '), r.path...)
	if r.query != "" {
		o = append(append(o, '?'), r.query...)
	}
	o = append(o, " HTTP/1.1\r\n"...)
	for _, h := range headers {
		o = append(append(append(append(o, h.name...), ": "...), h.value...), "\r\n"...)
	}
	if r.body != nil || r.method == "PUT" || r.method == "POST" {
		o = append(strconv.AppendInt(append(o, "content-length: "...), int64(len(r.body)), 10), "\r\n"...)
	}
	c.head = append(o, "\r\n"...)
	if len(r.body) == 0 {
		_, err := c.conn.Write(c.head)
		return err
	}
	c.vector = append(c.vector[:0], c.head, r.body)
	vector := c.vector
	_, err := vector.WriteTo(c.conn)
	return err
}

// line reads a line without its end.
func (c *client) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	return strings.TrimRight(string(b), "\r\n"), err
}

func (c *client) readHead(method string) (answer, error) {
	a := answer{length: -1}
	first, err := c.line()
	if err != nil {
		return a, err
	}
	fields := strings.SplitN(first, " ", 3)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return a, fmt.Errorf("not an answer: %q", first)
	}
	if a.status, err = strconv.Atoi(fields[1]); err != nil {
		return a, fmt.Errorf("not a status: %q", first)
	}
	for {
		l, err := c.line()
		if err != nil {
			return a, err
		}
		if l == "" {
			break
		}
		name, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "content-length"):
			if a.length, err = strconv.ParseInt(value, 10, 64); err != nil || a.length < 0 {
				return a, fmt.Errorf("not a length: %q", value)
			}
		case strings.EqualFold(name, "etag"):
			a.etag = value
		case strings.EqualFold(name, "transfer-encoding"):
			a.chunks = strings.EqualFold(value, "chunked")
		case strings.EqualFold(name, "connection"):
			a.close = strings.EqualFold(value, "close")
		}
	}
	if a.status/100 == 1 {
		return c.readHead(method)
	}
	return a, nil
}

func (c *client) readBody(method string, a *answer, sink func(int64, []byte) error) error {
	var body io.Reader
	switch {
	case method == "HEAD" || a.status == 204 || a.status == 304:
		return nil
	case a.chunks:
		body = httputil.NewChunkedReader(c.in)
	case a.length >= 0:
		body = io.LimitReader(c.in, a.length)
	default:
		a.close = true
		body = c.in
	}
	var done int64
	for {
		n, err := body.Read(c.scratch)
		switch {
		case n == 0:
		case sink != nil:
			if err := sink(done, c.scratch[:n]); err != nil {
				return err
			}
		case len(a.body)+n > keptMax:
			return fmt.Errorf("an answer of more than %d bytes", keptMax)
		default:
			a.body = append(a.body, c.scratch[:n]...)
		}
		done += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if a.chunks {
		return c.skipTrailer()
	}
	if a.length >= 0 && done != a.length {
		return fmt.Errorf("%d of %d bytes: %w", done, a.length, io.ErrUnexpectedEOF)
	}
	return nil
}

// skipTrailer reads what follows the last chunk.
func (c *client) skipTrailer() error {
	for {
		l, err := c.line()
		if err != nil || l == "" {
			return err
		}
	}
}

// loopbackOnly refuses to load what is not on this machine. Names are refused too, for they
// may lead anywhere.
func loopbackOnly(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address; this program loads nothing else", addr)
	}
	return nil
}
