package repair

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// checkBatch is how many shards are looked at together, and asked of a drive at a time.
const checkBatch = 1000

// checker looks whether all stripes of which this node has shards are whole, and has healed what is
// not. For each stripe one node answers: the one that has, of the shards that are at home, the one of
// the lowest index; if none is at home, the one with the first of the others.
type checker struct {
	drives  map[peer.DriveID]*shardstore.Store
	layouts *layouts
	heal    *Healer
	log     *slog.Logger
	worker  *Worker
	met     *metrics

	// strays is told when shards lie here that belong elsewhere.
	strays func()

	// promised is what stripes are to survive besides the loss of drives.
	promised func() promise

	changes atomic.Uint64 // rises when a node dies or comes back

	mu   sync.Mutex // guards last
	last *tally     // of the last pass that ended
}

// candidate is a shard on this node, whose stripe this node may have to answer for.
type candidate struct {
	shardstore.Info
	drive  peer.DriveID // that has it
	l      *peer.Layout // by which its stripe is placed
	ahead  []question   // who answers before this node does, the first one first
	next   int
	state  *stripeState
	spoilt bool // the shard here is not right
}

// stripeState is what was found of a stripe.
type stripeState struct {
	homes []peer.Target
	home  []answer
	at    [][]peer.Target // of each index, where good ones are
	sum   peer.OwnerSum   // of the owners of one that is there
	torn  bool            // others have other owners
}

// owned notes the owners of a shard that is there.
func (s *stripeState) owned(sum peer.OwnerSum) {
	s.torn = s.torn || s.sum.Differ(sum)
	s.sum = max(s.sum, sum)
}

// cycle checks everything once.
func (c *checker) cycle(ctx context.Context) error {
	l, err := c.layouts.current(ctx)
	if err != nil {
		return err
	}
	var total int64
	for _, st := range c.drives {
		total += int64(st.Usage().Shards)
	}
	c.worker.begin(total)
	p := &checkPass{c: c, l: l, tally: newTally(l, c.promised()), asker: newAsker(c.heal)}
	c.heal.wanted.begin()
	for d, st := range c.drives {
		if err := p.drive(ctx, d, st); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.heal.wanted.settle()
	p.tally.end()
	c.mu.Lock()
	c.last = p.tally
	c.mu.Unlock()
	if p.tally.strays > 0 {
		c.strays()
	}
	if err := p.errs.join(); err != nil {
		return err
	}
	if p.tally.unsettled() || c.heal.wanted.count() > 0 {
		return errAgain
	}
	return nil
}

// checkPass is one pass over all drives.
type checkPass struct {
	c     *checker
	l     *peer.Layout
	tally *tally
	errs  mutexErrors // of heals, the first few
	*asker
}

func (p *checkPass) drive(ctx context.Context, d peer.DriveID, st *shardstore.Store) error {
	var batch []*candidate
	err := st.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		p.c.worker.progress(1)
		if c := p.candidate(d, in); c != nil {
			batch = append(batch, c)
		}
		if len(batch) >= checkBatch {
			p.judge(ctx, batch)
			batch = batch[:0]
		}
		return ctx.Err() == nil && !p.outdated()
	})
	if err == nil && !p.outdated() {
		p.judge(ctx, batch)
	}
	if err == nil && p.outdated() {
		err = errOutdated
	}
	return errors.Join(err, ctx.Err())
}

// outdated says that an epoch has begun since. What this pass goes by is true no more: other nodes answer for stripes, and other drives
// are their homes.
func (p *checkPass) outdated() bool { return p.c.layouts.outdated(p.l) }

