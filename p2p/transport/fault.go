package transport

import (
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// fault is what a member did that it must not.
type fault uint8

const (
	faultFrame      fault = iota // sent what is no frame, or none that belongs there
	faultTruncated               // ended in the middle of one
	faultSlow                    // did not send the rest of one
	faultCredit                  // sent more requests than it may
	faultStreams                 // opened more streams than it may
	faultRole                    // asked for what its roles do not allow
	faultMethod                  // asked for what nobody serves
	faultHello                   // said hello wrongly, or twice
	faultRevocation              // passed on a revocation that does not verify
)

// faults are the values of the label of that name.
var faults = [...]string{"frame", "truncated", "slow", "credit", "streams", "role", "method", "hello", "revocation"}

// carrier is what a fault was seen on.
type carrier uint8

const (
	carrierHello carrier = iota
	carrierRPC
	carrierNotify
	carrierBulk
)

// carriers are the values of the label of that name.
var carriers = [...]string{"hello", "rpc", "notify", "bulk"}

// errCredit is what a peer gets cut off for that sends more than it may.
var errCredit = errors.New("request is repeated or beyond its credit")

func unexpectedFrame(f *wire.Frame) error {
	return fmt.Errorf("%w: unexpected %v", wire.ErrFrame, f.Kind)
}

// streamsMax is how many streams of one kind a peer may have open to us. It needs one; a few more
// are those of connections that are gone already, as far as it knows.
const streamsMax = 16

// openedStream counts a stream that the peer opened, or resets it.
func (l *link) openedStream(c carrier, s network.Stream) bool {
	if l.streams[c].Add(1) > streamsMax {
		l.streams[c].Add(-1)
		l.h.metrics.fault(c, faultStreams)
		s.Reset()
		return false
	}
	return true
}

// streamEnded counts what a stream of a member ended with, if that is the member's fault, and
// reports whether its connection is to be closed too: it speaks another language than we do.
func (h *Host) streamEnded(c carrier, from p2p.Peer, err error) (cut bool) {
	var f fault
	switch {
	case err == nil, err == io.EOF, h.tasks.ctx.Err() != nil:
		return false
	case errors.Is(err, wire.ErrFrame):
		f, cut = faultFrame, true
	case errors.Is(err, errCredit):
		f, cut = faultCredit, true
	case errors.Is(err, io.ErrUnexpectedEOF):
		f = faultTruncated
	case reasonOf(err) == reasonSlow:
		f = faultSlow
	default:
		h.log.Debug("stream ended", "carrier", carriers[c], "node_id", from.ID, "err", err)
		return false
	}
	h.metrics.fault(c, f)
	h.log.Warn("peer broke the protocol", "carrier", carriers[c], "fault", faults[f], "node_id", from.ID, "err", err)
	return cut
}

// refusedMethod counts a request that the caller may not make.
func (h *Host) refusedMethod(c carrier, from p2p.Peer, m p2p.Method, why wire.Refusal) {
	switch why {
	case wire.RefuseRole:
		h.metrics.fault(c, faultRole)
		h.log.Warn("peer asked for what its roles do not allow", "node_id", from.ID, "roles", from.Roles.String(), "method", m.String())
	case wire.RefuseMethod:
		h.metrics.fault(c, faultMethod)
	}
}
