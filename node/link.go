package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"

	"shoal/node/consensus"
	"shoal/p2p"
)

// Methods of Raft: 48 to 63 are its own.
const (
	methodRaftControl  p2p.Method = 48
	methodRaftBulk     p2p.Method = 49 | p2p.MethodBulk
	methodRaftSnapshot p2p.Method = 50 | p2p.MethodBulk
)

// snapshotHeaderMax bounds the header of a snapshot, in bytes.
const snapshotHeaderMax = 1 << 20

// link carries the frames of Raft over the transport.
type link struct {
	t p2p.Transport
}

// Send implements consensus.Link.
func (l *link) Send(to consensus.NodeID, class consensus.Class, frame []byte) error {
	m := methodRaftControl
	if class == consensus.Bulk {
		m = methodRaftBulk
	}
	return l.t.Notify(p2p.NodeID(to), m, frame)
}

// SendSnapshot implements consensus.Link: a length and the header, the stream, and then one byte
// from the other side that says it is taken.
func (l *link) SendSnapshot(ctx context.Context, to consensus.NodeID, header []byte, stream func(io.Writer) error) error {
	s, err := l.t.OpenStream(ctx, p2p.NodeID(to), methodRaftSnapshot)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(header))), header...)); err != nil {
		return err
	}
	if err := stream(s); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	var ack [1]byte
	if _, err := io.ReadFull(s, ack[:]); err != nil {
		return fmt.Errorf("the snapshot was not taken: %w", err)
	}
	return nil
}

// serveLink hands what comes from peers to the groups.
func serveLink(t p2p.Transport, host func() *consensus.Host, log *slog.Logger) {
	frame := func(_ context.Context, from p2p.Peer, m *p2p.Message) (*p2p.Message, error) {
		return nil, host().Receive(consensus.NodeID(from.ID), bytes.Clone(m.Payload)) // the payload is the transport's
	}
	t.Handle(methodRaftControl, p2p.RoleNode, frame)
	t.Handle(methodRaftBulk, p2p.RoleNode, frame)
	t.HandleStream(methodRaftSnapshot, p2p.RoleNode, func(ctx context.Context, from p2p.Peer, s p2p.Stream) {
		if err := receiveSnapshot(ctx, host(), from, s); err != nil {
			log.Warn("receive a snapshot", "node_id", from.ID, "err", err)
		}
	})
	t.OnPeer(func(id p2p.NodeID, up bool) {
		if up {
			host().PeerUp(consensus.NodeID(id))
			return
		}
		host().PeerDown(consensus.NodeID(id))
	})
}

func receiveSnapshot(ctx context.Context, host *consensus.Host, from p2p.Peer, s p2p.Stream) error {
	var size [4]byte
	if _, err := io.ReadFull(s, size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > snapshotHeaderMax {
		return fmt.Errorf("a header of %d bytes", n)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(s, header); err != nil {
		return err
	}
	if err := host.ReceiveSnapshot(ctx, consensus.NodeID(from.ID), header, s); err != nil {
		return err
	}
	_, err := s.Write([]byte{1})
	return err
}
