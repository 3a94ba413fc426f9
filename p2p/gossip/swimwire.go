package gossip

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// MessageKind says what a detector's message is. The numbers travel.
type MessageKind uint8

const (
	KindPing    MessageKind = 1
	KindAck     MessageKind = 2
	KindPingReq MessageKind = 3 // probe Target in my place
	KindNews    MessageKind = 4 // carries updates only; nobody answers it
)

// updatesMax bounds the updates on one message.
const updatesMax = 16

// Message is what detectors tell each other.
type Message struct {
	Kind      MessageKind
	From, To  p2p.NodeID // known to the transport; they do not travel
	Seq       uint64
	Inc       uint64     // of the sender
	Target    p2p.NodeID // of a KindPingReq; of a KindAck, who answered
	TargetInc uint64     // of a KindAck that was relayed
	Updates   []Update
}

// Update is an opinion that is passed on.
type Update struct {
	Peer   p2p.NodeID
	Status Status
	Inc    uint64
}

// Encode returns the bytes that travel.
func (m *Message) Encode() []byte {
	var r wire.Record
	r.Uint(1, uint64(m.Kind))
	r.Uint(2, m.Seq)
	r.Uint(3, m.Inc)
	r.String(4, string(m.Target))
	r.Uint(5, m.TargetInc)
	for _, u := range m.Updates {
		var ur wire.Record
		ur.String(1, string(u.Peer))
		ur.Uint(2, uint64(u.Status))
		ur.Uint(3, u.Inc)
		r.Repeat(6, ur)
	}
	return r
}

// DecodeMessage reads what Encode wrote.
func DecodeMessage(b []byte) (m Message, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			m.Kind = MessageKind(min(f.Uint(), 255))
		case 2:
			m.Seq = f.Uint()
		case 3:
			m.Inc = f.Uint()
		case 4:
			m.Target = p2p.NodeID(f.String(textMax))
		case 5:
			m.TargetInc = f.Uint()
		case 6:
			u, uerr := decodeUpdate(f.Bytes(RecordMax))
			if uerr != nil || len(m.Updates) >= updatesMax {
				f.Fail("updates: %v", uerr)
			}
			m.Updates = append(m.Updates, u)
		}
	}
	return m, f.Err()
}

func decodeUpdate(b []byte) (u Update, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			u.Peer = p2p.NodeID(f.String(textMax))
		case 2:
			u.Status = Status(min(f.Uint(), 255))
		case 3:
			u.Inc = f.Uint()
		}
	}
	if err := f.Err(); err != nil {
		return u, err
	}
	if u.Status < Alive || u.Status > Left {
		return u, fmt.Errorf("status %d", u.Status)
	}
	return u, nil
}

// sortedKeys makes the order in which a core acts independent of that of Go's maps.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
