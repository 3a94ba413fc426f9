package sim

import (
	"errors"
	"iter"
	"slices"
	"time"
)

// proc is a process of the simulation: code that waits. It runs as a coroutine, only while the world steps it, and dies with its node.
type proc struct {
	w      *world
	n      *node // nil for one that does not die
	name   string
	body   func(*proc)
	co     *coroutine // nil before it has begun, and when it has ended
	ready  bool
	ended  bool
	killed bool // it unwinds
	turn   int  // counts waits: a timer of an earlier one wakes nobody
	died   func()
	since  time.Time // when it began to wait for an answer, or zero
}

// killed unwinds a process whose node has lost power.
type killed struct{}

// spawn starts a process.
func (w *world) spawn(n *node, name string, body func(*proc)) *proc {
	p := &proc{w: w, n: n, name: name, body: body}
	*p.among() = append(*p.among(), p)
	w.wake(p)
	return p
}

// among are the processes that die with it: those of its node, or those of no node, which the end of the world kills.
func (p *proc) among() *[]*proc {
	if p.n != nil {
		return &p.n.procs
	}
	return &p.w.procs
}

func (w *world) wake(p *proc) {
	if !p.ready && !p.ended {
		p.ready = true
		w.ready = append(w.ready, p)
	}
}

// run lets a process go on until it waits again.
func (w *world) run(p *proc) {
	p.ready = false
	if p.ended {
		return
	}
	if p.co == nil {
		p.co = w.pool.get(p)
	}
	if p.resume(); p.co == nil {
		p.ended = true
		*p.among() = slices.DeleteFunc(*p.among(), func(o *proc) bool { return o == p })
	}
}

// first lets a process go on that is ready before anything else happens.
func (w *world) first(p *proc) {
	w.ready = slices.DeleteFunc(w.ready, func(o *proc) bool { return o == p })
	w.run(p)
}

// kill ends a process where it waits.
func (w *world) kill(p *proc) {
	if p.ended {
		return
	}
	p.ended, p.killed = true, true
	if p.co != nil {
		p.resume()
	}
	if p.died != nil {
		p.died()
	}
}

// resume runs a process until it waits or ends. One that has ended leaves its coroutine to others.
func (p *proc) resume() {
	co := p.co
	if co.next(); co.p == nil {
		p.co = nil
		p.w.pool.idle = append(p.w.pool.idle, co)
	}
}

// coroutine runs one process after another: a new one would have to grow its stack again.
type coroutine struct {
	p     *proc
	yield func(struct{}) bool
	next  func() (struct{}, bool)
}

// pool has coroutines that wait for a process.
type pool struct{ idle []*coroutine }

func (l *pool) get(p *proc) *coroutine {
	if k := len(l.idle) - 1; k >= 0 {
		c := l.idle[k]
		l.idle, c.p = l.idle[:k], p
		return c
	}
	c := &coroutine{p: p}
	c.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		for {
			c.once()
			yield(struct{}{})
		}
	})
	return c
}

// once runs a process to its end.
func (c *coroutine) once() {
	defer func() {
		if r := recover(); r != nil && r != (killed{}) {
			panic(r)
		}
		c.p = nil
	}()
	c.p.body(c.p)
}

func (p *proc) park() {
	p.turn++
	if !p.killed {
		p.co.yield(struct{}{})
	}
	if p.killed {
		panic(killed{})
	}
}

// sleep waits for a time.
func (p *proc) sleep(d time.Duration) {
	for until := p.w.now.Add(d); p.w.now.Before(until); {
		p.w.alarm(p, until)
		p.park()
	}
}

// future is the outcome of something that goes on elsewhere.
type future struct {
	w      *world
	done   bool
	val    any
	err    error
	waiter *proc
}

func (w *world) future() *future { return &future{w: w} }

func (f *future) resolve(v any, err error) {
	if f.done {
		return
	}
	f.done, f.val, f.err = true, v, err
	if f.waiter != nil {
		f.w.wake(f.waiter)
	}
}

var (
	// errSilent says that no answer came: what was asked may have been done, or may be yet.
	errSilent = errors.New("no answer")
	// errAway says that nothing was done.
	errAway = errors.New("away")
)

// await waits for an outcome, for ever if timeout is zero.
func (p *proc) await(f *future, timeout time.Duration) (any, error) {
	until := p.w.now.Add(timeout)
	p.since = p.w.now
	defer func() { p.since = time.Time{} }()
	f.waiter = p
	for !f.done {
		if timeout > 0 {
			if !p.w.now.Before(until) {
				f.waiter = nil
				return nil, errSilent
			}
			p.w.alarm(p, until)
		}
		p.park()
	}
	return f.val, f.err
}

// all runs functions side by side and waits for all of them.
func (p *proc) all(fs []func(*proc)) {
	left := len(fs)
	for _, f := range fs {
		done := func() {
			if left--; left == 0 {
				p.w.wake(p)
			}
		}
		c := p.w.spawn(p.n, p.name, func(c *proc) {
			f(c)
			done()
		})
		c.died = done
	}
	for left > 0 {
		p.park()
	}
}

// alarms wake processes, the earliest first.
type alarm struct {
	at   time.Time
	seq  int
	p    *proc
	turn int
}

type alarms []alarm

func (a alarms) Len() int { return len(a) }

func (a alarms) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].seq < a[j].seq
}

func (a alarms) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) }

func (a *alarms) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}