// candidate says who answers for the stripe of a shard before this node does.
func (p *checkPass) candidate(d peer.DriveID, in shardstore.Info) *candidate {
	width := int(in.K) + int(in.M)
	p.tally.widths[width] = true
	l := viewOf(p.l, in.Owners)
	if l == nil {
		p.tally.homeless++
		return nil
	}
	p.tally.recodable = p.tally.recodable || width != l.Profile.Width()
	homes := l.Targets(nil, in.Chunk, width)
	if len(homes) == 0 || int(in.Index) >= width {
		p.tally.homeless++
		return nil
	}
	c := &candidate{Info: in, l: l, drive: d, state: &stripeState{homes: homes}, spoilt: in.Corrupt}
	if homes[in.Index].Drive != d {
		p.tally.strays++
	}
	settled := !in.Corrupt && homes[in.Index].Drive == d
	for i, h := range homes {
		if settled && i == int(in.Index) {
			return c
		}
		if h.Drive != d || i != int(in.Index) {
			c.ahead = append(c.ahead, question{h, shardstore.ID{Chunk: in.Chunk, Index: uint8(i)}})
		}
	}
	for i := range homes {
		for _, t := range places(l, in.Chunk, width, i) {
			if !in.Corrupt && i == int(in.Index) && t.Drive == d {
				return c
			}
			if t != homes[i] && (t.Drive != d || i != int(in.Index)) {
				c.ahead = append(c.ahead, question{t, shardstore.ID{Chunk: in.Chunk, Index: uint8(i)}})
			}
		}
	}
	return c
}

// places gives the places of a shard that are asked: its home, its homes of earlier epochs, and the
// drives that are asked to take it when its home is away.
func places(l *peer.Layout, chunk chunker.ChunkID, width, index int) []peer.Target {
	all := l.Homes(chunk, width, index)
	for _, t := range takers(l, chunk, width) {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// judge finds which stripes this node answers for, looks at those, and has healed what wants it.
func (p *checkPass) judge(ctx context.Context, batch []*candidate) {
	mine := p.responsible(ctx, batch)
	p.look(ctx, mine)
	mine = p.withoutDead(ctx, mine)
	var lacking, torn []*candidate
	for _, c := range mine {
		switch {
		case p.wantsHeal(c):
			lacking = append(lacking, c)
			p.c.met.missing.Inc()
			continue
		case c.state.torn:
			torn = append(torn, c)
			p.c.met.torn.Inc()
		}
		p.tally.count(c)
	}
	if len(lacking)+len(torn) == 0 {
		return
	}
	begun := time.Now()
	p.unite(ctx, torn)
	p.mend(ctx, lacking)
	p.c.worker.aside(time.Since(begun))
	if len(lacking) == 0 || ctx.Err() != nil {
		return
	}
	p.look(ctx, lacking)
	for _, c := range lacking {
		p.tally.count(c)
		p.c.heal.wanted.remove(c.Chunk) // what became of it is counted now
	}
}

// uniteMax is how many stripes get their owners at a time.
const uniteMax = 4

// unite gives all shards of stripes the owners that any of them has.
func (p *checkPass) unite(ctx context.Context, torn []*candidate) {
	slots := make(chan struct{}, uniteMax)
	var wg sync.WaitGroup
	for _, c := range torn {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p.errs.add(p.c.heal.unite(ctx, c.Chunk, c.width()))
		})
	}
	wg.Wait()
}

func (c *candidate) width() int { return int(c.K) + int(c.M) }

// errorsMax bounds the errors of a pass that are kept.
const errorsMax = 10

// mutexErrors collects errors of several goroutines, the first few.
type mutexErrors struct {
	mu   sync.Mutex // guards list
	list []error
}

func (e *mutexErrors) add(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil && len(e.list) < errorsMax {
		e.list = append(e.list, err)
	}
}

func (e *mutexErrors) join() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.list...)
}

// responsible gives the candidates before which nobody answers.
func (p *checkPass) responsible(ctx context.Context, batch []*candidate) (mine []*candidate) {
	open := slices.Clone(batch)
	for len(open) > 0 && ctx.Err() == nil {
		var qs []question
		var asked []*candidate
		for _, c := range open {
			if c.next < len(c.ahead) {
				qs, asked = append(qs, c.ahead[c.next]), append(asked, c)
				continue
			}
			if !c.spoilt || !p.spoiltAhead(ctx, c) {
				mine = append(mine, c)
			}
		}
		answers := p.ask(ctx, qs)
		open = open[:0]
		for i, c := range asked {
			if c.next++; answers[i] != yes {
				open = append(open, c)
			}
		}
	}
	return mine
}

