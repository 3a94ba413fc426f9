package edge

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// stream is an exchange of HTTP/2: writer of the answer and body of the request. It ends both when their client
// stands still.
//
// Deadlines of net/http are no use there. Over HTTP/1 one that has passed matters to who waits for the client; over
// HTTP/2 it resets the stream, although nobody may wait for the client but for the store, and cannot be moved any more.
type stream struct {
	http.ResponseWriter
	limits  *Limits
	body    io.ReadCloser
	in, out watchdog
}

var (
	longPast = time.Unix(1, 0)
	// never is when a stream without a deadline is cut. Who clears a deadline and sets one on a stream that has ended
	// meanwhile would start a timer that nobody stops.
	never = 100 * 365 * 24 * time.Hour
)

// newStream takes over a request of HTTP/2.
func (s *Server) newStream(w http.ResponseWriter, r *http.Request) *stream {
	st := &stream{ResponseWriter: w, limits: &s.limits, body: r.Body}
	st.in = watchdog{patience: s.limits.StallTimeout, bite: st.cutBody}
	st.out = watchdog{patience: s.limits.StallTimeout, bite: st.cutAnswer}
	r.Body = st
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(never))
	return st
}

// end is called when the request has been served: what net/http has not sent yet has a last deadline.
func (st *stream) end() {
	http.NewResponseController(st.ResponseWriter).SetWriteDeadline(time.Now().Add(st.limits.StallTimeout))
}

// Unwrap gives the writer of net/http.
func (st *stream) Unwrap() http.ResponseWriter { return st.ResponseWriter }

// SetWriteDeadline does nothing: each write has a deadline already.
func (st *stream) SetWriteDeadline(time.Time) error { return nil }

// Read reads from the client. ErrTooSlow when that stands still.
func (st *stream) Read(p []byte) (int, error) {
	st.in.arm()
	n, err := st.body.Read(p)
	if st.in.disarm() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrTooSlow
	}
	return n, err
}

// Close gives the body up.
func (st *stream) Close() error { return st.body.Close() }

// Write sends bytes of the answer. ErrTooSlow when the client does not take them.
func (st *stream) Write(p []byte) (int, error) {
	st.out.arm()
	n, err := st.ResponseWriter.Write(p)
	if st.out.disarm() && err != nil {
		err = ErrTooSlow
	}
	return n, err
}

// FlushError sends what is buffered, as http.ResponseController asks for it.
func (st *stream) FlushError() error {
	st.out.arm()
	err := http.NewResponseController(st.ResponseWriter).Flush()
	if st.out.disarm() && err != nil {
		err = ErrTooSlow
	}
	return err
}

// cutBody makes the present Read fail.
func (st *stream) cutBody() {
	http.NewResponseController(st.ResponseWriter).SetReadDeadline(longPast)
}

// cutAnswer resets the stream. When not even that gets through to the client, its connection ends by WriteByteTimeout.
func (st *stream) cutAnswer() {
	http.NewResponseController(st.ResponseWriter).SetWriteDeadline(longPast)
}

// watchdog bites, once, when somebody has waited for a client for too long.
type watchdog struct {
	patience time.Duration
	bite     func()

	mu      sync.Mutex  // guards what follows; held while it bites, so that it does not bite who has ceased to wait
	timer   *time.Timer // nil before the first time
	waiting bool
	until   time.Time
	bitten  bool
}

// arm is called before waiting.
func (d *watchdog) arm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting, d.until = true, time.Now().Add(d.patience)
	if d.timer == nil {
		d.timer = time.AfterFunc(d.patience, d.expire)
		return
	}
	d.timer.Reset(d.patience)
}

// disarm is called when the wait has ended. It says whether the watchdog has bitten.
func (d *watchdog) disarm() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = false
	d.timer.Stop()
	return d.bitten
}

func (d *watchdog) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.waiting || d.bitten {
		return
	}
	if left := time.Until(d.until); left > 0 { // it was armed anew while the timer ran out
		d.timer.Reset(left)
		return
	}
	d.bitten = true
	d.bite()
}
