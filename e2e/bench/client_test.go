package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLoopbackOnly(t *testing.T) {
	for _, c := range []struct {
		addr string
		ok   bool
	}{
		{"127.0.0.1:9000", true}, {"127.1.2.3:1", true}, {"[::1]:9000", true},
		{"10.0.0.1:9000", false}, {"192.0.2.1:80", false}, {"0.0.0.0:9000", false}, {"[::]:1", false},
		{"localhost:9000", false}, {"example.com:80", false}, {"127.0.0.1", false}, {"", false},
	} {
		if err := loopbackOnly(c.addr); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.addr, err)
		}
	}
	_, err := newClient("192.0.2.1:80", exampleSigner()).do(t.Context(), &request{method: "GET", path: "/"}, nil)
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("a client of another machine: %v", err)
	}
}

// answered is a connection on which an answer waits.
func answered(text string, one bool) *client {
	var r io.Reader = strings.NewReader(text)
	if one {
		r = iotest.OneByteReader(r)
	}
	return &client{in: bufio.NewReaderSize(r, 64), scratch: make([]byte, 16)}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, method, text string
		status             int
		body               string
		close, fails       bool
	}{
		{"with a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello", 200, "hello", false, false},
		{"in chunks", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello", false, false},
		{"with a trailer", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n0\r\na: b\r\n\r\n", 200, "h", false, false},
		{"to a HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", false, false},
		{"without content", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, false},
		{"after a 100", "PUT", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, "", false, false},
		{"that ends with the connection", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", true, false},
		{"that was refused", "GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", 404, "no", true, false},
		{"cut short", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 200, "hell", false, true},
		{"cut in a chunk", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhe", 200, "he", false, true},
		{"that is none", "GET", "220 mail\r\n\r\n", 0, "", false, true},
		{"with a bad length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 200, "", false, true},
		{"with a head that never ends", "GET", "HTTP/1.1 200 OK\r\na: " + strings.Repeat("b", 100) + "\r\n\r\n", 200, "", false, true},
	} {
		for _, one := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, one), func(t *testing.T) {
				in := answered(c.text, one)
				a, err := in.readHead(c.method)
				if err == nil {
					err = in.readBody(c.method, &a, nil)
				}
				if (err != nil) != c.fails {
					t.Fatalf("%+v, %v", a, err)
				}
				if !c.fails && (a.status != c.status || string(a.body) != c.body || a.close != c.close) {
					t.Errorf("%+v, want status %d, body %q, close %v", a, c.status, c.body, c.close)
				}
			})
		}
	}
}
