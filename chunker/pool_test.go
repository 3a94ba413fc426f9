package chunker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"unsafe"
)

func mustGet(t testing.TB, p *Pool, size int) *Buffer {
	t.Helper()
	b, err := p.Get(context.Background(), size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClasses(t *testing.T) {
	last := 0
	for class := range classCount {
		size := classSize(class)
		if size%pageSize != 0 || size <= last || class > 0 && size > last*5/4 {
			t.Fatalf("class %d has %d bytes after %d", class, size, last)
		}
		for _, want := range []int{last + 1, size - 1, size} {
			if got, ok := classOf(want); !ok || got != class {
				t.Fatalf("%d bytes go to class %d, want %d", want, got, class)
			}
		}
		last = size
	}
	if got, ok := classOf(0); !ok || got != 0 {
		t.Errorf("0 bytes go to class %d", got)
	}
	if _, ok := classOf(-1); ok {
		t.Error("a negative size has a class")
	}
	if _, ok := classOf(last + 1); ok {
		t.Error("a size beyond the last class has one")
	}
}

func TestBuffersAreAligned(t *testing.T) {
	p := NewPool(64 << 20)
	for _, size := range []int{0, 1, 4096, 4097, 65552, ChunkSize, 4195328} {
		b := mustGet(t, p, size)
		full := b.B[:cap(b.B)]
		start := uintptr(unsafe.Pointer(unsafe.SliceData(full)))
		if len(b.B) != size || len(full)%pageSize != 0 || start%pageSize != 0 {
			t.Errorf("size %d: length %d, capacity %d, start %#x", size, len(b.B), len(full), start)
		}
		for i := range full {
			full[i] = 0xa5
		}
		b.Release()
	}
	p.Trim()
}

func TestPoolReusesTheHottest(t *testing.T) {
	p := NewPool(1 << 20)
	a, b := mustGet(t, p, 8192), mustGet(t, p, 8192)
	first := unsafe.SliceData(a.B)
	b.Release()
	a.Release()
	if c := mustGet(t, p, 8000); unsafe.SliceData(c.B) != first {
		t.Error("the buffer that came back last is not the first to go out")
	}
}

func TestPoolKeepsItsBudget(t *testing.T) {
	const budget = 10 * 16384
	p := NewPool(budget)
	for range 10 {
		mustGet(t, p, 16384).Release()
	}
	if s := p.Stats(); s.IdleBytes != 16384 || s.LentBytes != 0 {
		t.Errorf("after one buffer at a time: %+v", s)
	}
	var held []*Buffer
	for range 10 {
		held = append(held, mustGet(t, p, 16384))
	}
	for _, b := range held {
		b.Release()
	}
	if s := p.Stats(); s.IdleBytes != budget {
		t.Errorf("idle buffers are not kept: %+v", s)
	}
	big := mustGet(t, p, 8*16384) // Eight idle ones must make way for it.
	if s := p.Stats(); s.LentBytes+s.IdleBytes > budget {
		t.Errorf("over the budget: %+v", s)
	}
	big.Release()
	if got := p.Trim(); got != p.Stats().BudgetBytes {
		t.Errorf("trimmed %d bytes, want all", got)
	}
	if s := p.Stats(); s.IdleBytes != 0 {
		t.Errorf("after a trim: %+v", s)
	}
}

func TestPoolTrimsWhatIsStale(t *testing.T) {
	p := NewPool(1 << 20)
	cold, warm, large := mustGet(t, p, 4096), mustGet(t, p, 4096), mustGet(t, p, 65536)
	cold.Release()
	warm.Release()
	large.Release()
	if got := p.TrimStale(); got != 0 {
		t.Errorf("trimmed %d bytes that were in use since", got)
	}
	warm = mustGet(t, p, 4096) // the one that came back last
	warm.Release()
	held := mustGet(t, p, 4096)
	kept := unsafe.SliceData(held.B)
	if got, want := p.TrimStale(), int64(classSize(0)+65536); got != want {
		t.Errorf("trimmed %d bytes, want %d: those of two that nobody has used, and not of the one that is out", got, want)
	}
	held.Release()
	if s := p.Stats(); s.IdleBytes != int64(classSize(0)) || s.LentBytes != 0 {
		t.Errorf("after a trim: %+v", s)
	}
	if again := mustGet(t, p, 4096); unsafe.SliceData(again.B) != kept {
		t.Error("a buffer that is in use was let go of")
	}
}

// TryGet takes what is there, waits for nothing, and overtakes nobody.
func TestPoolTryGet(t *testing.T) {
	p := NewPool(8 * pageSize)
	a := p.TryGet(5 * pageSize)
	if a == nil || len(a.B) != 5*pageSize {
		t.Fatal("no buffer although the budget is whole")
	}
	if p.TryGet(4*pageSize) != nil || p.TryGet(9*pageSize) != nil {
		t.Error("more was lent than the budget")
	}
	got := make(chan *Buffer)
	go func() {
		b, err := p.Get(t.Context(), 8*pageSize)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	for p.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	if p.TryGet(1) != nil {
		t.Error("somebody who waited was overtaken")
	}
	a.Release()
	(<-got).Release()
	if b := p.TryGet(8 * pageSize); b == nil {
		t.Error("no buffer although all came back")
	} else {
		b.Release()
	}
	if s := p.Stats(); s.LentBytes != 0 {
		t.Errorf("%d bytes are still lent", s.LentBytes)
	}
}

func TestPoolRefusesWhatCannotBe(t *testing.T) {
	p := NewPool(1 << 20)
	ctx := context.Background()
	if _, err := p.Get(ctx, 1<<20+1); !errors.Is(err, ErrBudget) {
		t.Errorf("more than the budget: error %v", err)
	}
	if _, err := p.GetMany(ctx, 1<<19, 1<<19, 1); !errors.Is(err, ErrBudget) {
		t.Errorf("many of more than the budget: error %v", err)
	}
	if _, err := p.Get(ctx, -1); !errors.Is(err, ErrBudget) {
		t.Errorf("negative size: error %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Get(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: error %v", err)
	}
	if s := p.Stats(); s.LentBytes != 0 {
		t.Errorf("refusals are charged: %+v", s)
	}
}

func TestSecondReleasePanics(t *testing.T) {
	p := NewPool(1 << 20)
	b := mustGet(t, p, 1)
	b.Release()
	mustGet(t, p, 1) // The memory has a new holder; the old handle must not give it away.
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	b.Release()
}

func TestPoolServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(4 * 16384) // four buffers of the smallest class
		held, err := p.GetMany(t.Context(), 1, 1, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		for i, size := range []int{3 * 16384, 1, 3 * 16384} {
			go func() {
				b, err := p.Get(t.Context(), size)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				b.Release()
			}()
			synctest.Wait()
		}
		held[0].Release()
		synctest.Wait()
		if len(order) != 0 {
			t.Errorf("%v went before a larger request that came first", order)
		}
		held[1].Release()
		held[2].Release()
		synctest.Wait()
		if fmt.Sprint(order) != "[0 1 2]" {
			t.Errorf("served in order %v", order)
		}
		held[3].Release()
		p.Trim()
	})
}

func TestPoolForgetsWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(2 * 16384)
		held := mustGet(t, p, 16384)
		ctx, cancel := context.WithCancel(t.Context())
		var tooBig, small error
		go func() { _, tooBig = p.Get(ctx, 2*16384) }()
		synctest.Wait()
		served := false
		go func() {
			var b *Buffer
			if b, small = p.Get(t.Context(), 1); small == nil {
				served = true
				b.Release()
			}
		}()
		synctest.Wait()
		if served {
			t.Error("served out of turn")
		}
		cancel() // The head gives up, and what stood behind it fits.
		synctest.Wait()
		if !errors.Is(tooBig, context.Canceled) || small != nil || !served {
			t.Errorf("head: %v, behind it: %v, served %v", tooBig, small, served)
		}
		held.Release()
		if s := p.Stats(); s.LentBytes != 0 || s.Waiting != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

// Many goroutines take one or several buffers, some giving up; nothing may be lost or lent twice.
func TestPoolConcurrently(t *testing.T) {
	const budget = 1 << 20
	p := NewPool(budget)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 300 {
				ctx, cancel := context.WithCancel(context.Background())
				if r.IntN(4) == 0 {
					go cancel()
				}
				bufs, err := p.GetMany(ctx, 1+r.IntN(100_000), 1+r.IntN(100_000))
				cancel()
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					continue
				}
				for _, b := range bufs {
					b.B[0], b.B[len(b.B)-1] = byte(worker), byte(worker)
				}
				if s := p.Stats(); s.LentBytes > budget {
					t.Errorf("%d bytes lent", s.LentBytes)
				}
				for _, b := range bufs {
					if b.B[0] != byte(worker) || b.B[len(b.B)-1] != byte(worker) {
						t.Error("a buffer has two holders")
					}
					b.Release()
				}
			}
		})
	}
	wg.Wait()
	s := p.Stats()
	if s.LentBytes != 0 || s.Waiting != 0 || s.IdleBytes > budget {
		t.Errorf("left over: %+v", s)
	}
	p.Trim()
}

func BenchmarkPool(b *testing.B) {
	for _, size := range []int{16 << 10, 4195328} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			p := NewPool(64 << 20)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					buf, err := p.Get(context.Background(), size)
					if err != nil {
						b.Error(err)
						return
					}
					buf.Release()
				}
			})
		})
	}
}
