package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// bulkOver is the payload size above which a call takes the bulk plane even if its method does
// not ask for it, in bytes.
const bulkOver = 256 << 10

// Call sends req to a peer and waits for its answer. See p2p.Transport.
func (h *Host) Call(ctx context.Context, to p2p.NodeID, m p2p.Method, req *p2p.Message) (*p2p.Message, error) {
	if req == nil {
		req = &p2p.Message{}
	}
	if err := req.Check(); err != nil {
		return nil, err
	}
	if to == h.id.self {
		return h.callSelf(ctx, m, req)
	}
	if err := ctx.Err(); err != nil {
		return nil, &p2p.CallError{To: to, Method: m, Err: err}
	}
	bulk := m.Bulk() || len(req.Payload) > bulkOver
	resp, sent, err := h.callPeer(ctx, to, m, req, bulk)
	if err != nil {
		err = callError(ctx, to, m, sent, err)
		h.metrics.call(bulk, req.Size(), 0, err)
		return nil, err
	}
	h.metrics.call(bulk, req.Size(), resp.Size(), nil)
	return resp, nil
}

// callPeer tries again, once, when the connection turned out to be gone before the request was
// out: it may have been idle for long.
func (h *Host) callPeer(ctx context.Context, to p2p.NodeID, m p2p.Method, req *p2p.Message, bulk bool) (resp *p2p.Message, sent bool, err error) {
	l, err := h.link(to)
	if err != nil {
		return nil, false, err
	}
	for try := 0; ; try++ {
		if bulk {
			resp, sent, err = l.bulk.call(ctx, m, req)
		} else {
			var s *session
			if s, err = l.open(ctx); err != nil {
				return nil, false, err
			}
			resp, sent, err = s.call(ctx, m, req)
		}
		if err == nil || sent || try > 0 || ctx.Err() != nil || final(err) {
			return resp, sent, err
		}
	}
}

// final reports whether an error that came before anything was sent will come again.
func final(err error) bool {
	return errors.Is(err, p2p.ErrUnreachable) || errors.Is(err, p2p.ErrClosed) || errors.Is(err, p2p.ErrRefused)
}

// callError gives an error the form that p2p promises.
func callError(ctx context.Context, to p2p.NodeID, m p2p.Method, sent bool, err error) error {
	var remote *p2p.RemoteError
	switch {
	case errors.As(err, &remote):
		dl, ok := ctx.Deadline()
		if remote.Code != p2p.CodeInternal || !ok || time.Now().Before(dl) {
			return err
		}
		// The handler ran out of time a moment before the caller did.
		sent, err = true, context.DeadlineExceeded
	case errors.Is(err, p2p.ErrRefused):
		return fmt.Errorf("call method %v of %s: %w", m, to.Short(), err)
	case !sent && !final(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", p2p.ErrUnreachable, err)
	}
	return &p2p.CallError{To: to, Method: m, Sent: sent, Err: err}
}

// callSelf runs the handler where it stands.
func (h *Host) callSelf(ctx context.Context, m p2p.Method, req *p2p.Message) (*p2p.Message, error) {
	hd, reason := h.handler(m, h.self)
	if reason != 0 || hd.call == nil {
		return nil, fmt.Errorf("call method %v of self: %w", m, refusal(max(reason, 1), ""))
	}
	if err := ctx.Err(); err != nil {
		return nil, &p2p.CallError{To: h.id.self, Method: m, Err: err}
	}
	resp, err := hd.call(ctx, h.self, req)
	if err != nil {
		if cerr := ctx.Err(); cerr != nil {
			return nil, &p2p.CallError{To: h.id.self, Method: m, Sent: true, Err: cerr}
		}
		return nil, p2p.NewRemoteError(err)
	}
	if resp == nil {
		resp = &p2p.Message{}
	}
	return resp, nil
}

// handler finds who serves m for a peer; a reason that is not 0 says why nobody does.
func (h *Host) handler(m p2p.Method, from p2p.Peer) (handler, wire.Refusal) {
	hd, ok := h.handlers[m]
	switch {
	case !ok:
		return hd, wire.RefuseMethod
	case !from.Roles.Has(hd.allow):
		return hd, wire.RefuseRole
	}
	return hd, 0
}

// refusal is the error for a KindRefuse frame.
func refusal(reason wire.Refusal, text string) error {
	switch reason {
	case wire.RefuseRole:
		return fmt.Errorf("%w: our role does not allow it", p2p.ErrRefused)
	case wire.RefuseMethod:
		return fmt.Errorf("%w: it does not know the method", p2p.ErrRefused)
	case wire.RefuseClosing:
		return fmt.Errorf("%w: it is shutting down", p2p.ErrUnreachable)
	}
	return fmt.Errorf("%w: reason %d %s", p2p.ErrRefused, reason, text)
}
