package repair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/placement"
)

const (
	// verifyLook is how often the verifier looks whether a group is to be walked.
	verifyLook = 10 * time.Second
	// verifyEvery is after how long a group is walked again though nothing has changed.
	verifyEvery = time.Hour
	// verifyRetry is after how long one is that could not be looked at as a whole, or of which something
	// is lost: that may come back, or be deleted. It is so many times as long as the walk took at least.
	verifyRetry = time.Minute
	verifyShare = 9
	// verifyBatch is how many stripes are asked for together.
	verifyBatch = 1000
)

// verifier looks whether there is anything at all of every stripe that a living version names, or a part of an open upload. The
// check walks drives, and sees each stripe of which one shard is left; one that is gone from all drives
// only the metadata know of. It walks the groups led here: after each change of the layout or of who
// is alive, and now and then.
type verifier struct {
	c       Groups
	heal    *Healer
	layouts *layouts
	leads   func() []consensus.GroupID
	changes func() uint64 // of nodes
	now     func() time.Time
	log     *slog.Logger
	worker  *Worker

	mu     sync.Mutex // guards groups
	groups map[consensus.GroupID]*groupTally
}

// groupTally is what a walk over a group has found.
type groupTally struct {
	epoch, changes uint64
	began, ended   time.Time
	whole          bool     // all could be looked at
	gone           affected // stripes of which there is nothing on any drive
	away           affected // the same, but drives did not answer
}

// cycle walks the groups that want it.
func (v *verifier) cycle(ctx context.Context) error {
	l, err := v.layouts.current(ctx)
	if err != nil {
		return err
	}
	var due []consensus.GroupID
	for _, g := range v.leads() {
		if g != consensus.SystemGroup && l.For(g) != nil && v.due(g, l) {
			due = append(due, g)
		}
	}
	if len(due) == 0 {
		return nil
	}
	v.worker.begin(int64(len(due)))
	var errs []error
	for _, g := range due {
		w := &verifyWalk{v: v, g: g, l: l.For(g), asker: newAsker(v.heal), t: &groupTally{epoch: l.Epoch, changes: v.changes(), began: v.now(), whole: true}}
		if err := w.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("group %d: %w", g, err))
			continue
		}
		v.keep(g, w.t)
		v.worker.progress(1)
	}
	return errors.Join(errs...)
}

// due says that a group was not walked since something changed, or not for long.
func (v *verifier) due(g consensus.GroupID, l *peer.Layout) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.groups[g]
	if t == nil || !v.fresh(t, l) {
		return true
	}
	pause := verifyEvery
	if !t.whole || t.gone.stripes+t.away.stripes > 0 {
		pause = min(max(verifyRetry, verifyShare*t.ended.Sub(t.began)), verifyEvery)
	}
	return v.now().Sub(t.ended) >= pause
}

func (v *verifier) fresh(t *groupTally, l *peer.Layout) bool {
	return t.epoch == l.Epoch && t.changes == v.changes()
}

func (v *verifier) keep(g consensus.GroupID, t *groupTally) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t.ended = v.now()
	if v.groups == nil {
		v.groups = make(map[consensus.GroupID]*groupTally)
	}
	v.groups[g] = t
	if n := t.gone.stripes; n > 0 {
		v.log.Error("stripes that living versions need are gone from all drives", "group", g, "stripes", n)
	}
}

// report lists the groups that were walked here, also those led elsewhere by now, and not so long ago
// that nothing is known of them any more.
func (v *verifier) report(l *peer.Layout) (out []api.GroupStripes) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for g, t := range v.groups {
		if age := v.now().Sub(t.ended); age < 2*verifyEvery {
			out = append(out, api.GroupStripes{
				Group: uint32(g), Age: age, Current: t.whole && v.fresh(t, l), Gone: report(&t.gone), Away: report(&t.away),
			})
		}
	}
	slices.SortFunc(out, func(a, b api.GroupStripes) int { return int(a.Group) - int(b.Group) })
	return out
}

// verifyWalk is a walk over the living versions of one group, and the parts of its open uploads.
type verifyWalk struct {
	v *verifier
	g consensus.GroupID
	l *peer.Layout // for the group's buckets
	t *groupTally
	*asker
}

// named is a stripe with a version or part that names it.
type named struct {
	client.Stripe
	version *meta.VersionManifest
}

