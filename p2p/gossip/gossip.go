// Package gossip spreads what speeds things up: each member's record of itself (addresses, drives,
// load, epochs), revocations, alerts, and checkpoints of logs. It has two fixed GossipSub topics and takes no others.
//
// Correctness never depends on it. A message counts if GossipSub verified its author's signature
// and the author is a member; of records the newer wins. Liveness is not spread here: a record
// says what a node was like, not that it lives.
package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	messageMax = 64 << 10

	// A record is published when it changes, at most once per publishGap, and every publishEvery,
	// which a large cluster stretches to publishEveryLarge.
	publishGap        = time.Second
	publishEvery      = 10 * time.Second
	publishEveryLarge = 30 * time.Second
	largeCluster      = 500
	// heartbeatRound is what GossipSub's heartbeats, one a second, begin at a multiple of: when the failure detector is awake.
	heartbeatRound = 500 * time.Millisecond
	// meshDelay is when a new neighbour surely has links of its own: after the next heartbeat.
	meshDelay = 1500 * time.Millisecond
)

// Config is what a Gossip is made of.
type Config struct {
	Host  host.Host     // required; stays the caller's
	Trust *member.Trust // required; revocations that arrive are put into it
	// Credential is this node's present one. It travels with each message, so that members who
	// never met this node can tell that it is one. Required.
	Credential func() []byte
	Self       Record // what this node says at first; Peer and Incarnation are filled in
	// Incarnation is higher than at any earlier start. Default: milliseconds since 1970.
	Incarnation uint64

	// OnRecord is told of each record that replaced an older one; it must not block. May be nil.
	OnRecord func(Record)
	// OnEpochs is told when a member announces a higher epoch than it did before, of the member
	// table, the layout or IAM. What is cached from an earlier one is to be dropped at once; whether
	// it is, the cache knows. It must not block. May be nil.
	OnEpochs func(from p2p.NodeID, epochs p2p.Epochs)
	// OnAlert is told of each alert; it must not block. May be nil.
	OnAlert func(from p2p.NodeID, text string)
	// OnCheckpoint is told what a member says that its logs have come to; it must not block, nor keep
	// the text. May be nil.
	OnCheckpoint func(from p2p.NodeID, text []byte)

	Now func() time.Time // default: time.Now
	Log *slog.Logger     // default: discards
}

// Gossip is this node's part in the topics.
type Gossip struct {
	cfg   Config
	self  p2p.NodeID
	dirty chan struct{} // holds a token when the own record is to be published
	crit  chan []byte   // revocations, alerts and checkpoints to be published

	mu      sync.RWMutex
	own     Record
	records map[p2p.NodeID]Record
	again   *time.Timer // calls Touch after meshDelay
}

// recordsMax bounds the records kept: one for each member.
const recordsMax = member.MembersMax

// critMax is how many critical messages may wait to be published.
const critMax = 1024

