package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// node is a node of the cluster: its replication and metadata on a disk that can lose power, its drives, and what it keeps in memory.
type node struct {
	w      *world
	id     consensus.NodeID
	site   string
	root   *inode // of its disk
	drives []*drive

	skew time.Duration // of its clock
	full bool          // no room for metadata that grows
	up   bool
	// stalled nodes do nothing for so many ticks.
	stalled int

	// What follows is lost with the power.
	disk    *disk
	db      *pebble.DB
	still   pebble.Reader // of what is in db, which nothing changes while it is read
	st      *consensus.Stepper
	machine *machine
	procs   []*proc
	led     map[consensus.GroupID]uint64 // terms in which it is known to lead
	watches []driveWatch
	pins    map[peer.VersionID]pin
	reigns  map[consensus.GroupID]reign
	leaders map[consensus.GroupID]consensus.NodeID // hints of its router
	layout  *peer.Layout
	suspect map[shardstore.Owner]time.Time // owners that its sweep did not know
	tally   *tally                         // of its last check
	emptyAt map[consensus.GroupID]uint64   // entries applied when a group's list of dead versions was empty
	overdue map[entry]overdue
	agreed  map[consensus.GroupID]agreement
	// widths are those that stripes were found to have in the epoch widthsOf.
	widths   map[int]bool
	widthsOf uint64
}

// errNotLeader names who leads, "" when that is not known. Nothing was done.
type errNotLeader struct{ leader consensus.NodeID }

func (e errNotLeader) Error() string { return "not the leader" }

// clock is the node's own.
func (n *node) clock() time.Time { return n.w.now.Add(n.skew) }

