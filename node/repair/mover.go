package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

const (
	moveBatch    = 256 // shards that are asked about together
	moveParallel = 4   // shards of a drive on their way
	// moveBytes bounds the memory of shards on their way.
	moveBytes = 68 << 20
	// moveAttempts is how often a shard is pushed whose owners change meanwhile.
	moveAttempts = 3
	// busyFactor is how much slower shards move while clients are served.
	busyFactor = 4
)

// mover brings the shards of this node's drives to their homes in the current epoch.
type mover struct {
	drives  map[peer.DriveID]*shardstore.Store
	layouts *layouts
	heal    *Healer
	groups  Groups
	drop    func(ctx context.Context, d peer.DriveID, drops []peer.Drop) ([]bool, error)
	rate    int64 // bytes per second and drive
	busy    func() bool
	pool    *chunker.Pool
	log     *slog.Logger
	worker  *Worker
	met     *metrics
	follows atomic.Uint64 // the epoch of the layout that the cycle under way goes by; 0 for none
}

// stray is a shard that does not belong where it is.
type stray struct {
	shardstore.Info
	home   peer.Target
	absent bool // its home has said that it has none that is good
	atHome bool // its home has one, which was put there, or read
}

// journey is a pass over one drive.
type journey struct {
	m      *mover
	l      *peer.Layout
	drive  peer.DriveID
	store  *shardstore.Store
	limit  *rate.Limiter
	waits  atomic.Int64  // shards that stay for now
	moves  *atomic.Int64 // shards that have gone home, in the cycle
	failed atomic.Pointer[error]
}

// cycle moves all that can be moved. Its error says that shards stay whose homes cannot take them.
func (m *mover) cycle(ctx context.Context) error {
	l, err := m.layouts.current(ctx)
	if err != nil {
		return err
	}
	m.follows.Store(l.Epoch)
	defer func() {
		m.follows.Store(0)
		if m.layouts.outdated(l) {
			m.worker.wake()
		}
	}()
	if m.layouts.outdated(l) { // who asks behind may not have seen it
		return nil
	}
	var total int64
	for d, st := range m.drives {
		n, err := strayBytes(ctx, l, d, st)
		if err != nil {
			return err
		}
		total += n
	}
	if total == 0 {
		return nil
	}
	m.worker.begin(total)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	var moves atomic.Int64
	for d, st := range m.drives {
		wg.Go(func() {
			j := &journey{m: m, l: l, drive: d, store: st, moves: &moves, limit: rate.NewLimiter(rate.Limit(m.rate), int(max(m.rate/8, 1)))}
			if err := j.run(ctx); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if moves.Load() > 0 {
		m.recount(ctx, l)
	}
	return errors.Join(errs...)
}

// behind tells whether shards may still be on their way to where they belonged before this epoch.
func (m *mover) behind(epoch uint64) bool {
	at := m.follows.Load()
	return at != 0 && at < epoch
}

// recount tells all nodes that shards have moved, so that each stripe is counted by one of them, and
// once. Who does not hear it counts again when its time comes.
func (m *mover) recount(ctx context.Context, l *peer.Layout) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	told := make(map[p2p.NodeID]bool)
	var wg sync.WaitGroup
	for _, t := range everyDrive(l) {
		n := m.heal.node(t)
		if n == nil || told[t.Node] {
			continue
		}
		told[t.Node] = true
		wg.Go(func() {
			if _, err := n.Admin(ctx, peer.Recount, nil); err != nil {
				m.log.Debug("tell a node to count again", "node_id", t.Node, "err", err)
			}
		})
	}
	wg.Wait()
}

// strayBytes tells how much on a drive belongs elsewhere, or nowhere: of a width that no stripe has had any more.
func strayBytes(ctx context.Context, l *peer.Layout, d peer.DriveID, st *shardstore.Store) (total int64, err error) {
	err = st.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		if home, ok := homeOfShard(l, &in); !ok || home.Drive != d {
			total += int64(in.PayloadLen)
		}
		return true
	})
	return total, err
}

