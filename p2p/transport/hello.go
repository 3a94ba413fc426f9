package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/wire"
)

const (
	protoHello = protocol.ID("/shoal/hello/1")

	helloTimeout = 10 * time.Second
	helloAddrMax = 8
	// helloMax bounds one message of the exchange, in bytes; all revocations must fit.
	helloMax = member.RevocationsMax * 512
)

// hello is what two peers tell each other first on every connection, before anything else is
// served: whoever dialled speaks first, both then send the revocations that the other may lack,
// and the dialler counts as connected only when the last answer has come. (The end of the TLS
// handshake proves nothing to a dialler: a server that refuses it says so later.)
type hello struct {
	Epochs      p2p.Epochs
	Digest      [32]byte // of the revocations held
	BulkPort    uint32
	Addrs       []string
	Release     string
	Revocations [][]byte
}

func (m *hello) encode() []byte {
	var r wire.Record
	r.Uint(1, m.Epochs.Members)
	r.Uint(2, m.Epochs.Layout)
	r.Uint(3, m.Epochs.IAM)
	r.Bytes(4, m.Digest[:])
	r.Uint(5, uint64(m.BulkPort))
	for _, a := range m.Addrs {
		r.Repeat(6, []byte(a))
	}
	r.String(7, m.Release)
	for _, v := range m.Revocations {
		r.Repeat(8, v)
	}
	return r
}

func decodeHello(b []byte) (m hello, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			m.Epochs.Members = f.Uint()
		case 2:
			m.Epochs.Layout = f.Uint()
		case 3:
			m.Epochs.IAM = f.Uint()
		case 4:
			f.Exact(m.Digest[:])
		case 5:
			if m.BulkPort = f.Uint32(); m.BulkPort > 65535 {
				f.Fail("port %d", m.BulkPort)
			}
		case 6:
			m.Addrs = append(m.Addrs, f.String(256))
			if len(m.Addrs) > helloAddrMax {
				f.Fail("too many addresses")
			}
		case 7:
			m.Release = f.String(64)
		case 8:
			m.Revocations = append(m.Revocations, f.Bytes(member.RecordMax))
			if len(m.Revocations) > member.RevocationsMax {
				f.Fail("too many revocations")
			}
		}
	}
	return m, f.Err()
}

func writeHello(w io.Writer, m *hello) error {
	b := m.encode()
	if len(b) > helloMax {
		return fmt.Errorf("hello of %d bytes", len(b))
	}
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

func readHello(r io.Reader) (hello, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return hello{}, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > helloMax {
		return hello{}, fmt.Errorf("hello of %d bytes", n)
	}
	// Grow with what really arrives, not with what was announced.
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return hello{}, err
	}
	if len(b) != int(n) {
		return hello{}, io.ErrUnexpectedEOF
	}
	return decodeHello(b)
}

// ownHello is what this host says.
func (h *Host) ownHello() hello {
	m := hello{Digest: h.trust.Digest(), BulkPort: uint32(h.bulkPort), Release: h.cfg.Release}
	if h.cfg.Epochs != nil {
		m.Epochs = h.cfg.Epochs()
	}
	m.Addrs = h.Addrs()
	if len(m.Addrs) > helloAddrMax {
		m.Addrs = m.Addrs[:helloAddrMax]
	}
	return m
}

// helloOutbound runs the exchange on a connection that we dialled.
func (l *link) helloOutbound(c network.Conn, cs *connState) {
	hi, err := l.greet(c)
	if err != nil {
		l.h.log.Debug("hello failed", "node_id", l.id, "addr", c.RemoteMultiaddr(), "err", err)
		cs.finish()
		c.Close()
		return
	}
	l.greeted(c, cs, hi)
	l.told(hi)
}

