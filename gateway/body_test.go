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
