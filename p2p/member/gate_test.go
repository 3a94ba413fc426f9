package member

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/p2p"
)

// systemGroup plays the group that holds the truth about members.
type systemGroup struct {
	mu    sync.Mutex
	epoch uint64
	rows  []Member
	err   error
	delay time.Duration
	asked atomic.Int32
}

func (s *systemGroup) add(m Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.rows = append(s.rows, m)
}

func (s *systemGroup) fetchInto(t *Table) func(context.Context) error {
	return func(ctx context.Context) error {
		s.asked.Add(1)
		s.mu.Lock()
		epoch, rows, err, delay := s.epoch, append([]Member(nil), s.rows...), s.err, s.delay
		s.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err == nil {
			t.Replace(epoch, rows)
		}
		return err
	}
}

func active(peer p2p.NodeID) Member {
	return Member{Peer: peer, Roles: p2p.RoleNode, State: StateActive, Serial: 1}
}

func shows(peer p2p.NodeID) Credential { return Credential{Peer: peer, Roles: p2p.RoleNode, Serial: 1} }

func TestGateFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, sys := NewTable(), &systemGroup{}
		sys.add(active("a"))
		g := NewGate(GateConfig{Table: tab, Fetch: sys.fetchInto(tab)})
		if _, err := g.Authorize(t.Context(), shows("a")); err != nil || sys.asked.Load() != 1 {
			t.Fatalf("member of a newer table: %v, %d fetches", err, sys.asked.Load())
		}
		if _, err := g.Authorize(t.Context(), shows("a")); err != nil || sys.asked.Load() != 1 {
			t.Errorf("member of our table: %v, %d fetches", err, sys.asked.Load())
		}
		if _, err := g.Authorize(t.Context(), shows("stranger")); !errors.Is(err, ErrNotInTable) || sys.asked.Load() != 2 {
			t.Errorf("nobody's member: %v, %d fetches", err, sys.asked.Load())
		}
		sys.err = errors.New("no quorum")
		if _, err := g.Authorize(t.Context(), shows("b")); !errors.Is(err, ErrNotInTable) || !errors.Is(err, sys.err) {
			t.Errorf("no newer table to be had: %v", err)
		}
		if _, err := g.Authorize(t.Context(), shows("a")); err != nil {
			t.Errorf("a member is refused because the group is away: %v", err)
		}
	})
}

// TestGateShares: those who ask during one fetch share the next, and none takes the result of a
// fetch that began before it asked.
func TestGateShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, sys := NewTable(), &systemGroup{delay: 200 * time.Millisecond}
		g := NewGate(GateConfig{Table: tab, Fetch: sys.fetchInto(tab)})
		var wg sync.WaitGroup
		var in atomic.Int32
		ask := func(peer p2p.NodeID) {
			wg.Go(func() {
				if _, err := g.Authorize(t.Context(), shows(peer)); err == nil {
					in.Add(1)
				}
			})
		}
		ask("early")
		synctest.Wait() // its fetch has read an empty table
		sys.add(active("late"))
		for range 50 {
			ask("late")
			ask("stranger")
		}
		wg.Wait()
		if in.Load() != 50 || sys.asked.Load() != 2 {
			t.Errorf("%d of 50 let in, %d fetches", in.Load(), sys.asked.Load())
		}
	})
}

// TestGateBounds: a fetch that hangs ends in time, and one caller after the other makes at most one
// fetch per pause.
func TestGateBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, sys := NewTable(), &systemGroup{delay: time.Hour}
		g := NewGate(GateConfig{Table: tab, Fetch: sys.fetchInto(tab), Wait: time.Second, Pause: 100 * time.Millisecond})
		begin := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := g.Authorize(t.Context(), shows("x")); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(begin); d != time.Second {
			t.Errorf("waited %v", d)
		}
		sys.mu.Lock()
		sys.delay = 0
		sys.mu.Unlock()
		sys.asked.Store(0)
		begin = time.Now()
		for range 10 {
			g.Authorize(t.Context(), shows("x"))
		}
		if d := time.Since(begin); d < 900*time.Millisecond || sys.asked.Load() != 10 {
			t.Errorf("%d fetches in %v", sys.asked.Load(), d)
		}
	})
}

// TestGateBegins: a newcomer's empty table lets in whom its grant names, and nobody on the same
// grounds once there is a table.
func TestGateBegins(t *testing.T) {
	tab := NewTable()
	behind := 0
	g := NewGate(GateConfig{
		Table: tab, Known: func(id p2p.NodeID) bool { return id == "seed" }, Behind: func() { behind++ },
	})
	p, err := g.Authorize(t.Context(), shows("seed"))
	if err != nil || p.ID != "seed" || p.Roles != p2p.RoleNode {
		t.Fatalf("seed: %+v, %v", p, err)
	}
	if _, err := g.Authorize(t.Context(), shows("other")); !errors.Is(err, ErrNotInTable) {
		t.Errorf("another: %v", err)
	}
	changed := 0
	g.OnChange(func() { changed++ })
	tab.Replace(3, []Member{active("other")})
	if _, ok := g.Recheck(shows("seed")); ok || changed != 1 {
		t.Errorf("a seed that the table lacks stays; told %d times", changed)
	}
	if _, ok := g.Recheck(shows("other")); !ok {
		t.Error("a member is cut off")
	}
	newer := shows("other")
	newer.Epoch = 4
	if _, err := g.Authorize(t.Context(), newer); err != nil || behind != 1 {
		t.Errorf("member of a newer table: %v, told %d times", err, behind)
	}
}
