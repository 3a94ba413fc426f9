package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	// bulkRate is the slowest transfer that is waited for, in bytes per second, on top of
	// bulkPatience.
	bulkRate     = 1 << 20
	bulkPatience = 30 * time.Second
	// drainMax is how long the answer to a call that was given up may take before its connection
	// is closed instead of kept.
	drainMax = 2 * time.Second
)

var longAgo = time.Unix(1, 0)

// bulkConn is one connection of the bulk plane, over what its pipe is. It carries one request at a time, so nothing ever
// waits behind a transfer but its own answer. The caller's goroutine does the writing and the
// reading; nobody else touches the connection while a call is under way.
type bulkConn struct {
	bulkPipe
	id     uint64 // of the last request
	idleAt time.Time
	head   [wire.HeaderSize]byte
	got    int // bytes of head that were read

	once sync.Once
}

// bulkPipe is what carries a bulk connection: TCP with a TLS of its own or, to a peer whose bulk port
// cannot be dialled, a stream of the control connection.
type bulkPipe interface {
	io.ReadWriter
	writeTwo(a, b []byte) error // writes a and then b as one
	expect(n int)               // says that the peer sends n bytes now
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	broken() bool // of a pipe on which nothing is under way: whether it is of no further use
	cut() error   // ends both directions at once
}

// tcpPipe is a TLS connection of its own.
type tcpPipe struct {
	*secureConn
	raw net.Conn // below TLS
}

// Close cuts the connection at once, whatever is under way. The other end can tell that from an
// orderly end, because there is no TLS alert.
func (c *bulkConn) Close() error {
	var err error
	c.once.Do(func() { err = c.cut() })
	return err
}

func (p tcpPipe) cut() error { return p.raw.Close() }

func (p tcpPipe) expect(n int) { p.sock.expect(n) }

// broken tells whether the other end has closed an idle connection, by looking at the socket
// without waiting: nothing is to be read from a healthy one.
func (p tcpPipe) broken() bool {
	if p.sock.buffered() {
		return true
	}
	sc, ok := p.raw.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	broken := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, rerr := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		broken = rerr != syscall.EAGAIN
		return true
	})
	return err != nil || broken
}

// alive makes a bulkConn usable as a sink of notifications.
func (c *bulkConn) alive() bool { return !c.broken() }

// Write bounds the time that a notification may take.
func (c *bulkConn) Write(b []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(transferTime(len(b))))
	return c.bulkPipe.Write(b)
}

// transferTime is how long n bytes may take.
func transferTime(n int) time.Duration {
	return bulkPatience + time.Duration(n)*time.Second/bulkRate
}

// writeFrame writes a frame with its body.
func (c *bulkConn) writeFrame(f *wire.Frame, header, payload []byte) error {
	b := getBuffer(wire.HeaderSize + len(header))
	defer b.put()
	copy(f.Append(b.b[:0])[wire.HeaderSize:cap(b.b)], header)
	return c.writeTwo(b.b, payload)
}

// readBody reads what follows the fixed header f. into is used for the payload if it fits.
func (c *bulkConn) readBody(f *wire.Frame, into []byte) (body, error) {
	c.expect(f.BodySize())
	return readBody(c.bulkPipe, f, into)
}

// readFrame reads a fixed header. After an error that was a deadline, it can be called again.
func (c *bulkConn) readFrame(f *wire.Frame) error {
	for c.got < len(c.head) {
		n, err := c.Read(c.head[c.got:])
		c.got += n
		if err != nil && c.got < len(c.head) {
			if err == io.EOF && c.got > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	c.got = 0
	return f.Decode(c.head[:])
}

// interrupt makes reads and writes on c fail when ctx ends. The function returned undoes that; it
// reports whether ctx has ended meanwhile.
func (c *bulkConn) interrupt(ctx context.Context) (undo func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.SetDeadline(longAgo)
		close(fired)
	})
	return func() bool {
		if stop() {
			return false
		}
		<-fired
		c.SetDeadline(time.Time{})
		return true
	}
}

// roundTrip sends one request and reads its answer. keep says whether the connection can be used
// again; drain, that it can once the answer to this request has been read and dropped.
func (c *bulkConn) roundTrip(ctx context.Context, m p2p.Method, req *p2p.Message) (resp *p2p.Message, sent, keep, drain bool, err error) {
	c.id++
	f := wire.Frame{
		Kind: wire.KindRequest, Method: uint16(m), ID: c.id, Arg: timeoutArg(ctx),
		HeaderLen: uint32(len(req.Header)), PayloadLen: uint32(len(req.Payload)),
	}
	undo := c.interrupt(ctx)
	c.SetWriteDeadline(time.Now().Add(transferTime(req.Size())))
	if ctx.Err() != nil {
		undo()
		return nil, false, true, false, ctx.Err()
	}
	if err := c.writeFrame(&f, req.Header, req.Payload); err != nil {
		// The peer has not got the whole frame, so no handler will run.
		if undo() {
			err = ctx.Err()
		}
		return nil, false, false, false, err
	}
	r, err := c.readAnswer(req.Into)
	ended := undo()
	switch {
	case err == nil:
		resp, sent, err = r.message(nil)
		return resp, sent, true, false, err
	case ended:
		return nil, true, false, c.got == 0, ctx.Err()
	}
	return nil, true, false, false, err
}

// readAnswer reads the answer to the last request. c.got is 0 after an error that came before its
// first byte.
func (c *bulkConn) readAnswer(into []byte) (result, error) {
	var f wire.Frame
	if err := c.readFrame(&f); err != nil {
		return result{}, err
	}
	if f.ID != c.id || f.Kind != wire.KindResponse && f.Kind != wire.KindError && f.Kind != wire.KindRefuse {
		c.got = 1
		return result{}, fmt.Errorf("%w: %v for request %d instead of %d", wire.ErrFrame, f.Kind, f.ID, c.id)
	}
	d, err := c.readBody(&f, into)
	if err != nil {
		c.got = 1 // the stream is inside a frame
		return result{}, err
	}
	return result{body: d, kind: f.Kind, arg: f.Arg}, nil
}

// drain tells the peer that the last request was given up, and reads its answer. An error means
// that the connection is of no further use.
func (c *bulkConn) drain() error {
	c.SetDeadline(time.Now().Add(drainMax))
	cancel := wire.Frame{Kind: wire.KindCancel, ID: c.id}
	if err := c.writeFrame(&cancel, nil, nil); err != nil {
		return err
	}
	var f wire.Frame
	if err := c.readFrame(&f); err != nil {
		return err
	}
	if f.ID != c.id {
		return errors.New("answer to another request")
	}
	if _, err := io.CopyN(io.Discard, c.bulkPipe, int64(f.BodySize())); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}
