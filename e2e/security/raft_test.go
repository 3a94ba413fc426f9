package security

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

// A node that has no replica of a group, or a gateway, speaks to the group's replicas as if it led them.

func raftAttacks() []ringAttack {
	return []ringAttack{
		{"A18 node without a vote forges entries of a group", forgedEntries},
		{"A18 node forges a snapshot of a group", forgedSnapshots},
		{"A18 gateway speaks as a replica", gatewayRaft},
	}
}

const (
	raftControl  p2p.Method = 48
	raftBulk     p2p.Method = 49 | p2p.MethodBulk
	raftSnapshot p2p.Method = 50 | p2p.MethodBulk
)

// forgery is a frame with an append of a leader of a later term, that says that its entry is committed
// (docs/formats/raft-frame.md).
func forgery(st *consensus.GroupStatus, to, from consensus.ReplicaID, entry []byte) []byte {
	term := st.Term + 1000
	m := []byte{3, 0} // an append
	for _, n := range []uint64{term, st.Term, st.LastIndex, st.LastIndex + 1, 0, 1} {
		m = binary.AppendUvarint(m, n)
	}
	m = binary.AppendUvarint(append(m, 0), term)
	m = append(binary.AppendUvarint(m, uint64(len(entry))), entry...)
	b := []byte{1, 0}
	for _, n := range []uint64{1234, 5678, 1} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	for _, n := range []uint64{uint64(st.Group), uint64(to), uint64(from)} {
		b = binary.AppendUvarint(b, n)
	}
	return append(binary.AppendUvarint(append(b, 1), uint64(len(m))), m...)
}

// removal is a command that a lock forbids, with a time at which no lock holds any more.
func (v *vault) removal(t *testing.T) []byte {
	t.Helper()
	late := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	del := &meta.DeleteObjects{Bucket: v.id}
	for _, l := range v.locked {
		del.Items = append(del.Items, &meta.DeleteItem{Key: []byte(l.key), Version: l.id, Bypass: true})
	}
	b, err := proto.Marshal(&meta.Command{Stamp: late, Agreed: late, Op: &meta.Command_DeleteObjects{DeleteObjects: del}})
	must(t, err)
	return b
}

// statuses asks a node that was taken over for the replicas of a group on each other node.
func (r *ring) statuses(t *testing.T, g consensus.GroupID) map[p2p.NodeID]*consensus.GroupStatus {
	t.Helper()
	all := map[p2p.NodeID]*consensus.GroupStatus{}
	for id, n := range r.node.nodes {
		list, err := n.GroupStatuses(t.Context())
		must(t, err)
		for i := range list {
			if list[i].Group == g {
				all[id] = &list[i]
			}
		}
	}
	return all
}

// foreignVault is a vault in a group of which the node that was taken over has no replica.
func (r *ring) foreignVault(t *testing.T, name string) *vault {
	t.Helper()
	for i := range 64 {
		v := r.vault(t, fmt.Sprint(name, "-", i))
		here := false
		for _, st := range r.statuses(t, v.group) {
			for _, m := range slices.Concat(st.Voters, st.Learners, st.Outgoing) {
				here = here || p2p.NodeID(m.Node) == r.node.id.NodeID()
			}
		}
		if !here {
			return v
		}
	}
	t.Fatal("the node has a replica of every group that buckets were made in")
	return nil
}

func forgedEntries(t *testing.T, r *ring) {
	v := r.foreignVault(t, "a18-entries")
	entry := v.removal(t)
	before := dropped(t, r)
	for node, st := range r.statuses(t, v.group) {
		ids := []consensus.ReplicaID{st.MaxReplica + 1, st.MaxReplica + 1000, 1 << 62}
		for _, m := range st.Voters {
			ids = append(ids, m.Replica)
		}
		for _, from := range ids {
			for _, method := range []p2p.Method{raftControl, raftBulk} {
				must(t, r.node.Host.Notify(node, method, forgery(st, st.Replica, from, entry)))
			}
		}
	}
	eventually(t, func() error {
		if dropped(t, r) < before+6 {
			return errors.New("the forged messages were not dropped")
		}
		return nil
	})
	for node, st := range r.statuses(t, v.group) {
		if st.Term >= 1000 {
			t.Errorf("%s believes that the group is in term %d", node.Short(), st.Term)
		}
	}
	v.intact(t)
}

// dropped counts messages of senders that were not believed, on all nodes.
func dropped(t *testing.T, r *ring) (n float64) {
	t.Helper()
	for _, p := range r.running(t) {
		var page string
		eventually(t, func() (err error) {
			_, page, err = p.Page("/metrics")
			return err
		})
		if _, rest, ok := strings.Cut(page, `shoal_consensus_messages_dropped_total{reason="sender"} `); ok {
			var of float64
			_, err := fmt.Sscan(rest, &of)
			must(t, err)
			n += of
		}
	}
	return n
}

func forgedSnapshots(t *testing.T, r *ring) {
	v := r.foreignVault(t, "a18-snapshots")
	for node, st := range r.statuses(t, v.group) {
		for _, from := range []consensus.ReplicaID{st.MaxReplica + 1, st.Voters[0].Replica} {
			header := binary.LittleEndian.AppendUint32([]byte{1}, uint32(v.group))
			for _, n := range []uint64{uint64(st.Replica), uint64(from), st.Term + 1000, st.LastIndex + 1000, st.Term + 1000} {
				header = binary.LittleEndian.AppendUint64(header, n)
			}
			for _, text := range [][]byte{header, header[:len(header)-5], append(header, make([]byte, 64)...), make([]byte, 1<<20), nil} {
				s, err := r.node.Host.OpenStream(t.Context(), node, raftSnapshot)
				must(t, err)
				_, _ = s.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...))
				_ = s.CloseWrite()
				if n, _ := s.Read(make([]byte, 1)); n != 0 {
					t.Errorf("%s took a forged snapshot", node.Short())
				}
				s.Close()
			}
		}
	}
	v.intact(t)
}

// gatewayRaft sends the same as a gateway, of which replicas take nothing at all.
func gatewayRaft(t *testing.T, r *ring) {
	v := r.vault(t, "a18-raft-gateway")
	entry := v.removal(t)
	for node, st := range r.statuses(t, v.group) {
		for _, m := range st.Voters {
			_, err := r.gateway.Host.Call(t.Context(), node, raftControl, &p2p.Message{Payload: forgery(st, st.Replica, m.Replica, entry)})
			refused(t, "a frame", err)
			must(t, r.gateway.Host.Notify(node, raftBulk, forgery(st, st.Replica, m.Replica, entry)))
		}
		_, err := r.gateway.Host.OpenStream(t.Context(), node, raftSnapshot)
		refused(t, "a snapshot", err)
	}
	v.intact(t)
}
