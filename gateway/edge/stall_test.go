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
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/gateway/edge"
)

// Deadlines are tested in virtual time, over pipes that hold no byte: what one side
// writes waits until the other reads it.

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// virtual runs a server in virtual time and hands the other end of a connection to
// client. news is made within the bubble: time stands still for one who waits for a
// channel from outside.
func virtual(t *testing.T, limits edge.Limits, handle func(*edge.Server, http.ResponseWriter, *http.Request, chan error), client func(*testing.T, net.Conn, *bufio.Reader, chan error)) {
	virtualServer(t, &edge.Config{Limits: limits}, handle, func(t *testing.T, conn net.Conn, news chan error) {
		client(t, conn, bufio.NewReader(conn), news)
	})
}

func virtualServer(t *testing.T, cfg *edge.Config, handle func(*edge.Server, http.ResponseWriter, *http.Request, chan error), client func(*testing.T, net.Conn, chan error)) {
	synctest.Test(t, func(t *testing.T) {
		news := make(chan error, 1)
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		var s *edge.Server
		cfg := *cfg
		cfg.Listener, cfg.Logger = l, slog.New(slog.DiscardHandler)
		cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(s, w, r, news) })
		s = edge.NewServer(cfg)
		done := make(chan error, 1)
		go func() { done <- s.Serve(context.WithoutCancel(t.Context())) }()
		near, far := net.Pipe()
		l.conns <- far
		client(t, near, news)
		near.Close()
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server ended with %v", err)
		}
	})
}

// exchanged hands a client to a test, over each protocol. put begins a request whose body is what is written to the pipe.
func exchanged(t *testing.T, handle func(*edge.Server, http.ResponseWriter, *http.Request, chan error), client func(t *testing.T, c *virtualClient)) {
	cert := testCertificate(t)
	t.Run("HTTP/1.1", func(t *testing.T) {
		virtualServer(t, &edge.Config{}, handle, func(t *testing.T, conn net.Conn, news chan error) {
			c := &virtualClient{t: t, conn: &trickling{Conn: conn}, news: news, url: "http://x/", proto: "HTTP/1.1"}
			c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return c.conn, nil }
			client(t, c)
			c.transport.CloseIdleConnections()
		})
	})
	t.Run("HTTP/2", func(t *testing.T) {
		// A ticket would be written while the client writes, too, and pipes hold no byte.
		secure := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, SessionTicketsDisabled: true}
		virtualServer(t, &edge.Config{TLS: secure}, handle, func(t *testing.T, conn net.Conn, news chan error) {
			c := &virtualClient{t: t, conn: &trickling{Conn: conn}, news: news, url: "https://x/", proto: "HTTP/2.0"}
			c.transport.ForceAttemptHTTP2 = true
			c.transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
				return tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), nil
			}
			client(t, c)
			c.transport.CloseIdleConnections()
		})
	})
}

func testCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	pair := newAuthority(t).issue(wanted{})
	cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// virtualClient makes requests over the one connection that there is.
type virtualClient struct {
	t         *testing.T
	conn      *trickling
	news      chan error
	url       string
	proto     string
	transport http.Transport
}

// put begins a request whose body is what is written to the pipe; answer gets what the whole came to.
func (c *virtualClient) put() (body *io.PipeWriter, answer chan string) {
	answer = make(chan string, 1)
	r, body := io.Pipe()
	go func() {
		text, err := c.do("PUT", r)
		if err != nil {
			text = "broken off: " + err.Error()
		}
		r.CloseWithError(io.ErrClosedPipe)
		answer <- text
	}()
	return body, answer
}

