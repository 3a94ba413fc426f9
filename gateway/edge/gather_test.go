package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"shoal/gateway/edge"
)

// counted is a connection that counts what is written to it, and fails from some number on.
type counted struct {
	net.Conn
	writes, last atomic.Int64
}

var errWrite = errors.New("test: no more is written")

func (c *counted) Write(p []byte) (int, error) {
	if n := c.writes.Add(1); c.last.Load() > 0 && n > c.last.Load() {
		return 0, errWrite
	}
	return c.Conn.Write(p)
}

// answerOf writes an answer of the asked length in pieces of the asked length.
func answerOf(s *edge.Server, w http.ResponseWriter, r *http.Request) error {
	n, _ := strconv.Atoi(r.FormValue("n"))
	piece, _ := strconv.Atoi(r.FormValue("piece"))
	out := s.NewWriter(w, r, time.Now())
	out.Header().Set("Content-Length", strconv.Itoa(n))
	body := bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n]
	for len(body) > 0 {
		k := min(piece, len(body))
		if _, err := out.Write(body[:k]); err != nil {
			return err
		}
		body = body[k:]
	}
	return nil
}

// TestAnswersInFewWrites: the records of an answer go to the connection many at a time.
func TestAnswersInFewWrites(t *testing.T) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	cert := testCertificate(t)
	serveAs(t, func(c *edge.Config) {
		c.Listener, c.TLS = l, &tls.Config{Certificates: []tls.Certificate{cert}}
	}, func(s *edge.Server, w http.ResponseWriter, r *http.Request) {
		if err := answerOf(s, w, r); err != nil {
			t.Error(err)
		}
	})
	var far *counted
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, other := net.Pipe()
			far = &counted{Conn: other}
			l.conns <- far
			return near, nil
		},
	}}
	defer client.CloseIdleConnections()
	get := func(n int) int64 {
		t.Helper()
		var before int64
		if far != nil {
			before = far.writes.Load()
		}
		resp, err := client.Get(fmt.Sprintf("https://pipe/?n=%d&piece=%d", n, n))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); err != nil || len(got) != n {
			t.Fatalf("%d bytes of %d, %v", len(got), n, err)
		}
		return far.writes.Load() - before
	}
	get(256 << 10) // with the handshake, and the first records, which are shorter
	if n := get(256 << 10); n > 8 {
		t.Errorf("256 KiB, 16 records and more, took %d writes", n)
	}
}

// TestAnswersAreWhole: answers of all lengths around those of buffers come whole, however they are given, one behind the other.
func TestAnswersAreWhole(t *testing.T) {
	for _, secure := range []*tls.Config{nil, {Certificates: []tls.Certificate{testCertificate(t)}}} {
		_, addr := serve(t, edge.Limits{}, secure, func(s *edge.Server, w http.ResponseWriter, r *http.Request) {
			if err := answerOf(s, w, r); err != nil {
				t.Error(err)
			}
		})
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		scheme := "http"
		if secure != nil {
			scheme = "https"
		}
		lengths := []int{0, 1, 2047, 2048, 2049, 16 << 10, 65535, 65536, 70_000, 300_000}
		for n := 3800; n < 4200; n += 7 { // around where head and body fill 4 KiB
			lengths = append(lengths, n)
		}
		for _, n := range lengths {
			for _, piece := range []int{n, 2048, 5000} {
				resp, err := client.Get(fmt.Sprintf("%s://%s/?n=%d&piece=%d", scheme, addr, n, piece))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n]; err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s: of %d bytes in pieces of %d: %d, %v", scheme, n, piece, len(got), err)
				}
			}
		}
		client.CloseIdleConnections()
	}
}

// TestHeldBytesFail: where what was held cannot be written, the writer says so, and the connection is closed.
func TestHeldBytesFail(t *testing.T) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	told := make(chan error, 1)
	serveAs(t, func(c *edge.Config) { c.Listener = l }, func(s *edge.Server, w http.ResponseWriter, r *http.Request) { told <- answerOf(s, w, r) })
	near, other := net.Pipe()
	far := &counted{Conn: other}
	far.last.Store(1)
	far.writes.Store(1)
	l.conns <- far
	if _, err := io.WriteString(near, "GET /?n=4000&piece=4000 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, errWrite) {
		t.Errorf("the writer says %v", err)
	}
	if got, err := io.ReadAll(near); len(got) > 0 || err != nil {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
}

// halved is a connection that tells when its answers end.
type halved struct {
	addressed
	ended chan struct{}
}

func (h halved) CloseWrite() error { close(h.ended); return nil }

// TestAnswersEndBeforeTheConnection: a connection whose request was not read to its end is not closed before its answers are.
func TestAnswersEndBeforeTheConnection(t *testing.T) {
	for name, header := range map[string]string{"direct": "", "by a proxy": "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n"} {
		t.Run(name, func(t *testing.T) {
			l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
			serveAs(t, func(c *edge.Config) {
				c.Listener = l
				if header != "" {
					c.Proxies, c.ProxyProtocol = proxies(t, "", "192.0.2.9/32"), true
				}
			}, func(s *edge.Server, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				w.WriteHeader(403)
			})
			near, other := net.Pipe()
			far := halved{addressed{other, "192.0.2.9"}, make(chan struct{})}
			l.conns <- far
			go io.WriteString(near, header+"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nonly this")
			io.Copy(io.Discard, near) // until it is closed
			select {
			case <-far.ended:
			default:
				t.Error("the connection was closed, and its answers had not ended")
			}
		})
	}
}
