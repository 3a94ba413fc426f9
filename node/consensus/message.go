package consensus

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// The travelling form of Raft's messages: only the types that replicas send each other, only the fields that those
// use, entries with the index implied. docs/formats/raft-frame.md describes it.

const (
	messageReject  = 1 << 0
	messageContext = 1 << 1

	contextMax = 64
	// readContextLen is the length of the context that Raft's heartbeats carry to confirm reads.
	readContextLen = 8
	entriesMax     = 1 << 16
)

// travels tells which message types may come from another node.
func travels(t raftpb.MessageType) bool {
	switch t {
	case raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp,
		raftpb.MsgTimeoutNow, raftpb.MsgReadIndex, raftpb.MsgReadIndexResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp:
		return true
	}
	return false
}

// appendMessage appends m without its sender and receiver, which the frame carries.
func appendMessage(b []byte, m *raftpb.Message) []byte {
	flags := byte(0)
	if m.GetReject() {
		flags |= messageReject
	}
	ctx := m.GetContext()
	if len(ctx) > 0 {
		flags |= messageContext
	}
	b = append(b, byte(m.GetType()), flags)
	b = binary.AppendUvarint(b, m.GetTerm())
	b = binary.AppendUvarint(b, m.GetLogTerm())
	b = binary.AppendUvarint(b, m.GetIndex())
	b = binary.AppendUvarint(b, m.GetCommit())
	b = binary.AppendUvarint(b, m.GetRejectHint())
	if len(ctx) > 0 {
		b = appendBytes(b, ctx)
	}
	es := m.GetEntries()
	b = binary.AppendUvarint(b, uint64(len(es)))
	for _, e := range es {
		b = append(b, byte(e.GetType()))
		b = binary.AppendUvarint(b, e.GetTerm())
		b = appendBytes(b, e.GetData())
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// messageBuf is a message together with what its pointer fields point to: one allocation instead of nine.
type messageBuf struct {
	m                                                  raftpb.Message
	typ                                                raftpb.MessageType
	to, from, term, logTerm, index, commit, rejectHint uint64
	reject                                             bool
}

// decodeMessage parses a message that travelled from one replica to another. It copies what it keeps of b.
func decodeMessage(b []byte, to, from ReplicaID) (*raftpb.Message, error) {
	r := reader{b: b, what: "raft message"}
	m := &messageBuf{to: uint64(to), from: uint64(from)}
	m.typ = raftpb.MessageType(r.u8())
	if !travels(m.typ) {
		r.fail("type may not travel")
	}
	flags := r.u8()
	if flags&^(messageReject|messageContext) != 0 {
		r.fail("unknown flags")
	}
	m.reject = flags&messageReject != 0
	m.term, m.logTerm, m.index = r.uvarint(), r.uvarint(), r.uvarint()
	m.commit, m.rejectHint = r.uvarint(), r.uvarint()
	m.m.Type, m.m.To, m.m.From, m.m.Term = &m.typ, &m.to, &m.from, &m.term
	m.m.LogTerm, m.m.Index, m.m.Commit, m.m.RejectHint = &m.logTerm, &m.index, &m.commit, &m.rejectHint
	m.m.Reject = &m.reject
	if flags&messageContext != 0 {
		m.m.Context = append([]byte(nil), r.bytes(contextMax)...)
		if len(m.m.Context) == 0 {
			r.fail("empty context")
		}
	}
	m.m.Entries = r.entries(m)
	if err := r.done(); err != nil {
		return nil, err
	}
	return &m.m, m.check()
}

// entries reads the entries of m into one allocation for the entries and one for their data.
func (r *reader) entries(m *messageBuf) []*raftpb.Entry {
	n := r.count(entriesMax)
	if n == 0 {
		return nil
	}
	rest := append([]byte(nil), r.b...)
	r.b = rest
	bufs := make([]entryBuf, n)
	es := make([]*raftpb.Entry, n)
	for i := range bufs {
		typ := raftpb.EntryType(r.u8())
		if typ > raftpb.EntryConfChangeV2 {
			r.fail("unknown entry type")
		}
		index := uint64(0)
		if m.typ == raftpb.MsgApp {
			index = m.index + 1 + uint64(i)
		}
		term := r.uvarint()
		data := r.bytes(len(r.b))
		if len(data) == 0 {
			data = nil
		}
		es[i] = bufs[i].set(typ, index, term, data)
	}
	return es
}

// check refuses what would make the Raft core panic, or what no honest replica sends.
func (m *messageBuf) check() error {
	es := m.m.Entries
	switch m.typ {
	case raftpb.MsgApp:
		last := m.logTerm
		for _, e := range es {
			if e.GetTerm() < last || e.GetTerm() > m.term {
				return fmt.Errorf("raft message: entry %d has term %d after %d in term %d", e.GetIndex(), e.GetTerm(), last, m.term)
			}
			last = e.GetTerm()
		}
		if m.index+uint64(len(es)) < m.index {
			return fmt.Errorf("raft message: index overflows")
		}
	case raftpb.MsgReadIndex, raftpb.MsgReadIndexResp:
		if len(es) != 1 || len(es[0].GetData()) > contextMax || es[0].GetTerm() != 0 || es[0].GetType() != raftpb.EntryNormal {
			return fmt.Errorf("raft message: malformed read request")
		}
	default:
		if len(es) != 0 {
			return fmt.Errorf("raft message: type %v with entries", m.typ)
		}
	}
	if n := len(m.m.Context); (m.typ == raftpb.MsgHeartbeat || m.typ == raftpb.MsgHeartbeatResp) && n != 0 && n != readContextLen {
		return fmt.Errorf("raft message: context of %d bytes", n)
	}
	// Only a read request travels without a term: a term of zero marks local messages to the core.
	if isRead := m.typ == raftpb.MsgReadIndex; isRead != (m.term == 0) {
		return fmt.Errorf("raft message: type %v in term %d", m.typ, m.term)
	}
	return nil
}
