package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"shoal/p2p/member"
	"shoal/p2p/wire"
)

const (
	joinFormat = 1
	// joinMax bounds each of the two messages of a join, in bytes.
	joinMax     = 16 << 10
	joinTextMax = 256
	joinPeerMax = 16
)

// joinAsk is what a newcomer sends.
type joinAsk struct {
	Cluster member.ClusterID // zero: whichever the peer asked belongs to
	Token   member.TokenID
	Proof   []byte // empty: the newcomer counts on having been allowed by its ID
	Release string
}

func (m *joinAsk) encode() []byte {
	var r wire.Record
	r.Uint(1, joinFormat)
	r.Bytes(2, m.Cluster[:])
	r.Bytes(3, m.Token[:])
	r.Bytes(4, m.Proof)
	r.String(5, m.Release)
	return r
}

func decodeJoinAsk(b []byte) (m joinAsk, err error) {
	f := wire.NewFields(b)
	format := uint64(0)
	for f.Next() {
		switch f.Num() {
		case 1:
			format = f.Uint()
		case 2:
			f.Exact(m.Cluster[:])
		case 3:
			f.Exact(m.Token[:])
		case 4:
			m.Proof = f.Bytes(64)
		case 5:
			m.Release = f.String(64)
		}
	}
	if err := f.Err(); err != nil {
		return m, err
	}
	if format != joinFormat {
		return m, fmt.Errorf("join of format %d, this release speaks %d", format, joinFormat)
	}
	return m, nil
}

// joinAnswer is what a member answers: a refusal, or all that a newcomer needs.
type joinAnswer struct {
	Refusal    string // not empty: no
	RootKey    []byte
	Credential []byte
	Peers      []joinPeer
}

// joinPeer is a member that the newcomer can dial.
type joinPeer struct {
	ID    string
	Addrs []string
}

func (m *joinAnswer) encode() []byte {
	var r wire.Record
	r.Uint(1, joinFormat)
	r.String(2, m.Refusal)
	r.Bytes(3, m.RootKey)
	r.Bytes(4, m.Credential)
	for _, p := range m.Peers {
		var pr wire.Record
		pr.String(1, p.ID)
		for _, a := range p.Addrs {
			pr.Repeat(2, []byte(a))
		}
		r.Repeat(5, pr)
	}
	return r
}

func decodeJoinAnswer(b []byte) (m joinAnswer, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 2:
			m.Refusal = f.String(joinTextMax)
		case 3:
			m.RootKey = f.Bytes(32)
		case 4:
			m.Credential = f.Bytes(member.RecordMax)
		case 5:
			p, perr := decodeJoinPeer(f.Bytes(joinMax))
			if perr != nil || len(m.Peers) >= joinPeerMax {
				f.Fail("peers: %v", perr)
			}
			m.Peers = append(m.Peers, p)
		}
	}
	return m, f.Err()
}

func decodeJoinPeer(b []byte) (p joinPeer, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			p.ID = f.String(128)
		case 2:
			p.Addrs = append(p.Addrs, f.String(256))
			if len(p.Addrs) > helloAddrMax {
				f.Fail("too many addresses")
			}
		}
	}
	return p, f.Err()
}

func writeJoin(w io.Writer, b []byte) error {
	if len(b) > joinMax {
		return errors.New("join message too large")
	}
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readJoin(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > joinMax {
		return nil, fmt.Errorf("join message of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