func (l *link) greet(c network.Conn) (hello, error) {
	ctx, cancel := context.WithTimeout(l.h.tasks.ctx, helloTimeout)
	defer cancel()
	s, err := openStream(ctx, c, protoHello)
	if err != nil {
		return hello{}, err
	}
	defer s.Close()
	mine := l.h.ownHello()
	if err := writeHello(s, &mine); err != nil {
		return hello{}, err
	}
	theirs, err := readHello(s)
	if err != nil {
		return hello{}, err
	}
	last := hello{}
	if theirs.Digest != mine.Digest {
		last.Revocations = l.h.trust.Revocations()
	}
	if err := l.absorb(theirs.Revocations); err != nil {
		return hello{}, err
	}
	if err := writeHello(s, &last); err != nil {
		return hello{}, err
	}
	if _, err := readHello(s); err != nil {
		return hello{}, err
	}
	theirs.Revocations = nil
	return theirs, nil
}

// serveHello answers the exchange on a connection that the peer dialled.
func (h *Host) serveHello(s network.Stream) {
	defer s.Close()
	l := h.linkOf(s.Conn().RemotePeer())
	cs := l.state(s.Conn())
	// Through a punched hole both ends have dialled: both say hello and both answer.
	outOfTurn := !cs.inward && h.nat.punch == nil
	if outOfTurn || cs.asked.Swap(true) {
		h.metrics.fault(carrierHello, faultHello)
		s.Reset()
		s.Conn().Close()
		return
	}
	s.SetDeadline(time.Now().Add(helloTimeout))
	hi, err := l.answerHello(s)
	if err == nil {
		l.greeted(s.Conn(), cs, hi)
		err = writeHello(s, &hello{})
	}
	if err != nil {
		if !errors.Is(err, errNotMember) {
			h.metrics.fault(carrierHello, faultHello)
		}
		h.log.Debug("hello refused", "node_id", l.id, "err", err)
		cs.finish()
		s.Reset()
		s.Conn().Close()
		return
	}
	l.told(hi)
}

func (l *link) answerHello(s network.Stream) (hello, error) {
	theirs, err := readHello(s)
	if err != nil {
		return hello{}, err
	}
	mine := l.h.ownHello()
	if theirs.Digest != mine.Digest {
		mine.Revocations = l.h.trust.Revocations()
	}
	if err := writeHello(s, &mine); err != nil {
		return hello{}, err
	}
	last, err := readHello(s)
	if err != nil {
		return hello{}, err
	}
	theirs.Revocations = nil
	return theirs, l.absorb(last.Revocations)
}

// absorb takes in the peer's revocations. One that does not verify is the peer's fault; that the
// peer itself is among them ends the connection.
func (l *link) absorb(revs [][]byte) error {
	for _, raw := range revs {
		if _, err := l.h.trust.Revoke(raw); err != nil {
			l.h.metrics.fault(carrierHello, faultRevocation)
			return fmt.Errorf("revocation: %w", err)
		}
	}
	if _, ok := l.h.door.inside(l.id); !ok {
		return errNotMember
	}
	return nil
}

// told passes on what the peer said.
func (l *link) told(hi hello) {
	l.reverse(hi)
	if l.h.cfg.OnHello == nil {
		return
	}
	if p, ok := l.h.door.inside(l.id); ok {
		l.h.cfg.OnHello(p, hi.Epochs, hi.Addrs)
	}
}

// openStream opens a stream for one protocol on c. The negotiation goes out with the first bytes
// written, so it costs no round trip.
func openStream(ctx context.Context, c network.Conn, proto protocol.ID) (*stream, error) {
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "shoal"))
	if err != nil {
		return nil, err
	}
	if err := s.SetProtocol(proto); err != nil {
		s.Reset()
		return nil, err
	}
	if d, ok := ctx.Deadline(); ok {
		s.SetDeadline(d)
	}
	return &stream{Stream: s, neg: msmux.NewMSSelect(s, proto)}, nil
}

// stream is a libp2p stream whose protocol is negotiated on the way.
type stream struct {
	network.Stream
	neg msmux.LazyConn
}

func (s *stream) Read(b []byte) (int, error)  { return s.neg.Read(b) }
func (s *stream) Write(b []byte) (int, error) { return s.neg.Write(b) }
func (s *stream) Close() error                { return s.neg.Close() }
