package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

	"shoal/acl/lock"
	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// checker knows everything, and looks after each step whether what must hold holds.
type checker struct {
	w *world
	// chain has the hash over the history of each group at each entry.
	chain map[entryKey]made
	last  map[consensus.GroupID]uint64
	led   map[termKey]consensus.NodeID

	// What the groups hold, as the first replica that applied each entry has made it.
	versions map[peer.VersionID]*version
	current  map[place]*version
	uploads  map[peer.VersionID]*upload
	streams  map[uint64]bool            // of parts, that were committed at any time
	users    map[chunker.ChunkID][]user // that live
	etags    map[place][]string
	retained []*version      // all that were made in the bucket that has object lock
	heard    map[string]bool // requests that changed locks

	epoch, groupsVersion, forgot uint64

	history []porcupine.Operation
	clock   int64
}

type entryKey struct {
	g     consensus.GroupID
	index uint64
}

// made is what replicas make of an entry: the hash over the history up to it, and whether it may change the layout.
type made struct {
	hash   uint64
	layout bool
}

type termKey struct {
	g    consensus.GroupID
	term uint64
}

// version is a version of an object, or a part of an open upload.
type version struct {
	id   peer.VersionID // of a part: that of its upload
	b    bucket
	key  string
	etag string
	m    *manifest // nil for inline content
	dead bool
	lock lock.State
}

// user is a version that lives by a chunk.
type user struct {
	*version
	piece
}

func (u user) owner() shardstore.Owner { return u.b.owner(u.id[:], u.stream) }

func newChecker(w *world) *checker {
	return &checker{
		w: w, chain: map[entryKey]made{}, last: map[consensus.GroupID]uint64{}, led: map[termKey]consensus.NodeID{},
		versions: map[peer.VersionID]*version{}, current: map[place]*version{}, uploads: map[peer.VersionID]*upload{}, streams: map[uint64]bool{}, users: map[chunker.ChunkID][]user{}, etags: map[place][]string{}, heard: map[string]bool{},
	}
}

// leaders checks that a term has one leader.
func (c *checker) leaders(n *node) {
	for _, g := range n.st.Groups() {
		_, term, here := n.st.Leader(g)
		if !here || n.led[g] == term {
			continue
		}
		n.led[g] = term
		k := termKey{g, term}
		switch other, known := c.led[k]; {
		case !known:
			c.led[k] = n.id
			c.w.logf("%s leads group %d in term %d", n.id, g, term)
		case other != n.id:
			c.w.failf("group %d: %s and %s both lead in term %d", g, other, n.id, term)
		}
	}
}

// applied checks that replicas agree, and takes up what an entry does when it is applied for the first time. It tells whether the entry
// may change the layout.
func (c *checker) applied(n *node, g consensus.GroupID, e *consensus.Entry, hash uint64, res *meta.Result) (layout bool) {
	k := entryKey{g, e.Index}
	first, known := c.chain[k]
	if known && first.hash == hash {
		return first.layout
	}
	cmd := &meta.Command{}
	c.w.must(proto.Unmarshal(e.Data, cmd), "decode a command")
	if known {
		c.w.failf("node %s: group %d diverges at entry %d: %v", n.id, g, e.Index, cmd)
	}
	layout = cmd.GetPutPlacement() != nil || cmd.GetPutGroup() != nil || cmd.GetDropPlacements() != nil || cmd.GetInitCluster() != nil
	c.chain[k] = made{hash, layout}
	c.took(n, g, e, cmd, res)
	return layout
}

