package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// ErrTooSlow is returned by Reader and Writer when the client does not keep up. It is
// an os.ErrDeadlineExceeded.
var ErrTooSlow error = tooSlow{}

type tooSlow struct{}

func (tooSlow) Error() string        { return "client is too slow" }
func (tooSlow) Is(target error) bool { return target == os.ErrDeadlineExceeded }

const (
	// drainBytesMax is how much of an unwanted body is read so that the client sees the answer.
	drainBytesMax = 64 << 20
	// keepBytesMax is the largest rest of a body that is read to keep the connection.
	keepBytesMax = 256 << 10
)

// toll makes bytes of one share wait for their turn.
type toll struct {
	share *Share
	rate  int64 // bytes per second
}

// tolls are those that one body pays, in the name of its source and of its principal.
type tolls struct {
	all  []toll
	done <-chan struct{} // closed when the request has ended
}

// most bounds a piece: a quarter of a second's worth, so that bytes flow evenly.
func (t *tolls) most(n int) int {
	for _, one := range t.all {
		n = min(n, max(int(one.rate/4), 4096))
	}
	return n
}

// pay counts n bytes and waits for as long as they are too many.
func (t *tolls) pay(n int) {
	if len(t.all) == 0 || n <= 0 {
		return
	}
	var wait time.Duration
	for _, one := range t.all {
		wait = max(wait, one.share.move(time.Now(), int64(n), one.rate))
	}
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.done:
	}
}

// Pace makes both directions of an exchange keep the bandwidth of a share, 0 for any, until ctx ends.
func Pace(ctx context.Context, r *Reader, w *Writer, share *Share, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		return
	}
	for _, t := range [...]*tolls{&r.tolls, &w.tolls} {
		t.done, t.all = ctx.Done(), append(t.all, toll{share, bytesPerSecond})
	}
}

// Reader reads a request's body and ends slow ones. Only time spent waiting for the
// client counts. It is for one goroutine.
type Reader struct {
	body    io.ReadCloser
	control *http.ResponseController
	limits  *Limits
	until   time.Time // deadline in force
	hurried time.Time // by when all must have come; zero while there is no hurry
	waited  time.Duration
	moved   int64 // bytes since waited was 0
	read    int64
	ended   bool // Read gave io.EOF
	failed  bool
	tolls   tolls
	stream  bool // of HTTP/2, which watches over itself
}

// NewReader wraps the body of r. w must be the writer that net/http gave with r, and
// r.Body must not be replaced: net/http looks at it to know whether the client still
// waits for leave to send.
func (s *Server) NewReader(w http.ResponseWriter, r *http.Request) *Reader {
	return &Reader{
		body: r.Body, control: http.NewResponseController(w), limits: &s.limits,
		ended: r.Body == http.NoBody, stream: r.ProtoMajor >= 2,
	}
}

// Read reads from the client. A client that stalls gives ErrTooSlow.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.next(p[:min(len(p), r.tolls.most(len(p)))])
	r.tolls.pay(n)
	return n, err
}

