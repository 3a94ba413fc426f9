package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"shoal/gateway/edge"
)

// serve runs a server on a loopback address until the test ends.
func serve(t *testing.T, limits edge.Limits, secure *tls.Config, handle func(*edge.Server, http.ResponseWriter, *http.Request)) (*edge.Server, string) {
	t.Helper()
	return serveAs(t, func(c *edge.Config) { c.Limits, c.TLS = limits, secure }, handle)
}

// serveAs is serve with changes to the configuration.
func serveAs(t *testing.T, change func(*edge.Config), handle func(*edge.Server, http.ResponseWriter, *http.Request)) (*edge.Server, string) {
	t.Helper()
	l, err := edge.Listen(edge.Endpoint{Address: "127.0.0.1:0", Flag: "--x"})
	if err != nil {
		t.Fatal(err)
	}
	var s *edge.Server
	cfg := edge.Config{
		Listener: l, Logger: slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(s, w, r) }),
		Busy:    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }),
	}
	change(&cfg)
	s = edge.NewServer(cfg)
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		cancel()
		s.Shutdown(ctx)
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server ended with %v", err)
		}
	})
	return s, s.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

// closed waits until the other side closes.
func closed(t *testing.T, r io.Reader) string {
	t.Helper()
	text, _ := io.ReadAll(r) // a reset is an end, too
	return string(text)
}

func hello(_ *edge.Server, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func TestLongHead(t *testing.T) {
	_, addr := serve(t, edge.Limits{}, nil, hello)
	for size, want := range map[int]string{30 << 10: "200 OK", 40 << 10: "431"} {
		conn, r := dial(t, addr)
		text := "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: " + strings.Repeat("a", size) + "\r\n\r\n"
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if line, _ := r.ReadString('\n'); !strings.Contains(line, want) {
			t.Errorf("head of %d bytes: %q", size, line)
		}
	}
}

// When all connections are taken, the one idle longest gives way; busy ones stay.
func TestConnectionLimit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, edge.Limits{ConnectionsMax: 2}, nil, func(_ *edge.Server, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-release
		}
		io.WriteString(w, "hello")
	})
	busy, busyReader := dial(t, addr)
	if _, err := io.WriteString(busy, "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	_, idle := dial(t, addr)
	fresh, freshReader := dial(t, addr)
	if got := closed(t, idle); got != "" {
		t.Errorf("idle connection got %q", got)
	}
	if _, err := io.WriteString(fresh, "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	if got := s.Connections(); got != (edge.Connections{Open: 2, Evicted: 1}) || s.InFlight() != 2 {
		t.Errorf("%+v, %d in flight", got, s.InFlight())
	}
	_, third := dial(t, addr) // both are busy: nobody gives way
	if got := closed(t, third); got != "" {
		t.Errorf("third connection got %q", got)
	}
	if got := s.Connections(); got.Refused != 1 || got.Evicted != 1 {
		t.Errorf("%+v", got)
	}
	close(release)
	for _, r := range []io.Reader{busyReader, freshReader} {
		if got := closed(t, r); !strings.HasSuffix(got, "hello") {
			t.Errorf("busy connection got %q", got)
		}
	}
}

// addressed is a connection that comes from an address.
type addressed struct {
	net.Conn
	from string
}

func (c addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}

// The connections of a source are bounded: those of an address, and of IPv6 those of a /64.
func TestConnectionsOfSource(t *testing.T) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	s, _ := serveAs(t, func(c *edge.Config) { c.Listener, c.Limits.ConnectionsPerSourceMax = l, 2 }, hello)
	var open []net.Conn
	served := func(from string) bool {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		l.conns <- addressed{far, from}
		if _, err := io.WriteString(near, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return false
		}
		resp, err := http.ReadResponse(bufio.NewReader(near), nil)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, near)
		return resp.StatusCode == 200
	}
	want := func(from string, want bool) {
		t.Helper()
		if got := served(from); got != want {
			t.Errorf("%s: served %v, want %v", from, got, want)
		}
	}
	want("2001:db8::1", true)
	want("2001:db8::2", true)
	want("2001:db8:0:0:ffff::3", false)
	want("2001:db8:0:1::1", true) // another /64
	want("192.0.2.1", true)
	want("::ffff:192.0.2.1", true)
	want("192.0.2.1", false)
	want("192.0.2.2", true)
	for range 5 {
		want("127.0.0.1", true)
	}
	s.SetSourceConnections(3)
	want("192.0.2.1", true)
	want("192.0.2.1", false)
	s.SetSourceConnections(0)
	want("192.0.2.2", true)
	want("192.0.2.2", false)
	if got := s.Connections(); got.Refused != 4 || got.Open != len(open) {
		t.Errorf("%+v, %d are open", got, len(open))
	}
}

