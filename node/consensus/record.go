package consensus

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// recordFormat is the first byte of every record. docs/formats/raft-log.md describes the layouts; integers are little-endian.
const recordFormat = 1

const (
	entryHeaderLen = 1 + 1 + 8
	// entryOverhead is what an entry is reckoned to cost beyond its data, in budgets of bytes.
	entryOverhead = 48
	// membersMax bounds the lists of a configuration record, so that a damaged one cannot make us allocate.
	membersMax = 1024
	nodeIDMax  = 256
)

// putEntry writes the record of e into v, which has entryRecordLen(e) bytes.
func putEntry(v []byte, e *raftpb.Entry) {
	v[0], v[1] = recordFormat, byte(e.GetType())
	binary.LittleEndian.PutUint64(v[2:], e.GetTerm())
	copy(v[entryHeaderLen:], e.GetData())
}

func entryRecordLen(e *raftpb.Entry) int { return entryHeaderLen + len(e.GetData()) }

// entryBuf is an entry together with what its pointer fields point to: one allocation instead of four.
type entryBuf struct {
	e           raftpb.Entry
	term, index uint64
	typ         raftpb.EntryType
}

func (b *entryBuf) set(typ raftpb.EntryType, index, term uint64, data []byte) *raftpb.Entry {
	b.term, b.index, b.typ = term, index, typ
	b.e.Term, b.e.Index, b.e.Type, b.e.Data = &b.term, &b.index, &b.typ, data
	return &b.e
}

// decodeEntry parses an entry record and copies its data.
func decodeEntry(v []byte, index uint64) (*raftpb.Entry, error) {
	if len(v) < entryHeaderLen || v[0] != recordFormat || v[1] > byte(raftpb.EntryConfChangeV2) {
		return nil, fmt.Errorf("log entry %d: malformed record of %d bytes", index, len(v))
	}
	var data []byte
	if len(v) > entryHeaderLen {
		data = append(data, v[entryHeaderLen:]...)
	}
	return new(entryBuf).set(raftpb.EntryType(v[1]), index, binary.LittleEndian.Uint64(v[2:]), data), nil
}

// hardState is what Raft must not forget, and how far it knew the log to be committed.
type hardState struct {
	Term, Vote, Commit uint64
}

func (h hardState) encode() []byte { return putWords(h.Term, h.Vote, h.Commit) }

func decodeHardState(v []byte) (h hardState, err error) {
	err = getWords(v, "hard state", &h.Term, &h.Vote, &h.Commit)
	return h, err
}

// logPos is a place in a log.
type logPos struct {
	Index, Term uint64
}

func (p logPos) encode() []byte { return putWords(p.Index, p.Term) }

func decodePos(v []byte, what string) (p logPos, err error) {
	err = getWords(v, what, &p.Index, &p.Term)
	return p, err
}