// run moves what belongs elsewhere. What belongs nowhere is what a node that was away has kept of versions that are gone: their owners
// are dropped.
func (j *journey) run(ctx context.Context) error {
	var batch, homeless []stray
	err := j.store.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		home, ok := homeOfShard(j.l, &in)
		if !ok {
			j.m.worker.progress(int64(in.PayloadLen))
			if homeless = append(homeless, stray{Info: in}); len(homeless) == moveBatch {
				j.dropDead(ctx, homeless)
				homeless = homeless[:0]
			}
			return ctx.Err() == nil
		}
		if home.Drive == j.drive {
			return true
		}
		batch = append(batch, stray{Info: in, home: home})
		if len(batch) == moveBatch {
			j.move(ctx, batch)
			batch = batch[:0]
		}
		return ctx.Err() == nil && !j.m.layouts.outdated(j.l)
	})
	if err == nil && !j.m.layouts.outdated(j.l) {
		j.dropDead(ctx, homeless)
		j.move(ctx, batch)
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if n := j.waits.Load(); n > 0 {
		return &api.Error{Kind: api.Unavailable, Op: "repair.move", Err: fmt.Errorf("%d shards of drive %x wait for their homes: %w", n, j.drive, *j.failed.Load())}
	}
	return nil
}

// move moves a batch.
func (j *journey) move(ctx context.Context, batch []stray) {
	if len(batch) == 0 {
		return
	}
	j.dropDead(ctx, batch)
	j.askHomes(ctx, batch)
	slots := make(chan struct{}, moveParallel)
	var wg sync.WaitGroup
	for i := range batch {
		slots <- struct{}{}
		if j.m.layouts.outdated(j.l) {
			break // their homes may have been on a node that is being emptied
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := j.one(ctx, &batch[i]); err != nil {
				j.waits.Add(1)
				j.failed.Store(&err)
				j.m.log.Debug("shard stays away from home", "shard", batch[i].ID, "err", err)
			}
			j.m.worker.progress(int64(batch[i].PayloadLen))
		})
	}
	wg.Wait()
}

// dropDead takes owners off that their groups call dead, so that they are not pushed. One that is
// still being read stays and is pushed.
func (j *journey) dropDead(ctx context.Context, batch []stray) {
	shards := make(claims)
	var owners []shardstore.Owner
	for i := range batch {
		for _, o := range batch[i].Owners {
			if shards[o] == nil {
				owners = append(owners, o)
			}
			shards[o] = append(shards[o], batch[i].ID)
		}
	}
	dead := slices.Collect(maps.Keys(deadOwners(ctx, j.m.groups, owners)))
	if _, err := j.m.drop(ctx, j.drive, shards.drops(dead)); err != nil {
		j.m.log.Debug("drop dead owners", "err", err)
	}
}

// askHomes asks which of the shards are at home already.
func (j *journey) askHomes(ctx context.Context, batch []stray) {
	byHome := make(map[peer.Target][]int)
	for i := range batch {
		byHome[batch[i].home] = append(byHome[batch[i].home], i)
	}
	for home, list := range byHome {
		n := j.m.heal.node(home)
		if n == nil {
			continue
		}
		ids := make([]shardstore.ID, len(list))
		for k, i := range list {
			ids[k] = batch[i].ID
		}
		has, err := n.HaveShards(ctx, home.Drive, ids)
		for k, i := range list {
			batch[i].absent = err == nil && k < len(has) && !has[k]
		}
	}
}

// one moves a shard: it is gone from here when the error is nil.
func (j *journey) one(ctx context.Context, s *stray) error {
	err := error(nil)
	for range moveAttempts {
		w := j.store.Watch(s.ID)
		var gone bool
		gone, err = j.attempt(ctx, s, w)
		w.Close()
		if gone || err != nil {
			return err
		}
		err = fmt.Errorf("the owners of shard %v keep changing", s.ID)
	}
	return err
}

