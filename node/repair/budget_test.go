package repair

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBudget: what the operator allows bounds all workers together, and may change while they wait.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var allowed atomic.Int64
		b := &budget{rate: allowed.Load}
		began := time.Now()
		if err := b.wait(t.Context(), 1<<40); err != nil || time.Since(began) != 0 {
			t.Errorf("without a bound it took %v, %v", time.Since(began), err)
		}
		allowed.Store(1 << 20)
		if err := b.wait(t.Context(), 10<<20); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
		time.AfterFunc(2*time.Second, func() { allowed.Store(8 << 20) })
		began = time.Now()
		if err := b.wait(t.Context(), 18<<20); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("2 s at 1 MiB/s and 16 MiB at 8 MiB/s took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.wait(ctx, 1<<40); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait that ends early: %v", err)
		}
	})
}