// took takes up what an entry does.
func (c *checker) took(n *node, g consensus.GroupID, e *consensus.Entry, cmd *meta.Command, res *meta.Result) {
	if e.Index <= c.last[g] {
		c.w.failf("node %s: group %d applies entry %d, which others went past without it", n.id, g, e.Index)
	}
	c.last[g] = e.Index
	if res.GetCode() != 0 {
		return
	}
	switch {
	case cmd.GetPutVersion() != nil:
		c.put(g, cmd.GetPutVersion())
	case cmd.GetDeleteObjects() != nil:
		c.deleted(g, cmd.GetDeleteObjects(), res)
	case cmd.GetAlterVersion() != nil:
		c.altered(cmd)
	case cmd.GetRecode() != nil && !cmd.GetRecode().GetBegin():
		c.recoded(cmd.GetRecode())
	case cmd.GetPutPart() != nil:
		c.partPut(cmd.GetPutPart())
	case cmd.GetRecodePart() != nil:
		c.partRecoded(cmd.GetRecodePart())
	case cmd.GetCompleteUpload() != nil:
		c.completed(cmd.GetCompleteUpload())
	case cmd.GetAbortUpload() != nil:
		c.aborted(cmd.GetAbortUpload())
	case cmd.GetPutPlacement() != nil:
		c.epoch = max(c.epoch, cmd.GetPutPlacement().GetPlacement().GetEpoch())
	case cmd.GetPutGroup() != nil:
		c.groupsVersion++
	case cmd.GetDropPlacements() != nil:
		c.forgot++
	}
}

func (c *checker) put(g consensus.GroupID, put *meta.PutVersion) {
	id := peer.VersionID(put.GetVersion())
	at := place{bucket{put.GetBucket(), g}, string(put.GetKey())}
	cur := c.current[at]
	locks := at.b == c.w.lockedBucket()
	if old := c.versions[id]; old != nil {
		if locks {
			return
		}
		if old.dead && cur != old {
			// The same command again, within the time that its result is kept, changes nothing.
			return
		}
		if cur == old {
			return
		}
	}
	switch {
	case put.GetIfNoneMatch() && cur != nil:
		c.w.failf("%v was put where none should be, and there is %s", at, cur.etag)
	case len(put.GetIfMatch()) > 0 && (cur == nil || cur.etag != string(put.GetIfMatch())):
		c.w.failf("%v was put on %s, and there is another", at, put.GetIfMatch())
	}
	if src := put.GetSource(); src != nil {
		if v := c.versions[peer.VersionID(src.GetVersion())]; v == nil || v.dead {
			c.w.failf("%v is a copy of a version that does not live", at)
		}
	}
	v := &version{id: id, b: at.b, key: at.key, etag: string(put.GetEtag()), m: decodeManifest(put.GetManifest()), lock: lockOf(put.GetLock())}
	c.install(v)
	c.promised(v)
}

// install makes a version the current one.
func (c *checker) install(v *version) {
	at := place{v.b, v.key}
	if v.b == c.w.lockedBucket() {
		c.retained = append(c.retained, v)
	} else if cur := c.current[at]; cur != nil {
		c.bury(cur)
	}
	c.versions[v.id], c.current[at] = v, v
	c.etags[at] = append(c.etags[at], v.etag)
	c.use(v)
	c.w.logf("%v is %s, version %x", at, v.etag, v.id[:4])
}

// use notes that a version lives by its chunks, and looks whether they are there.
func (c *checker) use(v *version) {
	if v.m == nil {
		return
	}
	for _, piece := range v.m.pieces {
		u := user{v, piece}
		c.users[piece.chunk] = append(c.users[piece.chunk], u)
		c.enough(u)
	}
}

func (c *checker) unuse(v *version) {
	if v.m == nil {
		return
	}
	for _, piece := range v.m.pieces {
		c.users[piece.chunk] = slices.DeleteFunc(c.users[piece.chunk], func(o user) bool { return o.version == v })
	}
}

func (c *checker) bury(v *version) {
	v.dead = true
	c.unuse(v)
}

func (c *checker) deleted(g consensus.GroupID, del *meta.DeleteObjects, res *meta.Result) {
	for i, item := range del.GetItems() {
		at := place{bucket{del.GetBucket(), g}, string(item.GetKey())}
		out := res.GetDeleted().GetItems()[i]
		if out.GetCode() != 0 || len(out.GetVersion()) == 0 {
			continue
		}
		if len(item.GetVersion()) > 0 {
			c.gone(at, item)
			continue
		}
		v := c.current[at]
		if v == nil || v.id != peer.VersionID(out.GetVersion()) {
			// A repeat gives the first result.
			if old := c.versions[peer.VersionID(out.GetVersion())]; old == nil || !old.dead {
				c.w.failf("%v: version %x was deleted, which was not the current one", at, out.GetVersion())
			}
			continue
		}
		c.bury(v)
		delete(c.current, at)
		c.w.logf("%v is deleted", at)
	}
}