// spoiltAhead tells of a stripe with no good shard left whether another node has a damaged one too
// and answers for it.
func (p *checkPass) spoiltAhead(ctx context.Context, c *candidate) bool {
	for _, q := range c.ahead {
		if q.id.Index >= c.Index {
			continue
		}
		if in, err := p.c.heal.stat(ctx, q.at, q.id); api.KindOf(err) == api.Corrupt || err == nil && in.Corrupt {
			return true
		}
	}
	return false
}

// look finds where the good shards of stripes are, and whether all have the same owners.
func (p *checkPass) look(ctx context.Context, mine []*candidate) {
	var qs []question
	for _, c := range mine {
		for i, h := range c.state.homes {
			qs = append(qs, question{h, shardstore.ID{Chunk: c.Chunk, Index: uint8(i)}})
		}
	}
	answers, sums := p.askOwners(ctx, qs)
	qs = qs[:0]
	var of []*stripeState // of each further question
	for _, c := range mine {
		st, n := c.state, len(c.state.homes)
		st.home, answers = answers[:n:n], answers[n:]
		st.at, st.sum, st.torn = make([][]peer.Target, n), peer.NoShard, false
		for i, h := range st.homes {
			if st.home[i] == yes {
				st.at[i] = []peer.Target{h}
				st.owned(sums[i])
				continue
			}
			for _, t := range places(c.l, c.Chunk, n, i) {
				if t != h {
					qs, of = append(qs, question{t, shardstore.ID{Chunk: c.Chunk, Index: uint8(i)}}), append(of, st)
				}
			}
		}
		sums = sums[n:]
	}
	answers, sums = p.askOwners(ctx, qs)
	for i := range qs {
		if answers[i] == yes {
			index := qs[i].id.Index
			of[i].at[index] = append(of[i].at[index], qs[i].at)
			of[i].owned(sums[i])
		}
	}
}

// withoutDead leaves out stripes that lack shards since they are being dropped: all their owners are dead. Where shards have other owners
// than the one here, one of those may live: a node that was away has shards by owners that have died meanwhile.
func (p *checkPass) withoutDead(ctx context.Context, mine []*candidate) []*candidate {
	lacks := func(c *candidate) bool { return good(c.state.at) < len(c.state.at) }
	var owners []shardstore.Owner
	for _, c := range mine {
		if lacks(c) {
			owners = append(owners, c.Owners...)
		}
	}
	if len(owners) == 0 {
		return mine
	}
	dead := lifelessOwners(ctx, p.c.heal.groups, owners)
	return slices.DeleteFunc(mine, func(c *candidate) bool {
		return lacks(c) && allIn(dead, c.Owners) && (!c.state.torn || p.dying(ctx, c))
	})
}

// dying tells whether no owner of any shard of a stripe lives.
func (p *checkPass) dying(ctx context.Context, c *candidate) bool {
	s, err := p.c.heal.survey(ctx, c.Chunk, c.width())
	if err != nil || s == nil {
		return err == nil
	}
	return allIn(lifelessOwners(ctx, p.c.heal.groups, s.owners), s.owners)
}

func allIn(dead map[shardstore.Owner]bool, owners []shardstore.Owner) bool {
	return !slices.ContainsFunc(owners, func(o shardstore.Owner) bool { return !dead[o] })
}

// wantsHeal says that a shard is nowhere and its home could have it, or that the loss of one drive
// more would be too much and others could take shards. A shard that lies elsewhere is moved home by the
// node that has it.
func (p *checkPass) wantsHeal(c *candidate) bool {
	missing, gone := 0, 0
	for i := range c.state.at {
		switch {
		case len(c.state.at[i]) > 0:
		case c.state.home[i] == no:
			missing++
		default:
			gone++
		}
	}
	left := peer.Tolerates(c.state.at, int(c.K))
	if left < 0 {
		return false // nothing can be done but wait for those that are away
	}
	return missing > 0 || gone > 0 && left < 1 && p.spare(c)
}

// spare says that there are drives that could take shards whose homes are away, so that the stripe
// bears the loss of a drive.
func (p *checkPass) spare(c *candidate) bool {
	return canSpread(c.state.at, int(c.K), takers(c.l, c.Chunk, len(c.state.at)), p.c.heal.reachable)
}
