package transport

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	// methodRevoke carries a signed revocation. Methods 8 to 15 are the transport's own.
	methodRevoke p2p.Method = 15

	// spreadWait is what SpreadRevocation waits for answers. A revocation has to hold within a
	// second.
	spreadWait = 700 * time.Millisecond
)

// SpreadRevocation takes a signed revocation into account, which cuts the peer off here, and sends
// it to every connected member at once. When it returns, acked members have answered that the peer is
// cut off there too, and those of waiting, ascending, have not; it waits for them for 700 ms at most. They
// learn of it by gossip, or with their next hello to anybody.
//
// The error says that the revocation is not good, or could not be kept: nothing was sent.
func (h *Host) SpreadRevocation(ctx context.Context, raw []byte) (acked int, waiting []p2p.NodeID, err error) {
	v, err := h.trust.Cluster().VerifyRevocation(raw, h.trust.Now())
	if err != nil {
		return 0, nil, fmt.Errorf("spread revocation: %w", err)
	}
	if _, err := h.trust.Revoke(raw); err != nil {
		return 0, nil, fmt.Errorf("spread revocation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, spreadWait)
	defer cancel()
	var mu sync.Mutex // guards acked and waiting
	var wg sync.WaitGroup
	for _, id := range h.Connected() {
		if id == v.Peer {
			continue
		}
		wg.Go(func() {
			resp, err := h.Call(ctx, id, methodRevoke, &p2p.Message{Payload: raw})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.log.Warn("revocation was not acknowledged", "node_id", id, "revoked_id", v.Peer, "err", err)
				waiting = append(waiting, id)
				return
			}
			resp.Release()
			acked++
		})
	}
	wg.Wait()
	slices.Sort(waiting)
	return acked, waiting, nil
}

// takeRevocation answers when the peer that the revocation names is cut off. Any member may send
// one: it is the signature that counts.
func (h *Host) takeRevocation(_ context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	if len(req.Payload) > member.RecordMax {
		return nil, p2p.ErrTooLarge
	}
	if _, err := h.trust.Revoke(req.Payload); err != nil {
		h.metrics.fault(carrierRPC, faultRevocation)
		h.log.Warn("revocation refused", "node_id", from.ID, "err", err)
		return nil, err
	}
	return nil, nil
}
