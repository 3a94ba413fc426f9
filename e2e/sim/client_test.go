package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// client does one thing after another, each through any node. Operations are a model of node/client's.
type client struct {
	w    *world
	id   int
	left int // operations it will still do
	done bool
}

// buckets of the simulation, one in each partition group.
func (w *world) bucket(i int) bucket {
	id := uint64(i + 1)
	return bucket{id, meta.GroupOf(id, partitions)}
}

// opKinds are what clients do.
type opKind uint8

const (
	getOp opKind = iota
	putObjectOp
	deleteOp
	copyOp
	completeOp
)

// operation is what a client does.
type operation struct {
	kind opKind
	b    bucket
	key  string
	// what a put or a completion writes; of a copy, what it turned out to write.
	content uint64
	chunks  int
	// conditions: ifNone wants no object, ifMatch one with this ETag.
	ifNone  bool
	ifMatch string
	from    *place // of a copy
	copied  string // ETag that a copy may have written
	slow    time.Duration
	lock    *meta.Lock // of a put into the bucket that has object lock
}

// place is a key of a bucket.
type place struct {
	b   bucket
	key string
}

func (o *operation) String() string {
	name := [...]string{"get", "put", "delete", "copy", "complete"}[o.kind]
	s := fmt.Sprintf("%s %d/%s", name, o.b.id, o.key)
	if o.kind == putObjectOp || o.kind == completeOp {
		s += fmt.Sprintf(" v%d", o.content)
	}
	if o.from != nil {
		s += fmt.Sprintf(" from %d/%s", o.from.b.id, o.from.key)
	}
	if o.ifNone {
		s += " if none"
	}
	if o.ifMatch != "" {
		s += " if " + o.ifMatch
	}
	return s
}

// live is what a client does all its life.
func (c *client) live(p *proc) {
	w := c.w
	for c.left > 0 {
		c.left--
		p.sleep(time.Duration(w.rng.IntN(w.mix.think)) * time.Millisecond)
		gw := w.anyNode()
		if gw != nil && gw.stalled > 0 && w.rng.IntN(4) > 0 { // mostly it has somebody else to go to
			gw = w.anyNode()
		}
		if gw == nil {
			continue
		}
		op := w.randomOp()
		w.logf("client %d at %s: %s", c.id, gw.id, op)
		call := w.check.begin(c.id, op)
		f := w.future()
		r := w.spawn(gw, "client", func(p *proc) { f.resolve(p.perform(op)) })
		r.died = func() { f.resolve(nil, &api.Error{Kind: api.OutcomeUnknown, Op: "sim"}) }
		v, err := p.await(f, 0)
		w.logf("client %d: %s: %v %v", c.id, op, v, err)
		w.check.end(call, v, err)
	}
	c.done = true
}

// chase has a client copy an object at the moment that a shard of it is moved.
func (w *world) chase(c chunker.ChunkID) {
	users := slices.DeleteFunc(slices.Clone(w.check.users[c]), func(u user) bool { return u.b == w.lockedBucket() || w.check.versions[u.id] != u.version })
	if !w.faulty || w.mix.chase == 0 || len(users) == 0 || w.rng.IntN(w.mix.chase) > 0 {
		return
	}
	v, gw := users[w.rng.IntN(len(users))], w.anyNode()
	op := &operation{kind: copyOp, b: w.bucket(w.rng.IntN(partitions)), key: string(rune('a' + w.rng.IntN(3))), from: &place{v.b, v.key}}
	w.counts["chased"]++
	w.logf("client 11 at %s: %s", gw.id, op)
	call := w.check.begin(11, op)
	f := func(p *proc) {
		v, err := p.perform(op)
		w.logf("client 11: %s: %v %v", op, v, err)
		w.check.end(call, v, err)
	}
	w.spawn(gw, "chaser", f).died = func() { w.check.end(call, "", &api.Error{Kind: api.OutcomeUnknown, Op: "sim"}) }
}