// New makes a Gossip that Run starts.
func New(cfg Config) (*Gossip, error) {
	if cfg.Host == nil || cfg.Trust == nil || cfg.Credential == nil {
		return nil, errors.New("gossip: host, trust and credential are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &Gossip{
		cfg:     cfg,
		self:    p2p.NodeID(cfg.Host.ID().String()),
		dirty:   make(chan struct{}, 1),
		crit:    make(chan []byte, critMax),
		own:     cfg.Self,
		records: make(map[p2p.NodeID]Record),
	}
	g.own.Peer = g.self
	if g.own.Incarnation = cfg.Incarnation; cfg.Incarnation == 0 {
		g.own.Incarnation = uint64(cfg.Now().UnixMilli())
	}
	g.own.Version = 1
	cfg.Trust.OnRevoke(func(v member.Revocation) { g.forget(v.Peer) })
	return g, nil
}

// Update changes what this node says of itself and has it published soon.
func (g *Gossip) Update(change func(r *Record)) {
	g.mu.Lock()
	change(&g.own)
	g.own.Peer = g.self
	g.own.Version++
	g.mu.Unlock()
	g.Touch()
}

// Touch publishes the own record soon, as for a peer that has just come up.
func (g *Gossip) Touch() {
	select {
	case g.dirty <- struct{}{}:
	default:
	}
}

// Own returns the own record.
func (g *Gossip) Own() Record {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.own
}

// Get returns the newest record of a member.
func (g *Gossip) Get(id p2p.NodeID) (Record, bool) {
	if id == g.self {
		return g.Own(), true
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	r, ok := g.records[id]
	return r, ok
}

// Records returns the newest record of each member heard of, the own one included.
func (g *Gossip) Records() []Record {
	g.mu.RLock()
	defer g.mu.RUnlock()
	out := append(make([]Record, 0, len(g.records)+1), g.own)
	for _, r := range g.records {
		out = append(out, r)
	}
	return out
}

func (g *Gossip) forget(id p2p.NodeID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.records, id)
}

// take keeps a record if it is newer than the one held.
func (g *Gossip) take(r *Record) {
	g.mu.Lock()
	old, known := g.records[r.Peer]
	news := r.Peer != g.self && (!known && len(g.records) < recordsMax || known && r.Newer(&old))
	if news {
		g.records[r.Peer] = *r
	}
	g.mu.Unlock()
	if !news {
		return
	}
	if g.cfg.OnRecord != nil {
		g.cfg.OnRecord(*r)
	}
	if g.cfg.OnEpochs != nil && risen(old.Epochs, r.Epochs) {
		g.cfg.OnEpochs(r.Peer, r.Epochs)
	}
}

// risen reports whether any epoch is higher now than before.
func risen(before, now p2p.Epochs) bool {
	return now.Members > before.Members || now.Layout > before.Layout || now.IAM > before.IAM
}

// Revoke publishes a signed revocation and applies it here.
func (g *Gossip) Revoke(raw []byte) error {
	if _, err := g.cfg.Trust.Revoke(raw); err != nil {
		return err
	}
	return g.publishCritical(envelope{kind: kindRevocation, body: raw})
}

// Alert publishes a short text to all members.
func (g *Gossip) Alert(text string) error {
	if len(text) > alertMax {
		return fmt.Errorf("alert of %d bytes, at most %d allowed", len(text), alertMax)
	}
	return g.publishCritical(envelope{kind: kindAlert, body: []byte(text)})
}

// Checkpoint publishes what this node's logs have come to, as a text that others keep.
func (g *Gossip) Checkpoint(text []byte) error {
	if len(text) > checkpointMax {
		return fmt.Errorf("checkpoint of %d bytes, at most %d allowed", len(text), checkpointMax)
	}
	return g.publishCritical(envelope{kind: kindCheckpoint, body: text})
}

func (g *Gossip) publishCritical(e envelope) error {
	e.credential = g.cfg.Credential()
	select {
	case g.crit <- e.encode():
		return nil
	default:
		return errors.New("gossip: too many critical messages wait already")
	}
}

// Run takes part in the topics until ctx ends.
func (g *Gossip) Run(ctx context.Context) error {
	cluster := g.cfg.Trust.Cluster().ID.String()
	names := [2]string{"/shoal/" + cluster + "/state/1", "/shoal/" + cluster + "/crit/1"}
	params := pubsub.DefaultGossipSubParams()
	params.HeartbeatInitialDelay = p2p.UntilRound(time.Now(), heartbeatRound)
	ps, err := pubsub.NewGossipSub(ctx, g.cfg.Host, pubsub.WithGossipSubParams(params),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithPeerFilter(func(pid peer.ID, _ string) bool { return g.isMember(pid) }),
		pubsub.WithSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(names[:]...)),
		pubsub.WithMaxMessageSize(messageMax),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)), // it warns of what is normal here: no decaying tags
	)
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	g.cfg.Trust.OnRevoke(func(v member.Revocation) {
		if pid, err := peer.Decode(string(v.Peer)); err == nil && ctx.Err() == nil {
			ps.BlacklistPeer(pid)
		}
	})
	state, err := g.join(ps, names[0], g.checkRecord)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	crit, err := g.join(ps, names[1], g.checkCritical)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	events, err := state.topic.EventHandler()
	if err != nil {
		return unlessEnded(ctx, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { g.greet(ctx, events) })
	wg.Go(func() { g.read(ctx, state.sub, g.onRecord) })
	wg.Go(func() { g.read(ctx, crit.sub, g.onCritical) })
	g.publish(ctx, state.topic, crit.topic)
	wg.Wait()
	return nil
}

