package consensus

import "encoding/binary"

// The key space of the node's database. Group IDs are big-endian, so that a group is one contiguous span which a snapshot can replace.
//
//	n/store          store ID
//	n/seq            number of the last batch of log writes
//	n/p/<node>       what a peer said of its own durable batches
//	l<group>e<index> log entry
//	l<group>h        hard state: term, vote, commit
//	l<group>r        replica: ID, present or tombstone
//	l<group>t        index and term up to which the log was truncated
//	s<group>00a      applied index and term
//	s<group>00c      configuration and members
//	s<group>01…      the state machine's own keys
var (
	keyStore = []byte("n/store")
	keySeq   = []byte("n/seq")
	keyPeer  = []byte("n/p/")
)

const (
	spaceLog   = 'l'
	spaceState = 's'

	logEntry     = 'e'
	logHardState = 'h'
	logReplica   = 'r'
	logTruncated = 't'

	stateOwn     = 0x00
	stateMachine = 0x01
	stateApplied = 'a'
	stateConf    = 'c'

	groupKeyLen = 1 + 4
	entryKeyLen = groupKeyLen + 1 + 8
)

// StatePrefix returns the prefix under which all keys of the state machine of group g lie. The caller owns the result.
func StatePrefix(g GroupID) []byte {
	return append(groupKey(spaceState, g), stateMachine)
}

// StateSpan returns the half-open range of the state machine's keys of group g. The caller owns both.
func StateSpan(g GroupID) (lo, hi []byte) {
	return StatePrefix(g), spanEnd(spaceState, g)
}

func groupKey(space byte, g GroupID) []byte {
	k := make([]byte, groupKeyLen, entryKeyLen)
	k[0] = space
	binary.BigEndian.PutUint32(k[1:], uint32(g))
	return k
}

// spanEnd returns the first key after all keys of g in space.
func spanEnd(space byte, g GroupID) []byte {
	if g == ^GroupID(0) {
		return []byte{space + 1}
	}
	return groupKey(space, g+1)
}

func logKey(g GroupID, kind byte) []byte { return append(groupKey(spaceLog, g), kind) }

func appliedKey(g GroupID) []byte { return append(groupKey(spaceState, g), stateOwn, stateApplied) }

func confKey(g GroupID) []byte { return append(groupKey(spaceState, g), stateOwn, stateConf) }

func entryKey(g GroupID, index uint64) []byte {
	k := make([]byte, entryKeyLen)
	putEntryKey(k, g, index)
	return k
}

// putEntryKey writes the key of an entry into k, which has entryKeyLen bytes.
func putEntryKey(k []byte, g GroupID, index uint64) {
	k[0] = spaceLog
	binary.BigEndian.PutUint32(k[1:], uint32(g))
	k[groupKeyLen] = logEntry
	binary.BigEndian.PutUint64(k[groupKeyLen+1:], index)
}

// parseLogKey splits a key of the log space. index is set for entries only.
func parseLogKey(k []byte) (g GroupID, kind byte, index uint64, ok bool) {
	if len(k) < groupKeyLen+1 || k[0] != spaceLog {
		return 0, 0, 0, false
	}
	g, kind = GroupID(binary.BigEndian.Uint32(k[1:])), k[groupKeyLen]
	switch {
	case kind == logEntry && len(k) == entryKeyLen:
		return g, kind, binary.BigEndian.Uint64(k[groupKeyLen+1:]), true
	case kind != logEntry && len(k) == groupKeyLen+1:
		return g, kind, 0, true
	}
	return 0, 0, 0, false
}

func peerKey(n NodeID) []byte { return append(append([]byte(nil), keyPeer...), n...) }