func (w *world) randomOp() *operation {
	op := &operation{b: w.bucket(w.rng.IntN(partitions)), key: string(rune('a' + w.rng.IntN(3)))}
	l := w.mix.work()
	switch k := w.rng.IntN(l.get + l.put + l.remove + l.copy); {
	case k < l.get:
		op.kind = getOp
		if w.rng.IntN(8) == 0 {
			op.slow = time.Duration(w.rng.IntN(100)) * time.Second
		}
	case k < l.get+l.put:
		op.kind, op.content, op.chunks = putObjectOp, w.number(), w.rng.IntN(3) // none is inline
		if w.rng.IntN(8) == 0 {
			op.slow = time.Duration(w.rng.IntN(120)) * time.Second
		}
		if w.rng.IntN(4) == 0 {
			op.ifNone = true
		} else if w.rng.IntN(4) == 0 {
			op.ifMatch = w.check.someETag(place{op.b, op.key})
		}
	case k < l.get+l.put+l.remove:
		op.kind = deleteOp
		if w.rng.IntN(3) == 0 {
			op.ifMatch = w.check.someETag(place{op.b, op.key})
		}
	default:
		op.kind = copyOp
		op.from = &place{w.bucket(w.rng.IntN(partitions)), string(rune('a' + w.rng.IntN(3)))}
	}
	return op
}

// perform does an operation and gives the ETag that it read or wrote, "" for none.
func (p *proc) perform(op *operation) (any, error) {
	switch op.kind {
	case getOp:
		return p.get(op)
	case putObjectOp:
		return p.put(op)
	case deleteOp:
		return p.remove(op)
	}
	for attempt := 1; ; attempt++ {
		v, err := p.copy(op)
		if err == nil || api.KindOf(err) != api.ConditionalConflict || attempt == 4 {
			return v, err
		}
	}
}

func (p *proc) put(op *operation) (any, error) {
	l, err := p.getLayout()
	if err != nil {
		return "", err
	}
	put := &meta.PutVersion{
		Bucket: op.b.id, Key: []byte(op.key), Version: p.w.bytes(16), Size: 1, Etag: etagOf(op.content), IfNoneMatch: op.ifNone, IfMatch: []byte(op.ifMatch), Lock: op.lock,
	}
	if op.chunks == 0 {
		put.Inline = etagOf(op.content)
		_, err := p.propose(op.b.group, &meta.Command{Op: &meta.Command_PutVersion{PutVersion: put}})
		return string(put.Etag), err
	}
	o := op.b.owner(put.Version, 0)
	p.sleep(op.slow) // its client sends slowly
	m, err := p.store(l, op.content, op.chunks, o)
	if err == nil {
		put.Manifest = m.encode()
		_, err = p.propose(op.b.group, &meta.Command{Op: &meta.Command_PutVersion{PutVersion: put}})
	}
	if err != nil {
		p.later(func(p *proc) { p.abandon(l, m, o) })
	}
	return string(put.Etag), err
}

// later goes on with something that a client does not wait for.
func (p *proc) later(f func(*proc)) { p.w.spawn(p.n, "later", f) }

func (p *proc) remove(op *operation) (any, error) {
	del := &meta.DeleteObjects{Bucket: op.b.id, Items: []*meta.DeleteItem{{Key: []byte(op.key), IfMatch: []byte(op.ifMatch)}}}
	res, err := p.propose(op.b.group, &meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: del}})
	if err != nil {
		return "", err
	}
	return "", res.GetDeleted().GetItems()[0].Err("sim")
}

// opened is a version that is being read, with the node that pinned it.
type opened struct {
	b       bucket
	at      consensus.NodeID
	answer  *meta.LookupAnswer
	m       *manifest
	version peer.VersionID
	closed  bool
	// kept is until when the pin certainly holds.
	kept time.Time
}

// open looks a version up, nil for the current one, and keeps it from being dropped.
func (p *proc) open(b bucket, key string, version []byte) (*opened, error) {
	var at consensus.NodeID
	var asked time.Time
	v, err := p.route(b.group, false, func(p *proc, n *node) (any, error) {
		asked, at = p.w.now, n.id
		return n.lookup(p, b.group, &meta.LookupQuery{Bucket: b.id, Key: []byte(key), Version: version, Body: true})
	})
	if err != nil {
		return nil, err
	}
	o := &opened{b: b, at: at, answer: v.(*meta.LookupAnswer), kept: asked.Add(peer.PinTTL)}
	o.version = peer.VersionID(o.answer.GetHead().GetVersion())
	if o.m = decodeManifest(o.answer.GetManifest()); o.m != nil {
		p.later(func(p *proc) { p.keepPinned(o) })
	}
	return o, nil
}

