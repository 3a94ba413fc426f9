package edge_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
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
	synctest.Test(t, func(t *testing.T) {
		news := make(chan error, 1)
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		var s *edge.Server
		s = edge.NewServer(edge.Config{
			Listener: l, Limits: limits, Logger: slog.New(slog.DiscardHandler),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(s, w, r, news) }),
		})
		done := make(chan error, 1)
		go func() { done <- s.Serve(context.WithoutCancel(t.Context())) }()
		near, far := net.Pipe()
		l.conns <- far
		client(t, near, bufio.NewReader(near), news)
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
	out, body := s.NewWriter(w, time.Now()), s.NewReader(w, r)
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
	virtual(t, edge.Limits{}, readBody, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		began := time.Now()
		send(t, conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
		got := closed(t, r)
		if !strings.HasSuffix(got, "too slow") || !strings.Contains(got, "Connection: close") {
			t.Errorf("answer %q", got)
		}
		if took := time.Since(began); took < 22*time.Second || took > 31*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// A body that drips keeps every single deadline and is still too slow.
func TestBodyDrips(t *testing.T) {
	virtual(t, edge.Limits{}, readBody, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		began := time.Now()
		send(t, conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		ended := make(chan string, 1)
		go func() { ended <- closed(t, r) }()
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case got := <-ended:
				if !strings.HasSuffix(got, "too slow") {
					t.Errorf("answer %q", got)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("ended after %v", took)
				}
				return
			case <-tick.C:
				conn.SetWriteDeadline(time.Now().Add(time.Second))
				io.WriteString(conn, "x") // fails when the end has come
			}
		}
	})
}

// A body that keeps moving lives as long as it likes, and so does the work behind it.
func TestBodyMoves(t *testing.T) {
	work := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out := s.NewWriter(w, time.Now())
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
	virtual(t, edge.Limits{}, work, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		send(t, conn, "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 512000\r\n\r\n")
		tick := time.NewTicker(20 * time.Second)
		defer tick.Stop()
		piece := strings.Repeat("x", 12800)
		for range 40 {
			<-tick.C
			send(t, conn, piece)
		}
		if got := closed(t, r); !strings.HasSuffix(got, "whole") {
			t.Errorf("answer %q", got)
		}
		if err := <-news; err != nil {
			t.Errorf("the request was given up: %v", err)
		}
	})
}

// Time in which the gateway itself is busy is not the client's.
func TestSlowStore(t *testing.T) {
	slow := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out, body := s.NewWriter(w, time.Now()), s.NewReader(w, r)
		var one [1]byte
		for {
			if _, err := body.Read(one[:]); err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
			pause := time.NewTimer(time.Minute)
			<-pause.C
		}
		io.WriteString(out, "whole")
	}
	virtual(t, edge.Limits{}, slow, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		send(t, conn, "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789")
		if got := closed(t, r); !strings.HasSuffix(got, "whole") {
			t.Errorf("answer %q", got)
		}
	})
}

// A client that does not take its answer is let go.
func TestAnswerStalls(t *testing.T) {
	endless := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out := s.NewWriter(w, time.Now())
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
	virtual(t, edge.Limits{}, endless, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		began := time.Now()
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := <-news; !errors.Is(err, edge.ErrTooSlow) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took < 22*time.Second || took > 31*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// An answer that keeps moving lives as long as it likes.
func TestAnswerMoves(t *testing.T) {
	const size = 16 << 20
	long := func(s *edge.Server, w http.ResponseWriter, r *http.Request, news chan error) {
		out := s.NewWriter(w, time.Now())
		out.Header().Set("Connection", "close")
		n, err := out.Write(make([]byte, size))
		if n != size || err != nil || out.Sent() != size {
			t.Errorf("wrote %d: %v", n, err)
		}
	}
	virtual(t, edge.Limits{}, long, func(t *testing.T, conn net.Conn, r *bufio.Reader, news chan error) {
		send(t, conn, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		total := int64(0)
		for {
			<-tick.C
			n, err := io.CopyN(io.Discard, r, 256<<10)
			if total += n; err != nil {
				break
			}
		}
		if total < size {
			t.Errorf("%d bytes of %d came", total, size)
		}
	})
}