func (r *Reader) next(p []byte) (int, error) {
	if r.ended {
		return 0, io.EOF
	}
	start := time.Now()
	until := r.until
	switch {
	case !r.hurried.IsZero():
		until = r.hurried
	case !r.stream && until.Sub(start) < r.limits.StallTimeout*3/4:
		until = start.Add(r.limits.StallTimeout)
	}
	if until != r.until {
		r.until = until
		if err := r.control.SetReadDeadline(until); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	n, err := r.body.Read(p)
	r.read += int64(n)
	r.moved += int64(n)
	r.waited += time.Since(start)
	switch {
	case err == io.EOF:
		r.ended = true
		// net/http goes on watching the connection; a deadline left behind would make
		// it take a request that is still being worked on for one that was given up.
		if !r.stream {
			r.control.SetReadDeadline(time.Time{})
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.failed = true
		err = ErrTooSlow
	case err != nil:
		r.failed = true
	case r.waited >= r.limits.StallTimeout:
		if r.moved < r.limits.RateMin*int64(r.waited/time.Second) {
			r.failed = true
			return n, ErrTooSlow
		}
		r.waited, r.moved = 0, 0
	}
	return n, err
}

// Hurry gives the client FormTimeout, from now on, for all that is read up to Leisure.
func (r *Reader) Hurry() { r.hurried = time.Now().Add(r.limits.FormTimeout) }

// Leisure lets the rest of the body take its time, as long as it moves.
func (r *Reader) Leisure() {
	r.hurried = time.Time{}
	if !r.until.IsZero() {
		r.until = longPast
	}
	if r.stream {
		r.control.SetReadDeadline(time.Time{})
	}
}

// Received is the number of bytes read so far.
func (r *Reader) Received() int64 { return r.read }

// Unread says whether bytes of the body may still come.
func (r *Reader) Unread() bool { return !r.ended }

// Abandon is called before an answer is written to a request whose body was not read
// to its end. A short rest is left to net/http, which reads it and keeps the
// connection; behind a longer one the connection ends.
func (r *Reader) Abandon(w http.ResponseWriter, req *http.Request) {
	if r.ended || r.stream { // which ends by itself
		return
	}
	if r.failed || r.waitsForLeave(req) || !r.restIsShort(req) {
		w.Header().Set("Connection", "close")
	}
	r.limitRest(req)
}

// limitRest bounds how long net/http may wait for the rest of the body behind the answer.
func (r *Reader) limitRest(req *http.Request) {
	patience := drainTimeout
	if r.failed || r.waitsForLeave(req) {
		patience = 0 // nothing will come
	}
	r.control.SetReadDeadline(time.Now().Add(patience))
}

// restIsShort says that the connection is worth keeping.
func (r *Reader) restIsShort(req *http.Request) bool {
	return req.ContentLength >= 0 && req.ContentLength-r.read <= keepBytesMax
}

// Drain is called after an answer was written. When the body was not read to its end,
// a client that is still sending would be cut off by the closing connection before it
// reads the answer, so some of the rest is read, for a moment.
func (r *Reader) Drain(req *http.Request) {
	if r.ended || r.stream {
		return
	}
	r.limitRest(req)
	if r.failed || r.waitsForLeave(req) || r.restIsShort(req) {
		return
	}
	if r.control.Flush() == nil {
		io.CopyN(io.Discard, r.body, drainBytesMax)
	}
}

// waitsForLeave says that the client waits for "100 Continue" before it sends: to read
// would be to ask for the body.
func (r *Reader) waitsForLeave(req *http.Request) bool {
	return r.read == 0 && r.until.IsZero() && req.Header.Get("Expect") != ""
}

// writeBytesMax bounds one write, so that its deadline speaks of progress and not of
// the size of the caller's buffer.
const writeBytesMax = 256 << 10

// Writer writes an answer and ends when the client does not take it. It records what
// was sent. It is for one goroutine.
type Writer struct {
	http.ResponseWriter
	control   *http.ResponseController
	conn      *gatherer // nil over HTTP/2, whose answers share one
	limits    *Limits
	until     time.Time // deadline in force
	status    int
	sent      int64
	length    int64  // of the body as the head said, -1 when it did not
	beforeEnd func() // nil once called
	failed    error
	tolls     tolls
}

// NewWriter wraps w, which answers r. started is when the request's head had been read, from which
// net/http's own deadline runs.
func (s *Server) NewWriter(w http.ResponseWriter, r *http.Request, started time.Time) *Writer {
	out := &Writer{
		ResponseWriter: w, control: http.NewResponseController(w), limits: &s.limits,
		until: started.Add(s.limits.StallTimeout), length: -1,
	}
	if one, ok := r.Context().Value(connKey{}).(*tracked); ok && one != nil && r.ProtoMajor < 2 {
		out.conn = &one.gatherer
	}
	return out
}

// BeforeEnd has a function called before the last bytes of a body whose length the head told are given to
// the connection. Behind any other answer net/http still sends something once the handler has returned.
func (w *Writer) BeforeEnd(f func()) { w.beforeEnd = f }

// Length is that of the body as the head told it, -1 when it did not.
func (w *Writer) Length() int64 { return w.length }

// WriteHeader sends the head.
func (w *Writer) WriteHeader(status int) {
	if status >= http.StatusOK && w.status == 0 {
		w.status = status
		if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil {
			w.length = n
		}
		w.renew()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends bytes of the body in pieces, each with a deadline of its own.
func (w *Writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.failed != nil {
		return 0, w.failed
	}
	total := 0
	for {
		piece := p[total:min(total+w.tolls.most(writeBytesMax), len(p))]
		if w.beforeEnd != nil && w.length >= 0 && w.sent+int64(len(piece)) >= w.length {
			f := w.beforeEnd
			w.beforeEnd = nil
			f()
		}
		w.renew()
		n, err := w.give(piece)
		w.tolls.pay(n)
		total += n
		w.sent += int64(n)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = ErrTooSlow
			}
			w.failed = err
			return total, err
		}
		if total == len(p) {
			return total, nil
		}
	}
}

// gatherFrom is how long a piece must be for net/http to write while it is given: shorter ones fit into its buffers.
const gatherFrom = 2 << 10

// give hands a piece to net/http, which writes the head, or what fits into its buffer with it, and then the rest: both go to the connection
// as one.
func (w *Writer) give(piece []byte) (int, error) {
	if w.conn == nil || len(piece) < gatherFrom {
		return w.ResponseWriter.Write(piece)
	}
	w.conn.gather()
	n, err := w.ResponseWriter.Write(piece)
	if e := w.conn.release(); err == nil {
		err = e
	}
	return n, err
}

// renew moves the deadline when a quarter of it has passed. A stream of HTTP/2 does not mind: it watches over itself.
func (w *Writer) renew() {
	now := time.Now()
	if w.until.Sub(now) < w.limits.StallTimeout*3/4 {
		w.until = now.Add(w.limits.StallTimeout)
		w.control.SetWriteDeadline(w.until)
	}
}

// Flush sends what is buffered.
func (w *Writer) Flush() { w.control.Flush() }

// Unwrap gives the writer of net/http.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status is the status sent, 0 when no head was sent yet.
func (w *Writer) Status() int { return w.status }

// Sent is the number of body bytes sent.
func (w *Writer) Sent() int64 { return w.sent }

// Failed is the error that broke the answer off, nil when none did.
func (w *Writer) Failed() error { return w.failed }
