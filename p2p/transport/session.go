package transport

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	protoRPC = protocol.ID("/shoal/rpc/1")

	// creditStart is how many calls may be outstanding on one stream before the server has said
	// otherwise. It is part of the protocol: both sides count from it.
	creditStart = 256
	creditMax   = 4096

	// rpcPendingMax is how many bytes of frames may wait to be written to one stream.
	rpcPendingMax = 1 << 20
)

// session is the caller's side of one RPC stream. A host opens one to each peer it calls; calls in
// the other direction have a stream of their own.
type session struct {
	l    *link
	conn network.Conn
	s    *stream
	w    frameWriter

	credit chan struct{} // holds one token per call that may still be sent
	closed chan struct{}

	mu      sync.Mutex
	pending map[uint64]*call
	nextID  uint64
	err     error // set before closed is closed
	isDead  atomic.Bool
	stop    func() bool // takes the session off the host's context
}

// call is one call under way.
type call struct {
	done chan result // receives at most one
}

type result struct {
	body    body
	kind    wire.Kind
	arg     uint32
	failure error
}

var callPool = sync.Pool{New: func() any { return &call{done: make(chan result, 1)} }}

// openSession opens the RPC stream on c and starts its reader.
func openSession(ctx context.Context, l *link, c network.Conn) (*session, error) {
	st, err := openStream(ctx, c, protoRPC)
	if err != nil {
		return nil, err
	}
	st.SetDeadline(time.Time{})
	s := &session{
		l: l, conn: c, s: st,
		credit:  make(chan struct{}, creditMax),
		closed:  make(chan struct{}),
		pending: make(map[uint64]*call),
	}
	s.w = frameWriter{w: st, limit: rpcPendingMax, start: l.h.tasks.start, onError: s.close}
	s.addCredit(creditStart)
	// The reader ends with the stream; the stream with the host.
	s.stop = context.AfterFunc(l.h.tasks.ctx, func() { s.close(p2p.ErrClosed) })
	if !l.h.tasks.start(s.read) {
		s.close(p2p.ErrClosed)
		return nil, p2p.ErrClosed
	}
	return s, nil
}

func (s *session) dead() bool { return s.isDead.Load() }

func (s *session) addCredit(n int) {
	for range n {
		select {
		case s.credit <- struct{}{}:
		default:
			return
		}
	}
}

// call sends one request and waits for its answer. sent is meaningful with an error only: whether
// the peer may have seen the request.
func (s *session) call(ctx context.Context, m p2p.Method, req *p2p.Message) (resp *p2p.Message, sent bool, err error) {
	select {
	case <-s.credit:
	default:
		select {
		case <-s.credit:
		case <-s.closed:
			return nil, false, s.err
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	c := callPool.Get().(*call)
	id, err := s.register(c)
	if err != nil {
		callPool.Put(c)
		return nil, false, err
	}
	f := wire.Frame{
		Kind: wire.KindRequest, Method: uint16(m), ID: id, Arg: timeoutArg(ctx),
		HeaderLen: uint32(len(req.Header)), PayloadLen: uint32(len(req.Payload)),
	}
	if full, err := s.w.write(ctx.Done(), true, &f, req.Header, req.Payload); full || err != nil {
		if s.forget(id) {
			s.addCredit(1)
		}
		if full {
			err = ctx.Err()
		}
		return nil, false, err
	}
	select {
	case r := <-c.done:
		callPool.Put(c)
		return r.message(req.Into)
	case <-ctx.Done():
		if s.forget(id) {
			// The answer, which still comes, returns the credit.
			cancel := wire.Frame{Kind: wire.KindCancel, ID: id}
			s.w.write(nil, false, &cancel, nil, nil)
			callPool.Put(c)
		}
		return nil, true, ctx.Err()
	}
}

// timeoutArg is the time left until ctx ends, in microseconds, rounded up; 0 means for ever.
func timeoutArg(ctx context.Context) uint32 {
	d, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	us := (time.Until(d) + time.Microsecond - 1) / time.Microsecond
	return uint32(min(max(us, 1), 1<<32-1))
}

func (s *session) register(c *call) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.nextID++
	s.pending[s.nextID] = c
	return s.nextID, nil
}

// forget takes a call off the list. It reports false if its answer is being delivered.
func (s *session) forget(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.pending[id]
	delete(s.pending, id)
	return ok
}

// read delivers answers until the stream ends.
func (s *session) read() {
	fr := newFrameReader(s.s)
	for {
		if err := s.readOne(fr); err != nil {
			s.close(err)
			return
		}
	}
}

func (s *session) readOne(fr *frameReader) error {
	var f wire.Frame
	if err := fr.next(&f); err != nil {
		return err
	}
	switch f.Kind {
	case wire.KindResponse, wire.KindError, wire.KindRefuse:
	case wire.KindCredit:
		s.addCredit(int(min(f.Arg, creditMax)))
		return nil
	case wire.KindPong:
		return nil
	default:
		return errors.New("unexpected " + f.Kind.String() + " frame")
	}
	s.mu.Lock()
	c := s.pending[f.ID]
	delete(s.pending, f.ID)
	s.mu.Unlock()
	if c == nil {
		s.addCredit(1)
		return fr.skip(&f)
	}
	d, err := fr.body(&f, nil)
	if err != nil {
		c.done <- result{failure: err}
		return err
	}
	s.addCredit(1)
	c.done <- result{body: d, kind: f.Kind, arg: f.Arg}
	return nil
}

// close ends the session: calls under way fail with an unknown outcome.
func (s *session) close(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	s.isDead.Store(true)
	pending := s.pending
	s.pending = make(map[uint64]*call)
	close(s.closed)
	s.mu.Unlock()
	s.stop()
	s.w.fail(err)
	s.s.Reset()
	for _, c := range pending {
		c.done <- result{failure: err}
	}
}

// message turns an answer into what the caller gets.
func (r *result) message(into []byte) (*p2p.Message, bool, error) {
	if r.failure != nil {
		return nil, true, r.failure
	}
	switch r.kind {
	case wire.KindError:
		err := &p2p.RemoteError{Code: r.arg, Text: string(r.body.header)}
		r.body.release()
		return nil, true, err
	case wire.KindRefuse:
		err := refusal(r.arg, string(r.body.header))
		r.body.release()
		return nil, false, err
	}
	if n := len(r.body.payload); n > 0 && n <= cap(into) {
		copy(into[:n], r.body.payload)
		if r.body.b != nil {
			r.body.b.put()
			r.body.b = nil
		}
		r.body.payload = into[:n]
	}
	return r.body.message(), true, nil
}
