package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/p2p"
)

// Directory finds the members that a client talks to.
type Directory interface {
	// Node gives the way to a member; nil when it is not known.
	Node(id p2p.NodeID) peer.Node
	// Nodes lists the members that keep metadata, the best one to ask first in front. They are asked
	// when it is not known which of them keep a group.
	Nodes() []p2p.NodeID
}

const (
	routeBudget   = 15 * time.Second // in all, unless the caller's context ends before
	routePauseMin = 2 * time.Millisecond
	routePauseMax = 50 * time.Millisecond
	// hungPatience is for how long others are asked for a new leader before one that did not answer
	// is asked again: a leader that hangs is replaced within that time.
	hungPatience = 700 * time.Millisecond

	queryTimeout   = time.Second     // of the first attempt; each further one that ends so gets twice as long
	proposeTimeout = 2 * time.Second // the same for commands, which wait for disks
)

// router sends a request for a group to the node that leads it.
type router struct {
	dir    Directory
	health *ailments
	// layout gives what is known of where groups are kept, and may be nil.
	layout func() *peer.Layout

	mu      sync.RWMutex // guards leaders
	leaders map[consensus.GroupID]p2p.NodeID
}

func newRouter(dir Directory, h *ailments, layout func() *peer.Layout) *router {
	if layout == nil {
		layout = func() *peer.Layout { return nil }
	}
	return &router{dir: dir, health: h, layout: layout, leaders: make(map[consensus.GroupID]p2p.NodeID)}
}

// query calls f with the leader of g, as often as it takes: f must not change anything.
func (r *router) query(ctx context.Context, g consensus.GroupID, f func(context.Context, peer.Node) error) error {
	w := walk{r: r, g: g, timeout: queryTimeout}
	return w.run(ctx, f)
}

// propose calls f with the leader of g, as often as it takes to learn the outcome: repeating f
// must change nothing. The error is OutcomeUnknown when f may have had its effect.
func (r *router) propose(ctx context.Context, g consensus.GroupID, f func(context.Context, peer.Node) error) error {
	w := walk{r: r, g: g, timeout: proposeTimeout, changes: true}
	return w.run(ctx, f)
}

// walk is one request on its way to the leader of a group.
type walk struct {
	r       *router
	g       consensus.GroupID
	timeout time.Duration // of the next attempt
	changes bool
	unknown bool // an attempt may have had its effect

	start time.Time
	pause time.Duration
	round int
	asked []p2p.NodeID             // in this round
	hint  p2p.NodeID               // whom the last answer named
	hung  map[p2p.NodeID]time.Time // nodes that did not answer, until when others are asked instead
}

func (w *walk) run(ctx context.Context, f func(context.Context, peer.Node) error) error {
	w.start, w.pause = time.Now(), routePauseMin
	var last error
	for {
		id, n := w.next()
		if n == nil {
			if last == nil && w.round > 0 {
				last = errors.New("no node of the store is known")
			}
			if w.round++; !w.rest(ctx) {
				return w.giveUp(ctx, last)
			}
			continue
		}
		err := w.attempt(ctx, id, n, f)
		if err == nil {
			w.r.learn(w.g, id)
			return nil
		}
		last = err
		if !w.again(ctx, id, err) {
			return w.final(ctx, err)
		}
	}
}

func (w *walk) attempt(ctx context.Context, id p2p.NodeID, n peer.Node, f func(context.Context, peer.Node) error) error {
	w.asked = append(w.asked, id)
	actx, cancel := context.WithTimeout(ctx, max(min(w.timeout, routeBudget-time.Since(w.start)), routePauseMin))
	defer cancel()
	err := f(actx, n)
	var other *peer.NotLeaderError
	if err == nil || actx.Err() == nil || ctx.Err() != nil || errors.As(err, &other) {
		return err
	}
	w.late(id)
	kind := api.Unavailable
	if w.changes && api.KindOf(err) != api.Unavailable {
		kind = api.OutcomeUnknown // only Unavailable says for certain that nothing was done
	}
	return &api.Error{Kind: kind, Op: "client.route", Err: fmt.Errorf("no answer in time: %w", err)}
}

// late notes that a node did not answer in time.
func (w *walk) late(id p2p.NodeID) {
	w.timeout *= 2
	if w.hung == nil {
		w.hung = make(map[p2p.NodeID]time.Time)
	}
	w.hung[id] = time.Now().Add(hungPatience)
	w.r.health.slow(id)
}

