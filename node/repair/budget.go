package repair

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
)

// budget is what the operator lets a node move, recode and heal in all. It is shared by the workers.
type budget struct {
	rate func() int64 // bytes per second; 0, and no function, are for no bound

	mu    sync.Mutex // guards both
	limit *rate.Limiter
	now   int64 // that of limit
}

// limiter gives the limiter of the present rate, nil for no bound.
func (b *budget) limiter() *rate.Limiter {
	if b == nil || b.rate == nil {
		return nil
	}
	r := b.rate()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r <= 0:
		b.limit, b.now = nil, 0
	case b.limit == nil:
		b.limit, b.now = rate.NewLimiter(rate.Limit(r), burstOf(r)), r
	case r != b.now:
		b.limit.SetLimit(rate.Limit(r))
		b.limit.SetBurst(burstOf(r))
		b.now = r
	}
	return b.limit
}

func burstOf(bytesPerSecond int64) int { return int(max(bytesPerSecond/8, 1)) }

// wait returns when so many bytes may be moved. A rate that changes counts for what is still to be waited for.
func (b *budget) wait(ctx context.Context, bytes int64) error {
	for bytes > 0 {
		l := b.limiter()
		if l == nil {
			return nil
		}
		n := min(bytes, int64(l.Burst()))
		if l.WaitN(ctx, int(n)) != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		bytes -= n
	}
	return nil
}
