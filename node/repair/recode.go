package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/trouble"
	"shoal/p2p/placement"
)

// Recoder puts the content of a version, or of a part of an open upload, into shards of the present profile of its storage class. It
// tells whether it did; it need not when that is gone or is another one by now.
type Recoder interface {
	Recode(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest) (bool, error)
	// EndRecode gives up a recoding that was announced and never finished.
	EndRecode(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest) error
}

const (
	// recodeClean is how many passes must find nothing before a group is left alone, since clients may
	// have written for a moment under the profile before.
	recodeClean = 2
	// recodeAgain is after how long such a group is looked at again.
	recodeAgain = 24 * time.Hour
	// recodeEvery is the pause between passes. It is short for what a node has come to lead since the last one, and for what clients wrote
	// behind it; groups that are left alone cost nothing.
	recodeEvery = 30 * time.Second
)

// recoder gives the versions and parts of the groups led here the redundancy of the present profiles.
type recoder struct {
	c       Groups
	r       Recoder
	layouts *layouts
	leads   func() []consensus.GroupID
	rate    int64
	busy    func() bool
	budget  *budget
	now     func() time.Time
	log     *slog.Logger
	worker  *Worker
	met     *metrics

	clean map[consensus.GroupID]cleanGroup

	mu    sync.Mutex // guards stale
	stale map[consensus.GroupID]bool
}

// cleanGroup is a group in which the last passes found nothing to recode.
type cleanGroup struct {
	profile erasure.Profile
	epoch   uint64
	passes  int
	at      time.Time
}

// again says that versions of a group have got another storage class. It does not wait.
func (r *recoder) again(g consensus.GroupID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stale == nil {
		r.stale = make(map[consensus.GroupID]bool)
	}
	r.stale[g] = true
	r.worker.wake()
}

// forget makes the groups be looked through of which again was called since the last time.
func (r *recoder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := range r.stale {
		delete(r.clean, g)
	}
	r.stale = nil
}

// run works until ctx ends.
func (r *recoder) run(ctx context.Context, log *trouble.Log) {
	r.worker.repeat(ctx, pace{pause: recodeEvery, retry: retryEvery}, log, r.cycle)
}

// cycle looks through the groups led here.
func (r *recoder) cycle(ctx context.Context) error {
	if r.r == nil {
		return nil
	}
	l, err := r.layouts.current(ctx)
	if err != nil {
		return err
	}
	r.forget()
	limit := rate.NewLimiter(rate.Limit(r.rate), int(max(r.rate/8, 1)))
	clean := make(map[consensus.GroupID]cleanGroup)
	var errs []error
	again := false
	for _, g := range r.leads() {
		if g == consensus.SystemGroup {
			continue
		}
		l := l.For(g)
		if l == nil {
			continue
		}
		was := r.clean[g]
		if was.profile != l.Profile || was.epoch != l.Epoch {
			was = cleanGroup{profile: l.Profile, epoch: l.Epoch}
		}
		if was.passes >= recodeClean && r.now().Sub(was.at) < recodeAgain {
			clean[g] = was
			continue
		}
		found, held, err := r.group(ctx, g, l, limit)
		if err != nil {
			errs = append(errs, fmt.Errorf("group %d: %w", g, err))
			continue
		}
		again = again || held
		was.passes, was.at = was.passes+1, r.now()
		if found > 0 {
			was.passes = 0
		}
		clean[g] = was
	}
	r.clean = clean
	if len(errs) == 0 && again {
		return errAgain
	}
	return errors.Join(errs...)
}