func putWords(ws ...uint64) []byte {
	b := make([]byte, 1, 1+8*len(ws))
	b[0] = recordFormat
	for _, w := range ws {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func getWords(v []byte, what string, ws ...*uint64) error {
	if len(v) != 1+8*len(ws) || v[0] != recordFormat {
		return fmt.Errorf("%s: malformed record of %d bytes", what, len(v))
	}
	for i, w := range ws {
		*w = binary.LittleEndian.Uint64(v[1+8*i:])
	}
	return nil
}

// replicaRecord says which replica of a group lives here. A tombstone outlives the replica: no ID below Next may be created again.
type replicaRecord struct {
	Present bool
	ID      ReplicaID
	Next    ReplicaID
}

func (r replicaRecord) encode() []byte {
	state := uint64(2)
	if r.Present {
		state = 1
	}
	return putWords(state, uint64(r.ID), uint64(r.Next))
}

func decodeReplica(v []byte) (r replicaRecord, err error) {
	var state uint64
	if err = getWords(v, "replica", &state, (*uint64)(&r.ID), (*uint64)(&r.Next)); err != nil {
		return r, err
	}
	if state != 1 && state != 2 {
		return r, fmt.Errorf("replica: unknown state %d", state)
	}
	r.Present = state == 1
	return r, nil
}

// configuration is the membership of a group as of one index: Raft's sets of replicas, and the node of each.
type configuration struct {
	Voters, Learners, Outgoing, LearnersNext []ReplicaID
	AutoLeave                                bool
	// Members are sorted by replica.
	Members []Member
	// MaxReplica is the highest replica ID the group ever had: an ID at or below it that is not a member was removed.
	MaxReplica ReplicaID
	// Recovered says when the membership was last rewritten by hand, nil for never.
	Recovered *Recovery
}

// Flags of a configuration record.
const (
	confAutoLeave = 1 << 0
	confRecovered = 1 << 1
)

func (c *configuration) encode() []byte {
	b := []byte{recordFormat, 0}
	if c.AutoLeave {
		b[1] |= confAutoLeave
	}
	if c.Recovered != nil {
		b[1] |= confRecovered
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(c.MaxReplica))
	for _, set := range [][]ReplicaID{c.Voters, c.Learners, c.Outgoing, c.LearnersNext} {
		b = binary.AppendUvarint(b, uint64(len(set)))
		for _, id := range set {
			b = binary.LittleEndian.AppendUint64(b, uint64(id))
		}
	}
	b = appendMembers(b, c.Members)
	if c.Recovered != nil {
		b = c.Recovered.append(b)
	}
	return b
}

func appendMembers(b []byte, ms []Member) []byte {
	b = binary.AppendUvarint(b, uint64(len(ms)))
	for _, m := range ms {
		b = binary.LittleEndian.AppendUint64(b, uint64(m.Replica))
		b = binary.AppendUvarint(b, uint64(len(m.Node)))
		b = append(b, m.Node...)
	}
	return b
}

func decodeConfiguration(v []byte) (*configuration, error) {
	r := reader{b: v, what: "configuration"}
	c := &configuration{}
	if r.u8() != recordFormat {
		r.fail("unknown format")
	}
	flags := r.u8()
	if flags&^(confAutoLeave|confRecovered) != 0 {
		r.fail("unknown flags")
	}
	c.AutoLeave = flags&confAutoLeave != 0
	c.MaxReplica = ReplicaID(r.u64())
	for _, set := range []*[]ReplicaID{&c.Voters, &c.Learners, &c.Outgoing, &c.LearnersNext} {
		n := r.count(membersMax)
		for range n {
			*set = append(*set, ReplicaID(r.u64()))
		}
	}
	c.Members = r.members()
	if flags&confRecovered != 0 {
		c.Recovered = r.recovery()
	}
	return c, r.done()
}

func (r *reader) members() (ms []Member) {
	n := r.count(membersMax)
	for range n {
		m := Member{Replica: ReplicaID(r.u64())}
		m.Node = NodeID(r.bytes(nodeIDMax))
		ms = append(ms, m)
	}
	return ms
}

func (c *configuration) confState() *raftpb.ConfState {
	cs := &raftpb.ConfState{Voters: words(c.Voters), Learners: words(c.Learners), VotersOutgoing: words(c.Outgoing), LearnersNext: words(c.LearnersNext)}
	if c.AutoLeave {
		cs.AutoLeave = new(true)
	}
	return cs
}

// withConfState returns c with Raft's sets replaced by those of cs.
func (c *configuration) withConfState(cs *raftpb.ConfState) *configuration {
	n := *c
	n.Voters, n.Learners = replicas(cs.Voters), replicas(cs.Learners)
	n.Outgoing, n.LearnersNext = replicas(cs.VotersOutgoing), replicas(cs.LearnersNext)
	n.AutoLeave = cs.GetAutoLeave()
	return &n
}

// contains says whether a replica has any part in the configuration.
func (c *configuration) contains(id ReplicaID) bool {
	return slices.Contains(c.Voters, id) || slices.Contains(c.Learners, id) || slices.Contains(c.Outgoing, id) ||
		slices.Contains(c.LearnersNext, id)
}

// votes says that a replica's vote counts in a configuration.
func (c *configuration) votes(id ReplicaID) bool {
	return slices.Contains(c.Voters, id) || slices.Contains(c.Outgoing, id)
}

func (c *configuration) joint() bool { return len(c.Outgoing) > 0 }

// alone says that id is the only voter and that nobody else needs the log.
func (c *configuration) alone(id ReplicaID) bool {
	return len(c.Voters) == 1 && c.Voters[0] == id && len(c.Outgoing) == 0 && len(c.Learners) == 0
}

func (c *configuration) node(id ReplicaID) (NodeID, bool) {
	for _, m := range c.Members {
		if m.Replica == id {
			return m.Node, true
		}
	}
	return "", false
}

// with returns the members with ms added or replaced.
func (c *configuration) with(ms []Member) []Member {
	out := slices.Clone(c.Members)
	for _, m := range ms {
		out = slices.DeleteFunc(out, func(o Member) bool { return o.Replica == m.Replica })
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Replica, b.Replica) })
	return out
}

func words(ids []ReplicaID) (ws []uint64) {
	for _, id := range ids {
		ws = append(ws, uint64(id))
	}
	return ws
}

func replicas(ws []uint64) (ids []ReplicaID) {
	for _, w := range ws {
		ids = append(ids, ReplicaID(w))
	}
	return ids
}