func (c *checker) recoded(r *meta.Recode) {
	v := c.versions[peer.VersionID(r.GetVersion())]
	if v != nil && v.m != nil && v.m.pieces[0].stream == r.GetStreams()[0] {
		return // a repeat, which gives the first result
	}
	if v == nil || v.dead || v.m == nil {
		c.w.failf("version %x was recoded and does not live", r.GetVersion())
	}
	c.replace(v, r.GetManifest())
	c.w.logf("version %x is recoded to %v", v.id[:4], v.m.pieces[0].profile)
}

// replace gives a version other chunks.
func (c *checker) replace(v *version, manifest []byte) {
	c.unuse(v)
	v.m = decodeManifest(manifest)
	c.use(v)
	c.promised(v)
}

// shardChanged looks whether something was taken away that is needed.
func (c *checker) shardChanged(op *driveOp) {
	if op.kind == putOp || op.kind == addOp {
		return
	}
	c.removed(op)
	for _, u := range c.users[op.id.Chunk] {
		c.enough(u)
	}
}

// enough checks that a living version can be read from what is durable, on nodes that run or will run again.
func (c *checker) enough(u user) {
	if n := c.count(u); n < int(u.profile.K) {
		c.w.failf("version %x (%s of %d/%s) has %d shards of chunk %v, and needs %d: %s", u.id[:4], u.etag, u.b.id, u.key, n, u.chunk, u.profile.K, c.where(u.chunk))
	}
}

// promised checks that a version begins with one shard more than it needs, where there is parity. Faults that took one from under an
// upload are not held against it.
func (c *checker) promised(v *version) {
	if v.m == nil || !c.w.wiped.IsZero() && c.w.now.Sub(c.w.wiped) < 5*time.Minute {
		return
	}
	for _, piece := range v.m.pieces {
		p := piece.profile
		if n, want := c.count(user{v, piece}), int(p.K)+min(int(p.M), 1); n < want && !c.w.rotten(piece.chunk) {
			c.w.failf("version %x (%s of %d/%s) begins with %d shards of chunk %v, and is promised %d:%s", v.id[:4], v.etag, v.b.id, v.key, n, piece.chunk, want, c.where(piece.chunk))
		}
	}
}

// removed checks that a shard which was handed on is elsewhere with all its living owners.
func (c *checker) removed(op *driveOp) {
	if !op.removed || !c.w.wiped.IsZero() && c.w.now.Sub(c.w.wiped) < 5*time.Minute || c.w.rotten(op.id.Chunk) {
		return
	}
	for _, u := range c.users[op.id.Chunk] {
		if o := u.owner(); slices.Contains(op.had, o) && !c.has(op.id, o) {
			c.w.failf("shard %v was handed on without its owner %s", op.id, u.etag)
		}
	}
}

// count gives the good shards of a chunk that know a version as their owner.
func (c *checker) count(u user) (n int) {
	o := u.owner()
	for i := range u.profile.Width() {
		if c.has(shardID(u.chunk, i), o) {
			n++
		}
	}
	return n
}

func (c *checker) has(id shardstore.ID, o shardstore.Owner) bool {
	for _, n := range c.w.nodes {
		for _, d := range n.drives {
			if s := d.shards[id]; s != nil && !d.gone && s.good() && slices.Contains(s.owners, o) {
				return true
			}
		}
	}
	return false
}

// where describes where shards of a chunk are.
func (c *checker) where(id chunker.ChunkID) (s string) {
	for _, n := range c.w.nodes {
		for k, d := range n.drives {
			for i := range 16 {
				if sh := d.shards[shardID(id, i)]; sh != nil && !d.gone {
					s += fmt.Sprintf(" [%d on %s.%d, %d owners, up %v, rotten %v]", i, n.id, k, len(sh.owners), n.up, sh.rotten)
				}
			}
		}
	}
	return s
}

