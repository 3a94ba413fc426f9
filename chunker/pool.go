package chunker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrBudget is returned for a request that the pool could never meet.
var ErrBudget = errors.New("buffer larger than the pool's budget")

// Pool lends buffers and bounds the memory of all that are lent and kept by a budget.
//
// Freshly touched memory costs a page fault for each 4 KiB, so a pool hands out again the buffer
// that came back last, which is also the likeliest to be in a processor's cache. Idle buffers stay
// mapped until the budget is wanted for another size, or Trim or TrimStale is called.
//
// Who waits is served in the order of asking. A holder of one buffer that waits for another can
// deadlock with others that do the same: take all that a piece of work needs by one GetMany.
type Pool struct {
	budget int64

	// mu guards what follows.
	mu      sync.Mutex
	lent    int64 // bytes of buffers that are out
	idle    int64 // bytes of buffers that are in
	free    [classCount][]idleBuffer
	clock   uint64 // counts releases; orders idle buffers by age
	stale   uint64 // clock at the last TrimStale
	waiters []*waiter
}

type idleBuffer struct {
	mem []byte
	at  uint64
}

// waiter is a request in the queue. ready is closed when its bytes have been charged to lent.
type waiter struct {
	bytes int64
	ready chan struct{}
}

// PoolStats is a pool's state at one moment, in bytes and requests.
type PoolStats struct {
	BudgetBytes, LentBytes, IdleBytes int64
	Waiting                           int
}

// NewPool returns a pool that never holds more than budgetBytes of memory, lent and idle together.
// Sizes are rounded up by at most a quarter before they are charged.
func NewPool(budgetBytes int64) *Pool {
	return &Pool{budget: budgetBytes}
}

// Get lends a buffer of size bytes. It waits while the budget is spent, and returns ctx's error when
// that ends first, or ErrBudget when the size alone exceeds the budget.
func (p *Pool) Get(ctx context.Context, size int) (*Buffer, error) {
	class, err := p.classify(size)
	if err != nil {
		return nil, err
	}
	if err := p.reserve(ctx, int64(classSize(class))); err != nil {
		return nil, fmt.Errorf("wait for a buffer of %d bytes: %w", size, err)
	}
	b, err := p.take(class, size)
	if err != nil {
		p.unreserve(int64(classSize(class)))
	}
	return b, err
}

// TryGet is Get that does not wait: it returns nil when the budget does not allow the buffer at once, or
// others wait for theirs.
func (p *Pool) TryGet(size int) *Buffer {
	class, err := p.classify(size)
	if err != nil {
		return nil
	}
	bytes := int64(classSize(class))
	p.mu.Lock()
	free := len(p.waiters) == 0 && p.lent+bytes <= p.budget
	if free {
		p.lent += bytes
	}
	p.mu.Unlock()
	if !free {
		return nil
	}
	b, err := p.take(class, size)
	if err != nil {
		p.unreserve(bytes)
		return nil
	}
	return b
}

// GetMany lends buffers of these sizes, all or none, under the conditions of Get.
func (p *Pool) GetMany(ctx context.Context, sizes ...int) ([]*Buffer, error) {
	total := int64(0)
	for _, size := range sizes {
		class, err := p.classify(size)
		if err != nil {
			return nil, err
		}
		total += int64(classSize(class))
	}
	if total > p.budget {
		return nil, fmt.Errorf("%w: %d buffers of %d bytes of %d", ErrBudget, len(sizes), total, p.budget)
	}
	if err := p.reserve(ctx, total); err != nil {
		return nil, fmt.Errorf("wait for %d buffers of %d bytes: %w", len(sizes), total, err)
	}
	bufs := make([]*Buffer, 0, len(sizes))
	for _, size := range sizes {
		class, _ := classOf(size)
		b, err := p.take(class, size)
		if err != nil {
			for _, got := range bufs {
				got.Release()
			}
			p.unreserve(total)
			return nil, err
		}
		total -= int64(classSize(class))
		bufs = append(bufs, b)
	}
	return bufs, nil
}

// Trim unmaps all idle buffers and returns how many bytes that gave back.
func (p *Pool) Trim() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.idle
	p.evict(0)
	return before - p.idle
}