// keepPinned renews a pin until its version is closed.
func (p *proc) keepPinned(o *opened) {
	for {
		p.sleep(peer.PinTTL / 3)
		if o.closed {
			return
		}
		asked := p.w.now
		_, err := p.route(o.b.group, false, func(p *proc, n *node) (any, error) {
			return nil, n.read(p, o.b.group, func() error {
				n.pin(o.version, false)
				return nil
			})
		})
		if err == nil && !p.w.now.After(o.kept) { // one that had ended may have been too late
			o.kept = asked.Add(peer.PinTTL)
		}
	}
}

func (p *proc) close(o *opened) {
	o.closed = true
	if o.m == nil || !p.n.up {
		return
	}
	p.w.send(packet{from: p.n.id, to: o.at, once: true, arrive: func(n *node) { n.unpin(o.version) }})
}

func (p *proc) get(op *operation) (any, error) {
	o, err := p.open(op.b, op.key, nil)
	if api.KindOf(err) == api.NoSuchKey && err != nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer p.close(o)
	p.sleep(op.slow)
	return p.read(o)
}

// read gives the ETag of a version after its content was read.
func (p *proc) read(o *opened) (any, error) {
	if o.m == nil {
		return string(o.answer.GetInline()), nil
	}
	etag := string(o.answer.GetHead().GetEtag())
	for _, c := range o.m.pieces {
		if err := p.readSome(o, c); err != nil {
			return "", err
		}
	}
	return etag, nil
}

// readSome reads a chunk. Shards that move while they are looked for are looked for again.
func (p *proc) readSome(o *opened, c piece) error {
	for attempt := 0; ; attempt++ {
		l, err := p.getLayout()
		if attempt > 0 {
			l, err = p.freshLayout()
		}
		if err != nil {
			return err
		}
		_, err = p.readChunk(l, o.m.content, c)
		if err == nil {
			return nil
		}
		if errors.Is(err, errShards) {
			p.w.check.unreadable(o, c)
		}
		if attempt == 5 {
			return unavailable()
		}
		p.sleep(time.Second)
	}
}

// copy makes a version that shares the chunks of another one.
func (p *proc) copy(op *operation) (any, error) {
	o, err := p.open(op.from.b, op.from.key, nil)
	if err != nil {
		return "", err
	}
	defer p.close(o)
	h := o.answer.GetHead()
	put := &meta.PutVersion{Bucket: op.b.id, Key: []byte(op.key), Version: p.w.bytes(16), Size: 1, Etag: h.GetEtag()}
	if op.b.group == op.from.b.group {
		put.Source = &meta.Source{Bucket: op.from.b.id, Key: []byte(op.from.key), Version: h.GetVersion()}
	}
	commit := func() (any, error) {
		op.copied = string(put.Etag)
		_, err := p.propose(op.b.group, &meta.Command{Op: &meta.Command_PutVersion{PutVersion: put}})
		return string(h.GetEtag()), err
	}
	if o.m == nil {
		put.Inline = o.answer.GetInline()
		return commit()
	}
	l, err := p.getLayout()
	if err != nil {
		return "", err
	}
	owner := op.b.owner(put.Version, 0)
	if err = p.adopt(l, o.m, owner); err == nil {
		put.Manifest = o.m.under(owner.Stream).encode()
		var v any
		if v, err = commit(); err == nil {
			return v, nil
		}
	}
	p.later(func(p *proc) { p.abandon(l, o.m.under(owner.Stream), owner) })
	return "", err
}

// adopt adds an owner to all shards of chunks, where they belong or wherever else they are.
func (p *proc) adopt(l *peer.Layout, m *manifest, o shardstore.Owner) error {
	for _, piece := range m.pieces {
		c, width := piece.chunk, piece.profile.Width()
		owned := map[int]bool{}
		add := func(i int, ts []peer.Target) {
			for _, t := range ts {
				_, err := p.call(consensus.NodeID(t.Node), attemptTime, func(p *proc, n *node) (any, error) {
					return nil, n.addOwner(p, t.Drive, []shardstore.ID{shardID(c, i)}, o)
				})
				if err == nil {
					owned[i] = true
				}
			}
		}
		for i, t := range l.Targets(nil, c, width) {
			add(i, []peer.Target{t})
		}
		if len(owned) < width {
			at, _, _ := p.locate(l, c, width)
			for i := range width {
				if !owned[i] {
					add(i, at[i])
				}
			}
		}
		if len(owned) < width {
			p.later(func(p *proc) { p.n.heal(p, c, width) })
		}
		if len(owned) < int(piece.profile.K)+min(int(piece.profile.M), 1) {
			return errShards
		}
	}
	return nil
}