// unlessEnded drops an error that only says that ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type joined struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

func (g *Gossip) join(ps *pubsub.PubSub, name string, check func(author p2p.NodeID, e *envelope) bool) (joined, error) {
	valid := func(_ context.Context, _ peer.ID, m *pubsub.Message) bool {
		e, err := decodeEnvelope(m.Data)
		author := p2p.NodeID(m.GetFrom().String())
		// Relays carry a revoked author's messages too, so the author counts, not the sender.
		return err == nil && g.authored(author, e.credential) && check(author, &e)
	}
	if err := ps.RegisterTopicValidator(name, valid, pubsub.WithValidatorInline(true)); err != nil {
		return joined{}, fmt.Errorf("gossip: topic %s: %w", name, err)
	}
	topic, err := ps.Join(name)
	if err != nil {
		return joined{}, fmt.Errorf("gossip: topic %s: %w", name, err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(256))
	if err != nil {
		return joined{}, fmt.Errorf("gossip: topic %s: %w", name, err)
	}
	return joined{topic, sub}, nil
}

// isMember reports whether a neighbour has proved its membership.
func (g *Gossip) isMember(pid peer.ID) bool {
	_, ok := g.cfg.Trust.Member(p2p.NodeID(pid.String()))
	return ok
}

// authored reports whether the author of a message, whose signature GossipSub has verified, is a
// member: because we know, or because the credential that came along says so.
func (g *Gossip) authored(author p2p.NodeID, credential []byte) bool {
	if author == g.self {
		return true
	}
	if _, ok := g.cfg.Trust.Member(author); ok {
		return true
	}
	c, err := g.cfg.Trust.Check(credential, author)
	return err == nil && g.cfg.Trust.Admit(c) == nil
}

func (g *Gossip) read(ctx context.Context, sub *pubsub.Subscription, take func(author p2p.NodeID, e *envelope)) {
	defer sub.Cancel()
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if m.GetFrom() == g.cfg.Host.ID() {
			continue
		}
		if e, err := decodeEnvelope(m.Data); err == nil {
			take(p2p.NodeID(m.GetFrom().String()), &e)
		}
	}
}

// publish sends the own record and what is critical, until ctx ends.
func (g *Gossip) publish(ctx context.Context, state, crit *pubsub.Topic) {
	send := func(t *pubsub.Topic, b []byte) {
		if err := t.Publish(ctx, b); err != nil && ctx.Err() == nil {
			g.cfg.Log.Debug("not published", "topic", t.String(), "err", err)
		}
	}
	next := time.NewTimer(0)
	defer next.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-g.crit:
			send(crit, b)
			continue
		case <-g.dirty:
			// At once if the last time is long enough ago.
			next.Reset(time.Until(last.Add(publishGap)))
			continue
		case <-next.C:
		}
		last = time.Now()
		own := g.Own()
		e := envelope{kind: kindRecord, body: own.Encode(), credential: g.cfg.Credential()}
		send(state, e.encode())
		every := publishEvery
		if len(g.cfg.Host.Network().Peers()) > largeCluster {
			every = publishEveryLarge
		}
		next.Reset(every*9/10 + rand.N(every/5))
	}
}

// greet publishes the own record for each peer that comes to the topic, and once more when it has
// become part of the mesh.
func (g *Gossip) greet(ctx context.Context, events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	for {
		ev, err := events.NextPeerEvent(ctx)
		if err != nil {
			return
		}
		if ev.Type != pubsub.PeerJoin {
			continue
		}
		g.Touch()
		g.mu.Lock()
		if g.again == nil {
			g.again = time.AfterFunc(meshDelay, g.Touch)
		} else {
			g.again.Reset(meshDelay)
		}
		g.mu.Unlock()
	}
}
