package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/gateway"
	"shoal/gateway/edge"
)

// The client that waits for leave to send is refused without being asked for the body.
func TestExpectContinue(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	tests := []struct {
		name string
		call
		first string
	}{
		{"accepted", call{}, "HTTP/1.1 100 Continue"},
		{"wrong secret", call{secret: "x"}, "HTTP/1.1 403 Forbidden"},
		{"anonymous", call{id: "-"}, "HTTP/1.1 403 Forbidden"},
		{"no such bucket", call{target: "/nowhere/key"}, "HTTP/1.1 404 Not Found"},
		{"bad digest header", call{header: http.Header{"Content-Md5": {"!"}}}, "HTTP/1.1 400 Bad Request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.call
			c.method, c.body = "PUT", strings.Repeat("x", 1<<20)
			if c.target == "" {
				c.target = "/bucket/key"
			}
			if c.header == nil {
				c.header = http.Header{}
			}
			c.header.Set("Expect", "100-continue")
			text := c.bytes(t, g.s3)
			head := text[:len(text)-len(c.body)]
			conn := g.dial(g.s3)
			defer conn.Close()
			if _, err := conn.Write(head); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			line, err := r.ReadString('\n')
			if err != nil || strings.TrimSpace(line) != tt.first {
				t.Fatalf("first line %q, %v; want %q", line, err, tt.first)
			}
			if !strings.Contains(tt.first, "100") {
				rest, err := io.ReadAll(r)
				if err != nil || !strings.Contains(string(rest), "Connection: close") {
					t.Errorf("connection is kept: %s, %v", rest, err)
				}
				return
			}
			if line, _ = r.ReadString('\n'); strings.TrimSpace(line) != "" {
				t.Fatalf("behind the leave to send: %q", line)
			}
			if _, err := conn.Write(text[len(head):]); err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(t, r, "PUT"); a.status != 200 {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
}

// A client that sends a large body without asking still gets to read why it was refused.
func TestRefusedWhileSending(t *testing.T) {
	g := start(t, nil)
	for _, size := range []int{100 << 10, 20 << 20} {
		a := g.want(call{method: "PUT", target: "/bucket/key", secret: "x", body: strings.Repeat("x", size)}, 403, "SignatureDoesNotMatch")
		if a.close != (size > 1<<20) {
			t.Errorf("%d bytes: connection closed: %v", size, a.close)
		}
	}
}

// One connection serves request after request, errors among them.
func TestConnectionIsKept(t *testing.T) {
	g := start(t, nil)
	conn := g.dial(g.s3)
	defer conn.Close()
	r := bufio.NewReader(conn)
	steps := []struct {
		call
		status int
	}{
		{call{method: "PUT", target: "/bucket"}, 200},
		{call{method: "PUT", target: "/bucket/key", body: "x"}, 200},
		{call{target: "/bucket/none"}, 404},
		{call{method: "PUT", target: "/bucket/key", secret: "x", body: "refused, and short"}, 403},
		{call{target: "/bucket/key", id: "-"}, 403},
		{call{target: "/bucket/key"}, 200},
		{call{method: "DELETE", target: "/bucket/key"}, 204},
	}
	for _, s := range steps {
		if _, err := conn.Write(s.call.bytes(t, g.s3)); err != nil {
			t.Fatal(err)
		}
		if a := readAnswer(t, r, s.method); a.status != s.status {
			t.Errorf("%s %s: %d %s", s.method, s.target, a.status, a.body)
		}
	}
}

// A body that stops coming is given up; the object before it stays.
func TestStalledBody(t *testing.T) {
	g := start(t, func(c *gateway.Config) { c.Limits = edge.Limits{StallTimeout: 100 * time.Millisecond} })
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "first"}, 200, "")
	text := call{method: "PUT", target: "/bucket/key", body: strings.Repeat("x", 1<<20)}.bytes(t, g.s3)
	conn := g.dial(g.s3)
	defer conn.Close()
	if _, err := conn.Write(text[:len(text)-1000]); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if a := readAnswer(t, r, "PUT"); a.status != 400 || !strings.Contains(a.body, "RequestTimeout") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("connection is kept: %v", err)
	}
	if a := g.want(call{target: "/bucket/key"}, 200, ""); a.body != "first" {
		t.Errorf("read %q", a.body[:10])
	}
}

func TestCutBody(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	text := call{method: "PUT", target: "/bucket/key", body: strings.Repeat("x", 1<<20)}.bytes(t, g.s3)
	conn := g.dial(g.s3).(*net.TCPConn)
	defer conn.Close()
	if _, err := conn.Write(text[:len(text)-1000]); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if a := readAnswer(t, bufio.NewReader(conn), "PUT"); a.status != 400 || !strings.Contains(a.body, "IncompleteBody") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	g.want(call{target: "/bucket/key"}, 404, "NoSuchKey")
}

// A streamed body that is wrong in any way leaves the object as it was.
func TestTrailers(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "first"}, 200, "")
	put := func(body, length string) call {
		return call{method: "PUT", target: "/bucket/key", body: body, payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: http.Header{
			"X-Amz-Trailer": {"x-amz-checksum-crc32"}, "X-Amz-Decoded-Content-Length": {length}, "Content-Encoding": {"aws-chunked"},
		}}
	}
	const good = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
	tests := []struct {
		name string
		call
		code string
	}{
		{"byte flipped", put(strings.Replace(good, "hello", "hallo", 1), "5"), "BadDigest"},
		{"checksum of another body", put(strings.Replace(good, "NhCm", "AAAA", 1), "5"), "BadDigest"},
		{"no trailer", put("5\r\nhello\r\n0\r\n\r\n", "5"), "MalformedTrailerError"},
		{"longer than declared", put(good, "4"), "IncompleteBody"},
		{"shorter than declared", put(good, "6"), "IncompleteBody"},
		{"no last chunk", put("5\r\nhello\r\n", "5"), "IncompleteBody"},
		{"wrong secret", func() call { c := put(good, "5"); c.secret = "x"; return c }(), "SignatureDoesNotMatch"},
		{"no signature", func() call { c := put(good, "5"); c.id = "-"; return c }(), "AccessDenied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if a := g.do(tt.call); a.status/100 != 4 || !strings.Contains(a.body, "<Code>"+tt.code+"</Code>") {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if a := g.want(call{target: "/bucket/key"}, 200, ""); a.body != "first" {
				t.Errorf("object holds %q", a.body)
			}
		})
	}
	g.want(put(good, "5"), 200, "")
	a := g.want(call{target: "/bucket/key", header: http.Header{"X-Amz-Checksum-Mode": {"ENABLED"}}}, 200, "")
	if a.body != "hello" || a.header.Get("X-Amz-Checksum-Crc32") != "NhCmhg==" || a.header.Get("Content-Encoding") != "" {
		t.Errorf("object holds %q with %v", a.body, a.header)
	}
}
