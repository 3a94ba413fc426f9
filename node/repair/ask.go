package repair

import (
	"context"
	"slices"
	"sync"

	"shoal/node/peer"
	"shoal/node/shardstore"
)

// question asks whether a place has a good shard.
type question struct {
	at peer.Target
	id shardstore.ID
}

type answer uint8

const (
	away answer = iota
	no
	yes
)

// asker asks drives for shards, each for up to a batch at a time. What a drive does not answer is away,
// as long as the asker is used.
type asker struct {
	heal *Healer

	mu     sync.Mutex // guards silent
	silent map[peer.DriveID]bool
}

func newAsker(h *Healer) *asker { return &asker{heal: h, silent: make(map[peer.DriveID]bool)} }

// ask asks whether shards are there.
func (a *asker) ask(ctx context.Context, qs []question) []answer {
	out := make([]answer, len(qs))
	a.each(ctx, qs, func(n peer.Node, d peer.DriveID, ids []shardstore.ID, part []int) error {
		has, err := n.HaveShards(ctx, d, ids)
		if err != nil || len(has) != len(ids) {
			return errAway
		}
		for k, i := range part {
			out[i] = no
			if has[k] {
				out[i] = yes
			}
		}
		return nil
	})
	return out
}

// askOwners asks whether shards are there and whom they belong to.
func (a *asker) askOwners(ctx context.Context, qs []question) ([]answer, []peer.OwnerSum) {
	out, sums := make([]answer, len(qs)), make([]peer.OwnerSum, len(qs))
	a.each(ctx, qs, func(n peer.Node, d peer.DriveID, ids []shardstore.ID, part []int) error {
		has, err := n.ShardOwners(ctx, d, ids)
		if err != nil || len(has) != len(ids) {
			return errAway
		}
		for k, i := range part {
			out[i], sums[i] = no, has[k]
			if has[k] != peer.NoShard {
				out[i] = yes
			}
		}
		return nil
	})
	return out, sums
}

// each calls f for the questions of each drive, some drives side by side; part are their indexes. A
// drive for which f fails is silent from then on.
func (a *asker) each(ctx context.Context, qs []question, f func(n peer.Node, d peer.DriveID, ids []shardstore.ID, part []int) error) {
	byDrive := make(map[peer.Target][]int)
	for i := range qs {
		byDrive[qs[i].at] = append(byDrive[qs[i].at], i)
	}
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for at, list := range byDrive {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for part := range slices.Chunk(list, checkBatch) {
				n := a.heal.node(at)
				if n == nil || a.isSilent(at.Drive) {
					return
				}
				ids := make([]shardstore.ID, len(part))
				for k, i := range part {
					ids[k] = qs[i].id
				}
				if f(n, at.Drive, ids, part) != nil {
					a.silence(at.Drive)
				}
			}
		})
	}
	wg.Wait()
}

func (a *asker) isSilent(d peer.DriveID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.silent[d]
}

func (a *asker) silence(d peer.DriveID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent[d] = true
}
