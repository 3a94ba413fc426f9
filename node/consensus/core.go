package consensus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// now is the clock of metrics only; nothing decides by it.
var now = time.Now

// core is a node's replication without goroutines, clock and locks: step functions over explicit queues. StepGroup may run for different
// groups at once; StepAppend and StepApply each have one caller at a time. What one step leaves in its outbox, or hands back, must reach the next in
// order, per group.
type core struct {
	cfg      Config
	db       *pebble.DB
	store    *nodeStore
	app      appender
	apply    applier
	budget   *cacheBudget
	snapsOut limiter
	seed     *rand.Rand
	met      *metrics
	// groups holds the groups found at opening. The driver keeps the live table.
	groups map[GroupID]*group
	// tombstones are the replicas that were removed from this node.
	tombstones map[GroupID]replicaRecord
}

// openCore reads everything the database holds. It creates the store's identity if there is none.
func openCore(cfg Config) (*core, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("consensus configuration: %w", err)
	}
	store, err := openStore(cfg.DB, cfg.FS, cfg.Dir, cfg.Rand, cfg.AcceptLoss)
	if err != nil {
		return nil, err
	}
	c := &core{cfg: cfg, db: cfg.DB, store: store, budget: &cacheBudget{max: cfg.CacheBytes}, met: newMetrics(cfg.Registerer),
		groups: map[GroupID]*group{}, tombstones: map[GroupID]replicaRecord{}}
	c.snapsOut.max = int32(cfg.MaxSnapshots)
	c.app = appender{db: cfg.DB, store: store, met: c.met}
	c.apply = applier{db: cfg.DB, machine: cfg.Machine, met: c.met}
	seed, err := randomWord(cfg.Rand)
	if err == nil {
		c.seed = rand.New(rand.NewPCG(seed, store.id))
		err = c.load()
	}
	if err != nil {
		return nil, closeAfter(err, store)
	}
	if store.lost != nil {
		cfg.Logger.Error("opened a log that lost acknowledged writes", "store", fmt.Sprintf("%016x", store.id), "err", store.lost)
	}
	return c, nil
}

func closeAfter(err error, s *nodeStore) error {
	_ = s.close()
	return err
}

// load makes the groups found in the database.
func (c *core) load() error {
	found, err := loadGroups(c.db)
	if err != nil {
		return err
	}
	b := c.db.NewBatch()
	defer b.Close()
	for _, r := range found {
		if !r.replica.Present {
			c.tombstones[r.group] = r.replica
			continue
		}
		if r.broken == nil && c.store.lost != nil && !r.knownAlone() {
			// It may have forgotten a vote or an entry that it acknowledged.
			r.broken = c.store.lost
		}
		if r.resetLog {
			r.writeReset(b)
		}
		g, err := c.newGroup(r, nil)
		if err != nil {
			return err
		}
		c.groups[r.group] = g
	}
	if b.Empty() {
		return nil
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("reset logs behind ingested snapshots: %w", err)
	}
	return nil
}

// StepGroup lets a group look at its inbox. A replica that panics is taken out of service; what it wanted done in this step is forgotten.
func (c *core) StepGroup(g *group, now time.Time, in *inbox, out *outbox) {
	if g.dead.Load() {
		g.refuse(in)
		g.maybeBury(out)
		return
	}
	m, appends, applies, held := out.mark(), g.appends, g.applies, len(g.held)
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		out.rollback(m)
		g.appends, g.applies, g.held = appends-held, applies, nil
		c.quarantine(g, fmt.Errorf("panic: %v", p))
		g.refuse(in)
	}()
	g.step(now, in, out)
}

// quarantine takes one replica out of service, so that the others of the process go on.
func (c *core) quarantine(g *group, err error) {
	c.met.quarantined.Inc()
	c.cfg.Logger.Error("replica taken out of service", "group", g.id, "replica", g.self, "err", err)
	g.takeOut(err)
}

// StepAppend writes logs; see appender.step.
func (c *core) StepAppend(items []*appendItem) error { return c.app.step(items) }

// StepApply applies committed entries; see applier.step.
func (c *core) StepApply(items []*applyItem) error { return c.apply.step(items) }

// openFrame is a frame in the making.
type openFrame struct {
	node  NodeID
	class Class
	b     []byte
	items []outbound
}

// frames encodes items for peers: one frame for each node and class, more if it grows too large. out.sends must not be empty.
func (c *core) frames(sends []outbound, emit func(to NodeID, class Class, frame []byte, items []outbound)) {
	h := c.store.frameHeader()
	var scratch []byte
	open := make([]openFrame, 0, 8) // for so few that looking through them is faster than a map
	for i := range sends {
		s := &sends[i]
		k := slices.IndexFunc(open, func(f openFrame) bool { return f.class == s.class && f.node == s.node })
		if k < 0 {
			k, open = len(open), append(open, openFrame{node: s.node, class: s.class})
		}
		f := &open[k]
		payload := s.payload
		if s.kind == itemRaft {
			scratch = appendMessage(scratch[:0], s.m)
			payload = scratch
		}
		if f.b == nil {
			f.b = appendFrameHeader(make([]byte, 0, frameHeaderLen+itemHeaderMax+len(payload)), h)
		}
		f.b = appendFrameItem(f.b, item{Group: s.group, To: s.to, From: s.from, Kind: s.kind, Payload: payload})
		f.items = append(f.items, *s)
		if len(f.b) >= frameSoftBytes {
			emit(f.node, f.class, f.b, f.items)
			f.b, f.items = nil, nil
		}
	}
	for _, f := range open {
		if len(f.items) > 0 {
			emit(f.node, f.class, f.b, f.items)
		}
	}
}

// receive decodes a frame of node from and calls deliver for each item.
func (c *core) receive(frame []byte, header func(frameHeader) error, deliver func(g GroupID, to ReplicaID, in inbound)) error {
	return decodeFrame(frame, header, func(it item) (err error) {
		in := inbound{from: it.From, kind: it.Kind}
		switch it.Kind {
		case itemRaft:
			in.m, err = decodeMessage(it.Payload, it.To, it.From)
		case itemQuiesce:
			in.term, in.commit, err = decodeQuiesce(it.Payload)
		case itemRemoved:
			in.next, err = decodeRemoved(it.Payload)
		}
		if err == nil {
			deliver(it.Group, it.To, in)
		}
		return err
	})
}