func TestRequestLimit(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	_, addr := serve(t, edge.Limits{RequestsMax: 1}, nil, func(_ *edge.Server, w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
	})
	const text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	first, firstReader := dial(t, addr)
	if _, err := io.WriteString(first, text); err != nil {
		t.Fatal(err)
	}
	<-entered
	second, secondReader := dial(t, addr)
	if _, err := io.WriteString(second, text); err != nil {
		t.Fatal(err)
	}
	if got := closed(t, secondReader); !strings.Contains(got, "503") {
		t.Errorf("second request got %q", got)
	}
	close(release)
	if got := closed(t, firstReader); !strings.Contains(got, "200 OK") {
		t.Errorf("first request got %q", got)
	}
}

// One source has its share of the places, and what it has too many of takes none from others.
func TestRequestsOfSource(t *testing.T) {
	const share = 3
	entered, release := make(chan struct{}), make(chan struct{})
	s, addr := serveAs(t, func(c *edge.Config) {
		c.Limits = edge.Limits{RequestsMax: share + 1, RequestsPerSourceMax: share}
		c.Proxies = edge.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
		c.Crowded = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) })
	}, func(_ *edge.Server, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-release
		}
	})
	ask := func(path, from, forwarded string) *bufio.Reader {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: "+forwarded+"\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(conn)
	}
	want := func(status, from, forwarded string) {
		t.Helper()
		if got := closed(t, ask("/", from, forwarded)); !strings.Contains(got, status) {
			t.Errorf("%s for %s got %q, want %s", from, forwarded, got, status)
		}
	}
	var waiting []*bufio.Reader
	for range share { // loopback has no more than others
		waiting = append(waiting, ask("/wait", "127.0.0.1", "192.0.2.1"))
		<-entered
	}
	for range 10 * share {
		want("429", "127.0.0.1", "192.0.2.1")
	}
	want("200 OK", "127.0.0.3", "")
	want("200 OK", "127.0.0.2", "192.0.2.1") // clients of a proxy count by their own addresses
	want("429", "127.0.0.2", "127.0.0.1")
	waiting = append(waiting, ask("/wait", "127.0.0.2", "2001:db8::1"))
	<-entered
	want("503", "127.0.0.3", "") // now all places are taken
	close(release)
	for _, r := range waiting {
		if got := closed(t, r); !strings.Contains(got, "200 OK") {
			t.Errorf("one of those that had entered got %q", got)
		}
	}
	s.SetSourceRequests(1)
	release = make(chan struct{})
	last := ask("/wait", "127.0.0.2", "2001:db8::1")
	<-entered
	want("429", "127.0.0.2", "2001:db8::ffff")
	want("200 OK", "127.0.0.2", "2001:db8:0:1::1") // another /64
	close(release)
	closed(t, last)
}

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name string
		edge.Endpoint
		want string // part of the error, "" for success
	}{
		{"loopback", edge.Endpoint{Address: "127.0.0.1:0"}, ""},
		{"localhost", edge.Endpoint{Address: "localhost:0"}, ""},
		{"taken", edge.Endpoint{Address: taken.Addr().String()}, "is taken by another process"},
		{"all addresses, plain", edge.Endpoint{Address: ":0"}, "--insecure-http"},
		{"all addresses, said aloud", edge.Endpoint{Address: ":0", InsecureHTTP: true}, ""},
		{"all addresses, TLS", edge.Endpoint{Address: ":0", TLS: &tls.Config{}}, ""},
		{"no port", edge.Endpoint{Address: "127.0.0.1"}, "--flag"},
		{"not ours", edge.Endpoint{Address: "192.0.2.1:0"}, "--flag"},
		{"no number", edge.Endpoint{Address: "127.0.0.1:port"}, "--flag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.Flag = "--flag"
			l, err := edge.Listen(tt.Endpoint)
			if err == nil {
				l.Close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
		})
	}
}
