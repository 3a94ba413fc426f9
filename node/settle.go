package node

import (
	"context"
	"slices"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p/placement"
)

// settleEvery is how often the leader of the system group looks whether shards have settled.
const settleEvery = 20 * time.Second

// settle records which members are drained, and forgets earlier placement epochs once every node has found that nothing of them is left to
// be moved, and notes which widths stripes still have. A dead node that was drained or given up is not
// waited for, when what it had was made again.
func (n *Node) settle(ctx context.Context) error {
	drained := map[string]bool{} // members whose draining is on record
	t := time.NewTicker(settleEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if _, _, leads := n.host.Leader(consensus.SystemGroup); !leads {
			continue
		}
		if err := n.settleOnce(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Debug("earlier placements are kept", "err", err)
		}
		if err := n.recordDrained(ctx, drained); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Debug("it is not known which members are drained", "err", err)
		}
	}
}

func (n *Node) settleOnce(ctx context.Context) error {
	l, err := n.server.Layout(ctx, nil)
	if err != nil || len(l.Earlier)+len(l.Others) == 0 {
		return err
	}
	d, err := n.client.Durability(ctx, api.DurabilityQuery{})
	if err != nil || !d.Complete || d.Epoch != l.Epoch || d.Strays != 0 {
		return err
	}
	missed := len(d.Without) > 0 // nodes that may come back, with what nobody else has
	if !missed {
		n.widths.Store(&widthsFound{epoch: d.Epoch, widths: d.Widths})
	}
	if len(l.Earlier) == 0 || missed && d.BelowPromise.Stripes+d.Unreadable.Stripes > 0 {
		return nil
	}
	_, err = n.server.Propose(ctx, consensus.SystemGroup, &meta.Command{Op: &meta.Command_DropPlacements{
		DropPlacements: &meta.DropPlacements{Before: l.Epoch},
	}})
	return err
}

// widthsFound are the widths that stripes were found to have in an epoch.
type widthsFound struct {
	epoch  uint64
	widths []int
}

// inUse tells whether stripes of a table's width may exist. New ones are never of another width than
// the profile's, so a width that was not found in an epoch is gone for good.
func (n *Node) inUse(epoch uint64, t *placement.Table) bool {
	w := n.widths.Load()
	return w == nil || w.epoch != epoch || slices.Contains(w.widths, t.Width())
}