// unreadable is told that a version that is pinned cannot be read.
func (c *checker) unreadable(o *opened, piece piece) {
	if c.w.now.After(o.kept) {
		return // its pin has ended
	}
	n := 0
	for i := range piece.profile.Width() {
		if c.anyGood(shardID(piece.chunk, i)) {
			n++
		}
	}
	if n < int(piece.profile.K) {
		if v := c.versions[o.version]; v != nil && v.m != nil && !slices.Equal(v.m.pieces, o.m.pieces) && !v.dead {
			c.w.failf("version %x is being read, and what it was before it was recoded is gone", o.version[:4])
		}
		c.w.failf("version %x is being read, and %d shards of its chunk are left:%s", o.version[:4], n, c.where(piece.chunk))
	}
}

func (c *checker) anyGood(id shardstore.ID) bool {
	for _, n := range c.w.nodes {
		for _, d := range n.drives {
			if s := d.shards[id]; s != nil && !d.gone && s.good() {
				return true
			}
		}
	}
	return false
}

// someETag gives an ETag that a key has or had.
func (c *checker) someETag(at place) string {
	list := c.etags[at]
	if len(list) == 0 {
		return "v0"
	}
	return list[max(0, len(list)-1-c.w.rng.IntN(2))]
}

// A client's calls, for porcupine: registers with conditional writes.

type registerOp struct {
	at      place
	kind    opKind // getOp, putObjectOp or deleteOp
	etag    string // written
	ifNone  bool
	ifMatch string
}

type registerResult struct {
	etag    string // read
	refused bool   // its condition did not hold
	unknown bool
}

type pendingCall struct {
	client int
	op     *operation
	call   int64
}

func (c *checker) tick() int64 { c.clock++; return c.clock }

func (c *checker) begin(client int, op *operation) *pendingCall {
	return &pendingCall{client, op, c.tick()}
}

// end notes the outcome of a call.
func (c *checker) end(call *pendingCall, v any, err error) {
	op, end := call.op, c.tick()
	etag, _ := v.(string)
	kind := api.KindOf(err)
	in := registerOp{at: place{op.b, op.key}, kind: op.kind, etag: etag, ifNone: op.ifNone, ifMatch: op.ifMatch}
	out := registerResult{}
	switch {
	case err == nil:
		c.w.counts["ok"]++
	case kind == api.PreconditionFailed || kind == api.NoSuchKey && op.ifMatch != "":
		out.refused = true
		c.w.counts["refused"]++
	case kind == api.OutcomeUnknown:
		out.unknown, end = true, math.MaxInt64
		c.w.counts["unknown"]++
	default:
		c.w.counts["failed"]++
		return
	}
	switch op.kind {
	case getOp:
		if err != nil {
			return
		}
		out.etag, in.etag = etag, ""
	case putObjectOp, completeOp:
		in.kind, in.etag = putObjectOp, string(etagOf(op.content))
		if err == nil {
			c.acknowledged(in.at, in.etag)
		}
	case copyOp:
		if out.refused {
			return
		}
		in.kind, in.etag = putObjectOp, op.copied
		if out.unknown {
			if op.copied != "" {
				c.record(call, in, out, end)
			}
			return
		}
		c.acknowledged(in.at, etag)
		c.record(call, registerOp{at: *op.from, kind: getOp}, registerResult{etag: etag}, end)
	}
	c.record(call, in, out, end)
}

func (c *checker) record(call *pendingCall, in registerOp, out registerResult, end int64) {
	c.history = append(c.history, porcupine.Operation{ClientId: call.client, Input: in, Output: out, Call: call.call, Return: end})
}

// acknowledged checks that what a client was told is so.
func (c *checker) acknowledged(at place, etag string) {
	if !slices.Contains(c.etags[at], etag) {
		c.w.failf("%v: %s was acknowledged, and no group has it", at, etag)
	}
}