func (c *virtualClient) do(method string, body io.Reader) (string, error) {
	resp, err := c.begin(method, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func (c *virtualClient) begin(method string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequest(method, c.url, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err == nil && resp.Proto != c.proto {
		c.t.Errorf("answered by %s", resp.Proto)
	}
	return resp, err
}

func send(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func virtualHello(s *edge.Server, w http.ResponseWriter, r *http.Request, _ chan error) {
	hello(s, w, r)
}

// A head that does not come whole ends the connection.
func TestSlowHead(t *testing.T) {
	for _, text := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\nX-A: "} {
		virtual(t, edge.Limits{}, virtualHello, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
			began := time.Now()
			send(t, conn, text)
			if got := closed(t, r); got != "" {
				t.Errorf("%q was answered with %q", text, got)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
}

func TestIdleConnectionEnds(t *testing.T) {
	virtual(t, edge.Limits{}, virtualHello, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		began := time.Now()
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := closed(t, r); !strings.HasSuffix(got, "hello") {
			t.Errorf("answer %q", got)
		}
		if took := time.Since(began); took != 120*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// readBody answers with what reading the body gave.
func readBody(s *edge.Server, w http.ResponseWriter, r *http.Request, _ chan error) {
	out, body := s.NewWriter(w, r, time.Now()), s.NewReader(w, r)
	n, err := io.Copy(io.Discard, body)
	if err != nil {
		body.Abandon(out, r)
		out.WriteHeader(400)
		if errors.Is(err, edge.ErrTooSlow) && errors.Is(err, os.ErrDeadlineExceeded) {
			io.WriteString(out, "too slow")
		}
		body.Drain(r)
		return
	}
	if body.Received() != n || body.Unread() {
		out.WriteHeader(500)
	}
	io.WriteString(out, "whole")
}

func TestBodyStalls(t *testing.T) {
	exchanged(t, readBody, func(t *testing.T, c *virtualClient) {
		began := time.Now()
		body, answer := c.put()
		send(t, body, "abc")
		if got := <-answer; got != "too slow" {
			t.Errorf("answer %q", got)
		}
		if took := time.Since(began); took < 22*time.Second || took > 31*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// A connection whose request was given up is not used for the next.
func TestStalledConnectionEnds(t *testing.T) {
	virtual(t, edge.Limits{}, readBody, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		send(t, conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
		if got := closed(t, r); !strings.HasSuffix(got, "too slow") || !strings.Contains(got, "Connection: close") {
			t.Errorf("answer %q", got)
		}
	})
}

// A body that drips keeps every single deadline and is still too slow.
func TestBodyDrips(t *testing.T) {
	exchanged(t, readBody, func(t *testing.T, c *virtualClient) {
		began := time.Now()
		body, answer := c.put()
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case got := <-answer:
				if got != "too slow" {
					t.Errorf("answer %q", got)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("ended after %v", took)
				}
				return
			case <-tick.C:
				io.WriteString(body, "x") // fails when the end has come
			}
		}
	})
}

// A body that keeps moving lives as long as it likes, and so does the work behind it.
func TestBodyMoves(t *testing.T) {
	work := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out := s.NewWriter(w, r, time.Now())
		if _, err := io.Copy(io.Discard, s.NewReader(w, r)); err != nil {
			news <- err
			return
		}
		long := time.NewTimer(10 * time.Minute) // longer than a body may stall
		select {
		case <-long.C:
			news <- nil
		case <-r.Context().Done():
			news <- r.Context().Err()
		}
		io.WriteString(out, "whole")
	}
	exchanged(t, work, func(t *testing.T, c *virtualClient) {
		body, answer := c.put()
		tick := time.NewTicker(20 * time.Second)
		defer tick.Stop()
		piece := strings.Repeat("x", 12800)
		for range 40 {
			<-tick.C
			send(t, body, piece)
		}
		body.Close()
		if got := <-answer; got != "whole" {
			t.Errorf("answer %q", got)
		}
		if err := <-c.news; err != nil {
			t.Errorf("the request was given up: %v", err)
		}
	})
}

// Time in which the gateway itself is busy is not the client's: neither between pieces of a body nor between those of
// an answer.
func TestSlowStore(t *testing.T) {
	pause := func() { <-time.NewTimer(time.Minute).C }
	slow := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out, body := s.NewWriter(w, r, time.Now()), s.NewReader(w, r)
		var one [1]byte
		for {
			if _, err := body.Read(one[:]); err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
			pause()
		}
		for range 3 {
			io.WriteString(out, strings.Repeat("x", 100_000))
			pause()
		}
		io.WriteString(out, "whole")
	}
	exchanged(t, slow, func(t *testing.T, c *virtualClient) {
		if got, err := c.do("PUT", strings.NewReader("0123456789")); err != nil || got != strings.Repeat("x", 300_000)+"whole" {
			t.Errorf("answer of %d bytes, %v", len(got), err)
		}
	})
}

// So it is with handlers that neither Reader nor Writer serve.
func TestSlowWork(t *testing.T) {
	slow := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		<-time.NewTimer(10 * time.Minute).C
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(w, "whole")
	}
	exchanged(t, slow, func(t *testing.T, c *virtualClient) {
		if got, err := c.do("POST", nil); got != "whole" || err != nil {
			t.Errorf("answer %q, %v", got, err)
		}
	})
}

// A client that does not take its answer is let go.
func TestAnswerStalls(t *testing.T) {
	endless := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out := s.NewWriter(w, r, time.Now())
		piece := make([]byte, 1<<20)
		for {
			if _, err := out.Write(piece); err != nil {
				if _, again := out.Write(piece); again != err || out.Failed() != err || out.Status() != 200 {
					err = errors.New("the failure is not remembered")
				}
				news <- err
				panic(http.ErrAbortHandler)
			}
		}
	}
	exchanged(t, endless, func(t *testing.T, c *virtualClient) {
		began := time.Now()
		resp, err := c.begin("GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := <-c.news; !errors.Is(err, edge.ErrTooSlow) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 22*time.Second || took > 31*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// Nor is one that takes a byte now and then, of whatever is under the answer.
func TestAnswerTrickles(t *testing.T) {
	endless := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		_, err := io.Copy(s.NewWriter(w, r, time.Now()), zeros{})
		news <- err
		panic(http.ErrAbortHandler)
	}
	exchanged(t, endless, func(t *testing.T, c *virtualClient) {
		began := time.Now()
		resp, err := c.begin("GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		c.conn.trickles.Store(true)
		taken := make(chan struct{})
		go func() {
			io.Copy(io.Discard, resp.Body)
			close(taken)
		}()
		if err := <-c.news; !errors.Is(err, edge.ErrTooSlow) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 22*time.Second || took > 61*time.Second {
			t.Errorf("ended after %v", took)
		}
		<-taken
	})
}

// trickling is a connection that can be made to read a byte every 20 s.
type trickling struct {
	net.Conn
	trickles atomic.Bool
}

func (c *trickling) Read(p []byte) (int, error) {
	if c.trickles.Load() {
		<-time.NewTimer(20 * time.Second).C
		p = p[:1]
	}
	return c.Conn.Read(p)
}

// An answer that keeps moving lives as long as it likes.
func TestAnswerMoves(t *testing.T) {
	const size = 16 << 20
	long := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out := s.NewWriter(w, r, time.Now())
		n, err := out.Write(make([]byte, size))
		if n != size || err != nil || out.Sent() != size {
			t.Errorf("wrote %d: %v", n, err)
		}
	}
	exchanged(t, long, func(t *testing.T, c *virtualClient) {
		resp, err := c.begin("GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		total := int64(0)
		for {
			<-tick.C
			n, err := io.CopyN(io.Discard, resp.Body, 256<<10)
			if total += n; err != nil {
				break
			}
		}
		if total != size {
			t.Errorf("%d bytes of %d came", total, size)
		}
	})
}

// Who is in a hurry has a few seconds, however the bytes come; after that a body may take its time again.
func TestHurry(t *testing.T) {
	form := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out, body := s.NewWriter(w, r, time.Now()), s.NewReader(w, r)
		body.Hurry()
		if _, err := io.ReadFull(body, make([]byte, 6)); err != nil {
			news <- err
			body.Abandon(out, r)
			out.WriteHeader(400)
			body.Drain(r)
			return
		}
		body.Leisure()
		if _, err := io.Copy(io.Discard, body); err != nil {
			t.Error(err)
		}
		io.WriteString(out, "whole")
	}
	exchanged(t, form, func(t *testing.T, c *virtualClient) {
		body, answer := c.put()
		send(t, body, "fields")
		for range 10 {
			<-time.NewTimer(20 * time.Second).C
			send(t, body, strings.Repeat("x", 10_000))
		}
		body.Close()
		if got := <-answer; got != "whole" {
			t.Errorf("answer %q", got)
		}
	})
	exchanged(t, form, func(t *testing.T, c *virtualClient) {
		began := time.Now()
		body, answer := c.put()
		for range 4 {
			<-time.NewTimer(1200 * time.Millisecond).C
			send(t, body, "x")
		}
		if err := <-c.news; !errors.Is(err, edge.ErrTooSlow) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("ended after %v", took)
		}
		<-answer
	})
}