func (n *node) open() {
	w := n.w
	n.disk = newDisk(n.root)
	o := consensus.PebbleOptions(consensus.PebbleConfig{FS: n.disk, CacheBytes: 64 << 20, MemTableBytes: 256 << 10})
	for i := range o.Levels { // nothing is gained by it in memory
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	db, err := pebble.Open("meta", o)
	w.must(err, "open database")
	n.machine = &machine{Machine: meta.New(meta.Config{}), n: n, applied: map[consensus.GroupID]uint64{}, told: map[string]toldAnswer{}}
	cfg := consensus.StepperConfig{
		Config: consensus.Config{
			Self: n.id, DB: db, FS: n.disk, Dir: "side", Machine: n.machine, ElectionTicks: 5, QuiesceTicks: 6, Rand: randomBytes{w.rng},
			Now: func() time.Time { return w.now }, TruncateEntries: 20, KeepEntries: 30, MaxLogBytes: 128 << 10, MaxInflightMessages: 4,
			CacheBytes: 64 << 10,
		},
		Order: w.rng,
		Send: func(to consensus.NodeID, frame []byte) {
			w.send(packet{from: n.id, to: to, arrive: func(m *node) { m.receive(n.id, frame) }})
		},
		SendSnapshot: n.sendSnapshot,
		BeforeAppend: n.maybeLosePower,
		AfterAppend:  func(error) bool { return n.disk.dark() == nil },
	}
	n.st, err = consensus.OpenStepper(cfg)
	w.must(err, "open groups")
	n.db, n.still, n.up = db, still{db}, true
	n.led = map[consensus.GroupID]uint64{}
	n.procs, n.watches, n.layout, n.tally, n.widths = nil, nil, nil, nil, nil
	n.agreed = map[consensus.GroupID]agreement{}
	n.emptyAt, n.overdue = map[consensus.GroupID]uint64{}, map[entry]overdue{}
	n.pins, n.reigns = map[peer.VersionID]pin{}, map[consensus.GroupID]reign{}
	n.leaders, n.suspect = map[consensus.GroupID]consensus.NodeID{}, map[shardstore.Owner]time.Time{}
	n.startWorkers()
}

// maybeLosePower arranges at times that the power fails while logs are written.
func (n *node) maybeLosePower() {
	if w := n.w; w.faulty && w.rng.IntN(1500) == 0 {
		n.disk.arm(w.rng.IntN(2), w.rng.IntN(2) == 0, w.percent(), w.fork())
	}
}

// crash ends the node. left is its disk as it is found later; nil makes one now.
func (n *node) crash(left *inode) {
	w := n.w
	w.counts["crash"]++
	if left == nil {
		left = n.disk.cut(w.percent(), w.fork())
	}
	n.up, n.stalled = false, 0
	for _, p := range slices.Clone(n.procs) {
		w.kill(p)
	}
	n.procs = nil
	for _, d := range n.drives {
		d.crash(w.rng.IntN(len(d.log) + 1))
	}
	w.must(n.st.Abandon(), "close side file")
	w.must(n.db.Close(), "close database")
	n.root = left
}

func (n *node) receive(from consensus.NodeID, frame []byte) {
	err := n.st.Receive(from, frame)
	if errors.Is(err, consensus.ErrBadFrame) {
		n.w.failf("node %s refuses a frame of %s: %v", n.id, from, err)
	}
}

func (n *node) sendSnapshot(to consensus.NodeID, header, body []byte, done func(bool)) {
	w, st := n.w, n.st
	w.counts["snapshot"]++
	if w.faulty && w.rng.IntN(8) == 0 {
		body = body[:w.rng.IntN(len(body))]
	}
	told := func(ok bool) {
		if n.up && n.st == st {
			done(ok)
		}
	}
	w.send(packet{from: n.id, to: to, once: true, lost: func() { told(false) }, arrive: func(m *node) { told(m.st.ReceiveSnapshot(n.id, header, body) == nil) }})
	p := w.spawn(n, "snapshot", func(p *proc) { // a stream that breaks is noticed
		p.sleep(20 * time.Second)
		told(false)
	})
	_ = p
}

// step does the i-th of the things that this node could do.
func (n *node) step(i int) {
	err := n.st.Do(i)
	switch {
	case errors.Is(err, consensus.ErrPowerLost):
		n.w.logf("%s loses power at a sync", n.id)
		n.crash(n.disk.dark())
		n.w.startAgain(n, time.Duration(n.w.rng.IntN(12000))*time.Millisecond)
	case err != nil:
		n.w.failf("node %s: %v", n.id, err)
	default:
		n.disk.arm(-1, false, 0, nil)
		n.w.check.leaders(n)
	}
}

// propose runs a command on a group that this node must lead.
func (n *node) propose(p *proc, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	if n.full && grows(cmd) {
		return nil, &api.Error{Kind: api.StorageFull, Op: "sim"}
	}
	cmd.Stamp, cmd.Agreed, cmd.Level = n.clock().UnixNano(), 0, meta.Level
	if endsLocks(cmd) {
		cmd.Agreed = n.agreedTime(p, g)
	}
	data, err := proto.Marshal(cmd)
	n.w.must(err, "encode a command")
	f := n.w.future()
	n.st.Propose(g, data, f.resolve)
	v, err := p.await(f, 0)
	if err != nil {
		return nil, outcome(err)
	}
	return v.(*meta.Result), nil
}

// grows says whether a command makes the metadata larger.
func grows(cmd *meta.Command) bool { return cmd.GetPutVersion() != nil }

// outcome turns an error of the replication into what a caller sees.
func outcome(err error) error {
	var nl *consensus.NotLeaderError
	switch {
	case errors.As(err, &nl):
		return errNotLeader{nl.Leader}
	case errors.Is(err, consensus.ErrOutcomeUnknown):
		return errSilent
	case errors.Is(err, consensus.ErrBusy), errors.Is(err, consensus.ErrNoReplica), errors.Is(err, consensus.ErrChangeRefused),
		errors.Is(err, consensus.ErrReplicaBroken):
		return errAway
	}
	return fmt.Errorf("unexpected outcome: %w", err)
}

// read reads what is linearizable, as node/server does.
func (n *node) read(p *proc, g consensus.GroupID, from func() error) error {
	leader, _, here := n.st.Leader(g)
	if !here {
		return errNotLeader{leader}
	}
	replica, ok := n.st.Replica(g)
	if !ok {
		return outcome(consensus.ErrNoReplica)
	}
	if n.w.mutant != readWithoutBarrier {
		f := n.w.future()
		n.st.ReadBarrier(g, f.resolve)
		if _, err := p.await(f, 0); err != nil {
			return outcome(err)
		}
	}
	if err := from(); n.st.Holds(g, replica) {
		return err
	}
	return outcome(consensus.ErrNoReplica)
}

func (n *node) query(p *proc, g consensus.GroupID, q *meta.Query) (a *meta.Answer, err error) {
	err = n.read(p, g, func() (err error) {
		if q.GetMembers() != nil || q.GetGroups() != nil {
			a, err = n.machine.system(q)
		} else {
			a, err = n.machine.Query(n.still, g, q)
		}
		n.w.must(err, "query")
		return nil
	})
	if err != nil {
		return nil, err
	}
	if o := q.GetOwners(); o != nil {
		n.sparePinned(g, o.GetOwners(), a.GetOwners().GetStates())
	}
	return a, a.Err("sim")
}

func (n *node) lookup(p *proc, g consensus.GroupID, q *meta.LookupQuery) (a *meta.LookupAnswer, err error) {
	err = n.read(p, g, func() (err error) {
		a, err = n.machine.Lookup(n.still, g, q)
		if err == nil && len(a.GetManifest()) > 0 {
			n.pin(peer.VersionID(a.GetHead().GetVersion()), true)
		}
		return err
	})
	return a, err
}

// still spares readers the snapshot that they take of a database which others write to meanwhile.
type still struct{ pebble.Reader }

// randomBytes feeds identities from the world's seed.
type randomBytes struct{ r *rand.Rand }

func (b randomBytes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b.r.Uint32())
	}
	return len(p), nil
}