// group recodes what a group has. It tells how many versions and parts it found that want it, and whether some were left for later
// because their uploads are being completed. One that cannot be recoded is passed over, and counts as found.
func (r *recoder) group(ctx context.Context, g consensus.GroupID, l *peer.Layout, limit *rate.Limiter) (found int, held bool, err error) {
	var failed error
	wrong := make(map[api.StorageClass]func(erasure.Profile) bool)
	for _, class := range [...]api.StorageClass{api.StandardClass, api.ReducedRedundancy} {
		wrong[class] = wrongProfiles(l, class)
	}
	err = eachManifest(ctx, r.c, g, func(v *meta.VersionManifest) error {
		if r.layouts.outdated(l) {
			return errOutdated
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.worker.progress(1)
		bytes := r.wants(ctx, g, wrong[v.Class()], v.GetManifest())
		if bytes == 0 {
			// Who announced a new manifest for what may stay as it is has crashed, or is not up to date.
			if v.GetRecoding() {
				found++
				failed = errors.Join(failed, r.r.EndRecode(ctx, g, v))
			}
			return nil
		}
		if found++; found == 1 {
			r.worker.begin(0)
		}
		if v.GetHeld() {
			held = true
			return nil
		}
		if err := r.one(ctx, g, v, bytes, limit); err != nil {
			failed = err
		}
		return nil
	})
	if err == nil {
		err = failed
	}
	return found, held, err
}

func (r *recoder) one(ctx context.Context, g consensus.GroupID, v *meta.VersionManifest, bytes int64, limit *rate.Limiter) error {
	if err := r.budget.wait(ctx, bytes); err != nil {
		return err
	}
	cost := bytes
	if r.busy != nil && r.busy() {
		cost *= busyFactor
	}
	for left := cost; left > 0; {
		n := min(left, int64(limit.Burst()))
		if err := limit.WaitN(ctx, int(n)); err != nil {
			return err
		}
		left -= n
	}
	done, err := r.r.Recode(ctx, g, v)
	if err != nil {
		if kind := api.KindOf(err); kind == api.NoSuchVersion || kind == api.ConditionalConflict {
			return nil
		}
		if v.GetPart() > 0 {
			return fmt.Errorf("recode part %d of upload %x: %w", v.GetPart(), v.GetVersion(), err)
		}
		return fmt.Errorf("recode version %x: %w", v.GetVersion(), err)
	}
	if done {
		r.worker.moved(bytes)
		r.met.recoded.Inc()
	}
	return nil
}

// wants gives the bytes of a version or part some of whose stripes are of a wrong profile, those of its tree included;
// 0 when it may stay as it is. What cannot be read is for others to find.
func (r *recoder) wants(ctx context.Context, g consensus.GroupID, wrong func(erasure.Profile) bool, manifest []byte) (bytes int64) {
	m, err := chunker.ParseManifest(manifest)
	if err != nil {
		return 0
	}
	tree, wants := false, false
	for i := range m.Segments {
		s := &m.Segments[i]
		tree = tree || s.Kind == chunker.SegmentNode
		wants = wants || wrong(erasure.Profile{K: s.K, M: s.M})
	}
	if tree && !wants {
		err := r.c.Stripes(ctx, g, manifest, func(s client.Stripe) bool {
			wants = wrong(erasure.Profile{K: s.K, M: s.M})
			return !wants
		})
		if err != nil && ctx.Err() == nil {
			r.log.Debug("look through a manifest", "group", g, "err", err)
		}
	}
	if !wants {
		return 0
	}
	return max(m.Size, 1)
}

// wrongProfiles says in which profiles versions of a storage class do not stay. What keeps more safe than
// the class's own may stay in STANDARD. Those who choose another class want what it costs, so what
// takes more room than that goes too.
func wrongProfiles(l *peer.Layout, class api.StorageClass) func(erasure.Profile) bool {
	l = l.As(class)
	weak := weakness(l)
	if class == api.StandardClass {
		return weak
	}
	room := func(a, b erasure.Profile) int { return a.Width() * int(b.K) }
	return func(p erasure.Profile) bool {
		return weak(p) || room(p, l.Profile) > room(l.Profile, p)
	}
}

// weakness says which profiles keep less of what is stored safe than the layout's: they have less parity, there are too few drives
// for them now, or they do not survive the loss of a node, two or a site where the layout's profile does.
func weakness(l *peer.Layout) func(erasure.Profile) bool {
	now := survives(l.Table, l.Profile.M)
	known := make(map[erasure.Profile]bool)
	return func(p erasure.Profile) bool {
		weak, ok := known[p]
		if !ok {
			t := l.TableFor(p.Width())
			weak = p.M < l.Profile.M || t == nil || t.Folded() || !survives(t, p.M).covers(now)
			known[p] = weak
		}
		return weak
	}
}

// survival is what stripes survive the loss of.
type survival struct{ node, twoNodes, site bool }

func survives(t *placement.Table, parity uint8) survival {
	site, node, err := placement.Spread(t.Drives(), t.Width())
	if err != nil {
		return survival{}
	}
	m := int(parity)
	return survival{node: node <= m, twoNodes: m >= 2 && 2*node <= m, site: site <= m}
}

func (s survival) covers(o survival) bool {
	return (s.node || !o.node) && (s.twoNodes || !o.twoNodes) && (s.site || !o.site)
}
