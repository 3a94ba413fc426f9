package transport

import (
	"context"

	"golang.org/x/sync/semaphore"

	"shoal/p2p"
)

// budgetOver is the payload size from which a request counts against Config.ReceiveMax, in bytes.
// Smaller ones are bounded by the credit of their stream.
const budgetOver = 64 << 10

// notesMax is how many bytes of one peer's notifications are held at once. It is no part of
// ReceiveMax: requests that hold that may be waiting for a notification.
const notesMax = 2 * p2p.PayloadSizeMax

// newShare is the part of ReceiveMax that one peer can hold, so that no peer takes it from all
// others by announcing bodies that do not come.
func newShare(receiveMax int64) *semaphore.Weighted {
	return semaphore.NewWeighted(max(receiveMax/2, p2p.PayloadSizeMax))
}

// reserve waits until there is memory for the payload of a request, and returns what release wants
// back.
func (l *link) reserve(ctx context.Context, size uint32) (held int64, err error) {
	if size <= budgetOver {
		return 0, nil
	}
	held = int64(size)
	if err := l.share.Acquire(ctx, held); err != nil {
		return 0, err
	}
	if err := l.h.budget.Acquire(ctx, held); err != nil {
		l.share.Release(held)
		return 0, err
	}
	return held, nil
}

func (l *link) release(held int64) {
	if held > 0 {
		l.h.budget.Release(held)
		l.share.Release(held)
	}
}
