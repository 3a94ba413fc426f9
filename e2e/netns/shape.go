package netns

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// backlogMax bounds the bytes that wait for their time. What comes beyond is lost, as in a
// router.
const backlogMax = 256 << 20

// pair is a direction between two hosts, by their numbers.
type pair struct{ from, to int }

// link is what happens to packets of a pair.
type link struct {
	delay, jitter time.Duration
	overtake      bool
	kept          float64 // probability that a packet is not lost
}

// links says what happens to packets of each pair that some rule delays. Delays of several
// rules add up, and so do their losses. A pair of which another rule drops everything is not
// among them.
func links(rules []Rule) map[pair]link {
	all := make(map[pair]link)
	for _, r := range rules {
		if r.Delay == 0 {
			continue
		}
		each(r, func(p pair) {
			l, ok := all[p]
			if !ok {
				l.kept = 1
			}
			l.delay, l.jitter, l.overtake = l.delay+r.Delay, l.jitter+r.Jitter, l.overtake || r.Overtake
			all[p] = l
		})
	}
	for _, r := range rules {
		each(r, func(p pair) {
			l, ok := all[p]
			switch {
			case !ok:
			case r.dropsAll():
				delete(all, p)
			default:
				l.kept *= 1 - float64(r.LossPercent)/100
				all[p] = l
			}
		})
	}
	return all
}

// each calls f for every pair that a rule is about.
func each(r Rule, f func(pair)) {
	for _, from := range r.From {
		for _, to := range r.To {
			f(pair{from.number, to.number})
		}
	}
}

// packet is a frame on its way, with the header in which the kernel says what of it is left
// to be done.
type packet struct {
	due   time.Time
	seq   uint64 // tells packets with the same time apart
	to    int
	frame []byte
}

// delays is what has left one host and not reached the other. It has no clock of its own:
// times enter as arguments.
type delays struct {
	links   map[pair]link
	r       *rand.Rand
	waiting packets
	bytes   int // of waiting
	seq     uint64
	last    map[pair]time.Time // when the latest packet of a pair is due
	crossed map[pair]int64     // bytes that were not lost
}

func newDelays(r *rand.Rand) *delays {
	return &delays{r: r, last: make(map[pair]time.Time), crossed: make(map[pair]int64)}
}

// add takes a frame, which is its own from now on, and says whether it is the next that is
// due. It loses the frame, or has no business with it, or keeps it.
func (d *delays) add(now time.Time, p pair, frame []byte) (next bool) {
	l, ok := d.links[p]
	if !ok || d.r.Float64() >= l.kept || d.bytes+len(frame) > backlogMax {
		return false
	}
	due := now.Add(l.delay)
	if l.jitter > 0 {
		due = due.Add(time.Duration(d.r.Int64N(2*int64(l.jitter)+1)) - l.jitter)
	}
	if last := d.last[p]; !l.overtake && due.Before(last) {
		due = last
	}
	d.last[p], d.seq = due, d.seq+1
	d.bytes += len(frame)
	d.crossed[p] += int64(len(frame))
	heap.Push(&d.waiting, packet{due: due, seq: d.seq, to: p.to, frame: frame})
	return d.waiting[0].seq == d.seq
}

// take gives the packets whose time has come, and for how long the next one waits: not at
// all when there is none.
func (d *delays) take(now time.Time) (due []packet, next time.Duration, more bool) {
	for len(d.waiting) > 0 {
		if wait := d.waiting[0].due.Sub(now); wait > 0 {
			return due, wait, true
		}
		p := heap.Pop(&d.waiting).(packet)
		d.bytes -= len(p.frame)
		due = append(due, p)
	}
	return due, 0, false
}

// packets is a heap, the next one first.
type packets []packet

func (q packets) Len() int { return len(q) }
func (q packets) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].seq < q[j].seq
	}
	return q[i].due.Before(q[j].due)
}
func (q packets) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *packets) Push(x any)   { *q = append(*q, x.(packet)) }
func (q *packets) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = packet{}
	*q = (*q)[:last]
	return p
}