// TrimStale unmaps the buffers that have been idle since the last call, and returns how many bytes that gave back.
func (p *Pool) TrimStale() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.idle
	for class, list := range p.free {
		n := 0
		for n < len(list) && list[n].at <= p.stale {
			p.idle -= int64(len(list[n].mem))
			unmapMemory(list[n].mem)
			n++
		}
		p.free[class] = slices.Delete(list, 0, n)
	}
	p.stale = p.clock
	return before - p.idle
}

// Stats returns the state of the pool.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStats{BudgetBytes: p.budget, LentBytes: p.lent, IdleBytes: p.idle, Waiting: len(p.waiters)}
}

func (p *Pool) classify(size int) (int, error) {
	class, ok := classOf(size)
	if !ok || int64(classSize(class)) > p.budget {
		return 0, fmt.Errorf("%w: %d bytes of %d", ErrBudget, size, p.budget)
	}
	return class, nil
}

// reserve charges bytes to the budget, waiting its turn when they are not there.
func (p *Pool) reserve(ctx context.Context, bytes int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	if len(p.waiters) == 0 && p.lent+bytes <= p.budget {
		p.lent += bytes
		p.mu.Unlock()
		return nil
	}
	w := &waiter{bytes: bytes, ready: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		p.abandon(w)
		return ctx.Err()
	}
}

// abandon takes w out of the queue, or gives back what it was granted in the meantime.
func (p *Pool) abandon(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, q := range p.waiters {
		if q == w {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.grant() // w may have been what kept smaller requests behind it waiting.
			return
		}
	}
	p.lent -= w.bytes
	p.grant()
}

func (p *Pool) unreserve(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent -= bytes
	p.grant()
}

// grant serves the head of the queue for as long as the budget lasts. The caller holds mu.
func (p *Pool) grant() {
	for len(p.waiters) > 0 && p.lent+p.waiters[0].bytes <= p.budget {
		w := p.waiters[0]
		p.waiters[0] = nil
		p.waiters = p.waiters[1:]
		p.lent += w.bytes
		close(w.ready)
	}
	if len(p.waiters) == 0 {
		p.waiters = nil // Let go of the array that the queue has walked along.
	}
}

// take finds memory for bytes that are reserved already.
func (p *Pool) take(class, size int) (*Buffer, error) {
	mem, err := p.takeMemory(class)
	if err != nil {
		return nil, err
	}
	return &Buffer{B: mem[:size], pool: p, mem: mem, class: class}, nil
}

func (p *Pool) takeMemory(class int) ([]byte, error) {
	p.mu.Lock()
	list := p.free[class]
	if n := len(list); n > 0 {
		mem := list[n-1].mem
		list[n-1] = idleBuffer{}
		p.free[class] = list[:n-1]
		p.idle -= int64(len(mem))
		p.mu.Unlock()
		return mem, nil
	}
	// Idle buffers of other sizes make way. What is reserved and not yet taken counts as lent.
	p.evict(p.budget - p.lent)
	p.mu.Unlock()
	mem, err := mapMemory(classSize(class))
	if err != nil {
		return nil, fmt.Errorf("map a buffer of %d bytes: %w", classSize(class), err)
	}
	return mem, nil
}

// evict unmaps the idle buffers that were released longest ago until at most keep bytes are left.
// The caller holds mu.
func (p *Pool) evict(keep int64) {
	for p.idle > keep {
		oldest := -1
		for class := range p.free {
			if len(p.free[class]) > 0 && (oldest < 0 || p.free[class][0].at < p.free[oldest][0].at) {
				oldest = class
			}
		}
		mem := p.free[oldest][0].mem
		rest := copy(p.free[oldest], p.free[oldest][1:])
		p.free[oldest][rest] = idleBuffer{}
		p.free[oldest] = p.free[oldest][:rest]
		p.idle -= int64(len(mem))
		unmapMemory(mem)
	}
}

func (p *Pool) put(class int, mem []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	p.free[class] = append(p.free[class], idleBuffer{mem, p.clock})
	p.lent -= int64(len(mem))
	p.idle += int64(len(mem))
	p.grant()
	// A grant that is waiting to take its memory counts as lent: idle memory must not stand in its way.
	p.evict(p.budget - p.lent)
}