// attempt pushes a shard with all its owners, and removes it here if they are still the same and
// nobody has asked meanwhile that it be here.
func (j *journey) attempt(ctx context.Context, s *stray, w *shardstore.Watch) (gone bool, err error) {
	in, err := j.store.Stat(s.ID)
	if errors.Is(err, shardstore.ErrNotFound) {
		return true, nil
	}
	if err != nil && !errors.Is(err, shardstore.ErrCorrupt) {
		return false, err
	}
	n := j.m.heal.node(s.home)
	if n == nil {
		return false, errAway
	}
	if len(in.Owners) == 0 {
		return false, fmt.Errorf("shard %v has no owners", s.ID)
	}
	if in.Corrupt || err != nil {
		err = j.m.heal.Heal(ctx, s.Chunk, int(s.K)+int(s.M)) // what is here is of no use
	} else if !s.atHome {
		err = j.bring(ctx, n, s, &in)
	}
	if errors.Is(err, shardstore.ErrCorrupt) {
		err = errors.Join(j.store.MarkCorrupt(ctx, s.ID), j.m.heal.Heal(ctx, s.Chunk, int(s.K)+int(s.M)))
	}
	for _, o := range in.Owners { // also that of the push: it announces the shard at home
		if err == nil {
			err = n.AddOwner(ctx, s.home.Drive, []shardstore.ID{s.ID}, o)
		}
	}
	if s.atHome && api.KindOf(err) == api.NoSuchKey {
		s.atHome, s.absent = false, true
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.atHome = true
	gone, err = j.store.RemoveIf(ctx, w, in.Owners)
	if gone {
		j.m.heal.noteMove()
		j.moves.Add(1)
	}
	return gone, err
}

// bring sees to it that a shard is at its home. One that has been there for long may have lost bits that nobody has looked at since, and
// the one here may be what is left: it goes only when the other was read.
func (j *journey) bring(ctx context.Context, n peer.Node, s *stray, in *shardstore.Info) error {
	if !s.absent {
		if err := j.turn(ctx, int(in.PayloadLen)); err != nil {
			return err
		}
		good, err := n.VerifyShard(ctx, s.home.Drive, s.ID)
		if good || err != nil {
			return err
		}
	}
	return j.push(ctx, n, s, in)
}

// push sends the payload.
func (j *journey) push(ctx context.Context, n peer.Node, s *stray, in *shardstore.Info) error {
	if err := j.turn(ctx, int(in.PayloadLen)); err != nil {
		return err
	}
	buf, err := j.m.pool.Get(ctx, int(in.PayloadLen))
	if err != nil {
		return err
	}
	defer buf.Release()
	if _, err := j.store.ReadVerified(ctx, s.ID, buf.B, 0); err != nil {
		return err
	}
	err = n.PutShard(ctx, s.home.Drive, &shardstore.Shard{
		ID: s.ID, K: in.K, M: in.M, ChunkLen: in.ChunkLen, Hashes: in.Hashes, Owner: in.Owners[0], Payload: buf.B,
	})
	if err == nil {
		j.m.worker.moved(int64(in.PayloadLen))
		j.m.met.moved.Inc()
	}
	return err
}

// turn waits until so many bytes may be moved.
func (j *journey) turn(ctx context.Context, bytes int) error {
	j.m.worker.throttled(true)
	defer j.m.worker.throttled(false)
	if err := j.m.heal.budget.wait(ctx, int64(bytes)); err != nil {
		return err
	}
	if j.m.busy != nil && j.m.busy() {
		bytes *= busyFactor
	}
	for bytes > 0 {
		n := min(bytes, j.limit.Burst())
		if err := j.limit.WaitN(ctx, n); err != nil {
			return err
		}
		bytes -= n
	}
	return nil
}