func (w *verifyWalk) run(ctx context.Context) error {
	var batch []named
	err := eachManifest(ctx, w.v.c, w.g, func(v *meta.VersionManifest) error {
		if w.v.layouts.outdated(w.l) {
			return errOutdated
		}
		if len(v.GetManifest()) == 0 {
			return ctx.Err() // its content lies with it
		}
		err := w.v.c.Stripes(ctx, w.g, v.GetManifest(), func(s client.Stripe) bool {
			if batch = append(batch, named{s, v}); len(batch) == verifyBatch {
				w.judge(ctx, batch)
				batch = batch[:0]
			}
			return ctx.Err() == nil
		})
		if err != nil {
			w.t.whole = false
			w.v.log.Warn("the stripes of a version are not known", "group", w.g, "version", fmt.Sprintf("%x", v.GetVersion()), "part", v.GetPart(), "err", err)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if w.v.layouts.outdated(w.l) {
		return errOutdated
	}
	w.judge(ctx, batch)
	return ctx.Err()
}

// judge looks for anything of each stripe: where its shards belong, one after another, then where they
// may be otherwise. Most answer to the first question.
func (w *verifyWalk) judge(ctx context.Context, batch []named) {
	open := slices.Clone(batch)
	for turn := 0; len(open) > 0 && ctx.Err() == nil; turn++ {
		var qs []question
		var asked, done []named
		for _, s := range open {
			if q, ok := w.question(&s, turn); ok {
				qs, asked = append(qs, q), append(asked, s)
			} else {
				done = append(done, s)
			}
		}
		open = open[:0:0]
		for i, a := range w.ask(ctx, qs) {
			if a != yes {
				open = append(open, asked[i])
			}
		}
		w.suspect(ctx, done)
	}
}

// question is the one to ask of a stripe in a turn, unless the turns are over.
func (w *verifyWalk) question(s *named, turn int) (question, bool) {
	width := int(s.K) + int(s.M)
	if turn < width {
		if homes := w.l.Targets(nil, s.ID, width); len(homes) == width {
			return question{homes[turn], shardstore.ID{Chunk: s.ID, Index: uint8(turn)}}, true
		}
	}
	return question{}, false
}

// suspect looks for stripes on all drives that there are, twice: a shard may be on its way from one to
// another. Those whose versions name them still in between, and of which there is nothing, are counted.
func (w *verifyWalk) suspect(ctx context.Context, list []named) {
	silent := false
	for look := range 2 {
		if len(list) == 0 || ctx.Err() != nil {
			return
		}
		if look > 0 {
			list = slices.DeleteFunc(list, func(s named) bool { return !w.lives(ctx, s.version) })
		}
		found, unknown := w.anywhere(ctx, list)
		silent = unknown
		list = slices.DeleteFunc(list, func(s named) bool { return found[s.Stripe] })
	}
	for _, s := range list {
		set := &w.t.gone
		if silent {
			set = &w.t.away
		}
		set.add(int64(s.Sealed), []shardstore.Owner{{Group: uint32(w.g), Version: [16]byte(s.version.GetVersion())}}, versionsMax)
	}
}

// anywhere asks all drives for all shards of stripes. unknown says that some did not answer.
func (w *verifyWalk) anywhere(ctx context.Context, list []named) (found map[client.Stripe]bool, unknown bool) {
	var qs []question
	var of []client.Stripe
	for _, t := range everyDrive(w.l) {
		for _, s := range list {
			for i := range int(s.K) + int(s.M) {
				qs, of = append(qs, question{t, shardstore.ID{Chunk: s.ID, Index: uint8(i)}}), append(of, s.Stripe)
			}
		}
	}
	found = make(map[client.Stripe]bool)
	for i, a := range newAsker(w.v.heal).ask(ctx, qs) {
		switch a {
		case yes:
			found[of[i]] = true
		case away:
			unknown = true
		}
	}
	return found, unknown
}

// lives says that a version or part has the manifest still, or that this is not known.
func (w *verifyWalk) lives(ctx context.Context, v *meta.VersionManifest) bool {
	now, err := w.v.c.ManifestNow(ctx, w.g, v)
	return err != nil || now != nil && bytes.Equal(now.GetManifest(), v.GetManifest())
}

// everyDrive lists the drives of all epochs and widths that the layout knows.
func everyDrive(l *peer.Layout) (out []peer.Target) {
	l = l.Whole()
	tables := append([]*placement.Table{l.Table}, l.Others...)
	for i := range l.Earlier {
		tables = append(tables, l.Earlier[i].Tables...)
	}
	for _, t := range tables {
		for _, d := range t.Drives() {
			if at := (peer.Target{Node: p2p.NodeID(d.Node), Drive: peer.DriveID(d.ID)}); !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}
