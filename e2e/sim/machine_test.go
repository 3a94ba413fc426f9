package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// machine is the state machine of a node. It checks that every replica makes the same of every entry: that it writes the same, and
// answers the same. Beside a group's state it keeps a hash over all its history, which goes with snapshots.
type machine struct {
	*meta.Machine
	n *node
	// applied counts the entries and snapshots of each group that were applied since the node began.
	applied map[consensus.GroupID]uint64
	// layouts counts what may have changed the layout here; made is the layout as it was at one of those counts.
	layouts, madeAt int
	made            *peer.Layout
	// told are answers of the system group to what is asked all the time, with what was applied when they were given.
	told map[string]toldAnswer
}

// historyKey is where the hash over a group's history lies. No key of the state machine begins like this.
func historyKey(g consensus.GroupID) []byte { return append(consensus.StatePrefix(g), 0xfe, 'h') }

// Restored tells that a snapshot replaced a group's state.
func (m *machine) Restored(g consensus.GroupID) {
	m.layouts++
	m.applied[g]++
	if r, ok := any(m.Machine).(consensus.Restorer); ok {
		r.Restored(g)
	}
}

// Apply applies entries one by one.
func (m *machine) Apply(b *pebble.Batch, g consensus.GroupID, es []consensus.Entry) ([]any, error) {
	out := make([]any, 0, len(es))
	for i := range es {
		r, err := m.applyOne(b, g, es[i:i+1])
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// batchHeader is what a batch begins with: it counts, and changes with each write.
const batchHeader = 12

func (m *machine) applyOne(b *pebble.Batch, g consensus.GroupID, es []consensus.Entry) (any, error) {
	e := &es[0]
	m.applied[g]++
	hash, err := history(b, g)
	if err != nil {
		return nil, err
	}
	before := max(len(b.Repr()), batchHeader)
	rs, err := m.Machine.Apply(b, g, es)
	if err != nil {
		return nil, err
	}
	res := rs[0].(*meta.Result)
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, hash))
	_, _ = h.Write(b.Repr()[before:])
	answer, err := proto.MarshalOptions{Deterministic: true}.Marshal(res)
	if err != nil {
		return nil, err
	}
	_, _ = h.Write(answer)
	if err := b.Set(historyKey(g), binary.BigEndian.AppendUint64(nil, h.Sum64()), nil); err != nil {
		return nil, err
	}
	if m.n.w.check.applied(m.n, g, e, h.Sum64(), res) {
		m.layouts++
	}
	return res, nil
}

func history(r pebble.Reader, g consensus.GroupID) (uint64, error) {
	v, closer, err := r.Get(historyKey(g))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint64(v)
	return n, closer.Close()
}

// toldAnswer is an answer that nobody changes, for as long as nothing is applied.
type toldAnswer struct {
	applied uint64
	answer  *meta.Answer
}

// system answers a query of the system group that has no parameters: again what it has answered before, if nothing was applied meanwhile.
func (m *machine) system(q *meta.Query) (*meta.Answer, error) {
	name, applied := fmt.Sprintf("%T", q.GetQ()), m.applied[consensus.SystemGroup]
	if t, ok := m.told[name]; ok && t.applied == applied {
		return t.answer, nil
	}
	a, err := m.Query(m.n.still, consensus.SystemGroup, q)
	if err == nil {
		m.told[name] = toldAnswer{applied, a}
	}
	return a, err
}

// makeLayout answers with the layout, as node/server does.
func (n *node) makeLayout(p *proc) (l *peer.Layout, err error) {
	err = n.read(p, consensus.SystemGroup, func() (err error) {
		l, err = n.readLayout()
		return err
	})
	return l, err
}

func (n *node) readLayout() (*peer.Layout, error) {
	m := n.machine
	if m.made != nil && m.madeAt == m.layouts {
		return m.made, nil
	}
	ask := func(q *meta.Query) *meta.Answer {
		a, err := m.Query(n.still, consensus.SystemGroup, q)
		n.w.must(err, "query")
		return a
	}
	set := ask(&meta.Query{Q: &meta.Query_Settings{Settings: &meta.SettingsQuery{}}}).GetSettings()
	ps := ask(&meta.Query{Q: &meta.Query_Placements{Placements: &meta.PlacementsQuery{}}}).GetPlacements().GetPlacements()
	groups := ask(&meta.Query{Q: &meta.Query_Groups{Groups: &meta.GroupsQuery{}}}).GetGroups()
	if set == nil || len(ps) == 0 {
		return nil, unavailable()
	}
	l := &peer.Layout{
		Epoch: ps[0].GetEpoch(), Partitions: set.GetPartitions(), Profile: erasure.Profile{K: uint8(set.GetDataShards()), M: uint8(set.GetParityShards())},
		Groups: make(map[consensus.GroupID][]p2p.NodeID), GroupsVersion: groups.GetVersion(),
	}
	if k := ps[0].GetDataShards(); k != 0 {
		l.Profile = erasure.Profile{K: uint8(k), M: uint8(ps[0].GetParityShards())}
	}
	tables := n.w.tables(ps[0])
	l.Table, l.Others = tables[0], tables[1:]
	for _, p := range ps[1:] {
		l.Earlier = append(l.Earlier, peer.EarlierEpoch{Epoch: p.GetEpoch(), Tables: n.w.tables(p)})
	}
	for _, p := range groups.GetPlaces() {
		g := consensus.GroupID(p.GetGroup())
		for _, v := range p.GetVoters() {
			l.Groups[g] = append(l.Groups[g], p2p.NodeID(v))
		}
	}
	m.made, m.madeAt = l, m.layouts
	return l, nil
}

// encoded gives what stands for a table in logs and states: in each fourth seed the table itself, otherwise a name. Tables are by far the
// most of what replication and databases have to carry here, and what they make of long entries is seen often enough.
func (w *world) encoded(t *placement.Table) []byte {
	if w.seed%4 == 0 {
		return t.Append(nil)
	}
	name := fmt.Appendf(nil, "table %d", len(w.decoded))
	w.decoded[string(name)] = t
	return name
}

// tables decodes the tables of a placement, each only once in a run.
func (w *world) tables(p *meta.Placement) (out []*placement.Table) {
	for _, raw := range append([][]byte{p.GetTable()}, p.GetOthers()...) {
		t := w.decoded[string(raw)]
		if t == nil {
			var err error
			t, err = placement.Decode(raw)
			w.must(err, "decode a table")
			w.decoded[string(raw)] = t
		}
		out = append(out, t)
	}
	return out
}