// again notes an error and tells whether another attempt makes sense.
func (w *walk) again(ctx context.Context, id p2p.NodeID, err error) bool {
	var other *peer.NotLeaderError
	w.hint = ""
	if errors.As(err, &other) {
		w.r.health.good(id)
		w.r.correct(w.g, id, other.Leader)
		if other.Leader != id {
			w.hint = other.Leader
		}
		return ctx.Err() == nil
	}
	kind := api.KindOf(err)
	switch {
	case kind == api.OutcomeUnknown && w.changes:
		w.unknown = true
	case kind == api.Canceled && w.changes: // at the other end
		w.unknown = true
	case kind == api.Unavailable, kind == api.Canceled:
	case w.unknown && (kind == api.SlowDown || kind == api.StorageFull):
		// This attempt was refused; an earlier one may have been heard.
	default:
		return false
	}
	if _, late := w.hung[id]; !late && (errors.Is(err, p2p.ErrUnreachable) || errors.Is(err, p2p.ErrOutcomeUnknown)) {
		w.r.health.lost(id)
	}
	w.r.correct(w.g, id, "")
	return ctx.Err() == nil
}

// final gives the error of an attempt after which there is no other.
func (w *walk) final(ctx context.Context, err error) error {
	var other *peer.NotLeaderError
	if w.unknown || ctx.Err() != nil || errors.As(err, &other) {
		return w.giveUp(ctx, err)
	}
	return err
}

func (w *walk) giveUp(ctx context.Context, err error) error {
	e := &api.Error{Kind: api.Unavailable, Op: "client.route", Detail: "The store's metadata does not answer.", Err: err}
	switch {
	case w.unknown:
		e.Kind, e.Detail = api.OutcomeUnknown, "The store did not say whether it has carried out the request."
	case ctx.Err() != nil:
		e.Kind, e.Detail, e.Err = api.Canceled, "", errors.Join(ctx.Err(), err)
	}
	return e
}

// next picks whom to ask: the one that was named last, the known leader, then those that keep the
// group in turn. It gives nil when all have been asked in this round.
func (w *walk) next() (p2p.NodeID, peer.Node) {
	for _, id := range [...]p2p.NodeID{w.hint, w.r.leader(w.g)} {
		if id != "" && w.r.health.usable(id) {
			if n := w.willing(id); n != nil {
				return id, n
			}
		}
	}
	candidates := w.candidates()
	for _, usable := range []bool{true, false} {
		for _, id := range candidates {
			if usable && !w.r.health.usable(id) {
				continue
			}
			if n := w.willing(id); n != nil {
				return id, n
			}
		}
	}
	return "", nil
}

// candidates are the nodes that may lead the group. Only when those that are said to keep it have
// all been asked are the others asked, who may know better.
func (w *walk) candidates() []p2p.NodeID {
	var voters []p2p.NodeID
	if l := w.r.layout(); l != nil {
		voters = l.Groups[w.g]
	}
	if len(voters) > 0 && w.round == 0 {
		return voters
	}
	all := slices.Clone(voters)
	for _, id := range w.r.dir.Nodes() {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// willing gives the node if it is worth being asked now.
func (w *walk) willing(id p2p.NodeID) peer.Node {
	if id == "" || slices.Contains(w.asked, id) || time.Now().Before(w.hung[id]) && !w.alone(id) {
		return nil
	}
	return w.r.dir.Node(id)
}

// alone tells whether there is nobody else to ask.
func (w *walk) alone(id p2p.NodeID) bool {
	for _, other := range w.candidates() {
		if other != id {
			return false
		}
	}
	return true
}

// rest waits before all are asked once more, and tells whether that makes sense.
func (w *walk) rest(ctx context.Context) bool {
	w.asked, w.hint = w.asked[:0], ""
	if time.Since(w.start)+w.pause > routeBudget || !sleep(ctx, w.pause) {
		return false
	}
	w.pause = min(2*w.pause, routePauseMax)
	return true
}

func (r *router) leader(g consensus.GroupID) p2p.NodeID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.leaders[g]
}

// learn notes who leads a group.
func (r *router) learn(g consensus.GroupID, leader p2p.NodeID) {
	r.health.good(leader)
	if r.leader(g) == leader {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaders[g] = leader
}

// correct notes that a node does not lead a group, but rather another one, "" for nobody known.
// What others have learned meanwhile stays.
func (r *router) correct(g consensus.GroupID, wrong, leader p2p.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.leaders[g]; have != "" && have != wrong {
		return
	}
	if leader == "" || leader == wrong {
		delete(r.leaders, g)
		return
	}
	r.leaders[g] = leader
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
