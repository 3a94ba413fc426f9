package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// maintainInterval is how often the witness records are brought to disk.
const maintainInterval = 10 * time.Second

// maintainLoop strengthens the proofs against lost logs while there is something new: the side file is forced to disk, so that a power loss does not
// set it back far, and what peers said of their own logs is saved. Nothing waits for either.
func (h *Host) maintainLoop(ctx context.Context) {
	t := time.NewTicker(maintainInterval)
	defer t.Stop()
	var synced uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if d := h.c.store.durable.Load(); d != synced {
			if err := h.c.store.side.sync(); err != nil {
				h.c.cfg.Logger.Warn("side file not synced", "err", err)
			}
			synced = d
		}
		if err := h.savePeers(); err != nil {
			h.fail(err)
			return
		}
	}
}

// savePeers writes what peers said, if there is anything new. It is not forced to disk: a later batch will be.
func (h *Host) savePeers() error {
	b := h.c.db.NewBatch()
	defer b.Close()
	if !h.peers.save(b) {
		return nil
	}
	if err := commitBatch(b, pebble.NoSync); err != nil {
		return fmt.Errorf("%w: save peers: %v", ErrFatal, err)
	}
	return nil
}
