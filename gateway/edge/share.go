package edge

import (
	"container/list"
	"sync"
	"time"
)

// SharesMax is how many sources, or principals, are remembered; the one longest unheard of is forgotten first.
const SharesMax = 32768

// Rates bound what one source or principal may take; 0 is no bound.
type Rates struct {
	RequestsPerSecond int64
	BytesPerSecond    int64
	Parallel          int64 // requests under way
}

// debtMax is how far a share may be behind with its bytes before its next request is refused: transfers under way
// are slowed down, and more of them would only wait.
const debtMax = 3 * time.Second

// Share is what one source or principal takes. Its methods may be called from any number of goroutines.
type Share struct {
	mu       sync.Mutex // guards what follows
	requests pace
	bytes    pace
	failures pace
	parallel int64
}

// pace is a bucket that refills evenly: the time at which what was taken has been made up for (the generic cell
// rate algorithm, ITU-T I.371). It holds a second's worth.
type pace struct{ until time.Time }

// add takes n of something of which there are rate per second, and says how far behind that leaves it.
func (p *pace) add(now time.Time, n, rate int64) (behind time.Duration) {
	if p.until.Before(now) {
		p.until = now
	}
	p.until = p.until.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return p.behind(now)
}

// behind is how long it takes until more may be taken; at most 0 when it may.
func (p *pace) behind(now time.Time) time.Duration { return p.ahead(now) - time.Second }

// ahead is for how long what was taken reaches beyond now.
func (p *pace) ahead(now time.Time) time.Duration {
	if p.until.Before(now) {
		return 0
	}
	return p.until.Sub(now)
}

// Enter asks for a request. wait is 0 when it may go on, and must Leave; otherwise it says after which time it is
// worth asking again.
func (s *Share) Enter(now time.Time, r Rates) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Parallel > 0 && s.parallel >= r.Parallel {
		return time.Second
	}
	if r.BytesPerSecond > 0 {
		if behind := s.bytes.behind(now); behind > debtMax {
			return behind
		}
	}
	if r.RequestsPerSecond > 0 {
		before := s.requests
		if behind := s.requests.add(now, 1, r.RequestsPerSecond); behind > 0 {
			s.requests = before
			return behind
		}
	}
	s.parallel++
	return 0
}

// Leave ends a request that has entered.
func (s *Share) Leave() {
	s.mu.Lock()
	s.parallel--
	s.mu.Unlock()
}

// move counts bytes and says how long their mover should rest.
func (s *Share) move(now time.Time, n, rate int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes.add(now, n, rate)
}

// failuresKept is for how many seconds failures that are borne may have been saved up.
const failuresKept = 10

// Fail counts a signature that was wrong.
func (s *Share) Fail(now time.Time, rate int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures.add(now, 1, rate)
	if most := now.Add(2 * failuresKept * time.Second); s.failures.until.After(most) {
		s.failures.until = most // what waits is not punished beyond
	}
}

// Failing is how long it takes until a wrong signature is borne again; 0 when it is.
func (s *Share) Failing(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.failures.ahead(now)-failuresKept*time.Second, 0)
}

// Shares are those of many sources or principals, within a bound. The zero value is ready for use; its methods may
// be called from any number of goroutines.
type Shares[K comparable] struct {
	mu    sync.Mutex
	byKey map[K]*list.Element // guarded by mu
	order list.List           // of *remembered[K], latest first; guarded by mu
}

type remembered[K comparable] struct {
	key   K
	share Share
}

// Get gives a share, made new if it is not remembered.
func (t *Shares[K]) Get(key K) *Share { return t.get(key, true) }

// Known gives a share, nil if it is not remembered.
func (t *Shares[K]) Known(key K) *Share { return t.get(key, false) }

func (t *Shares[K]) get(key K, create bool) *Share {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byKey[key]; e != nil {
		t.order.MoveToFront(e)
		return &e.Value.(*remembered[K]).share
	}
	if !create {
		return nil
	}
	if t.byKey == nil {
		t.byKey = make(map[K]*list.Element)
	}
	if len(t.byKey) >= SharesMax {
		last := t.order.Back()
		delete(t.byKey, last.Value.(*remembered[K]).key)
		t.order.Remove(last)
	}
	one := &remembered[K]{key: key}
	t.byKey[key] = t.order.PushFront(one)
	return &one.share
}

// Len is how many are remembered.
func (t *Shares[K]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}
