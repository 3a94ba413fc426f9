package checksum

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// sliceMax is how many bytes of each lane are hashed before others may join: about 20 to 40
// microseconds' worth.
const sliceMax = 16 << 10

// lanes is the process's one set of lanes: streams can only share what they both know.
var lanes laneHall

// laneHall brings together the pieces that are hashed at the same time.
type laneHall struct {
	// waiting is len(queue), for leaders to look at without the lock.
	waiting atomic.Int32
	// live is how many streams have hashed whole blocks and not ended: so many pieces may come.
	live atomic.Int32

	// mu guards what follows.
	mu      sync.Mutex
	queue   []*laneJob // pieces that no leader has taken yet, oldest first
	leaders int
}

// laneJob is a piece of whole blocks that is being hashed, on behalf of the goroutine that waits for
// it or leads.
type laneJob struct {
	md5    chain
	sha256 chain // of the same piece; its h is nil when it is not wanted
	rest   []byte
	// wake receives nil when the piece is hashed, or else the lanes that the job's goroutine is to lead
	// from now on, its own piece among them.
	wake chan *laneSet
}

// chain is one hash of a job. While it is out, words holds its state instead of h.
type chain struct {
	h     chainHash
	out   bool
	words [sha256Words]uint32
	state chainState // before the bytes hashed since it is out
	done  int        // so many
}

// laneSet is what one leader hashes.
type laneSet struct {
	jobs  []*laneJob // at most laneCount
	words [4][laneCountMax]uint32
	rows  [laneCountMax]*byte
	few   fewTexts
}

var (
	laneJobs = sync.Pool{New: func() any { return &laneJob{wake: make(chan *laneSet, 1)} }}
	laneSets = sync.Pool{New: func() any { return new(laneSet) }}
)

var lanesHere = sync.OnceValue(func() int {
	if !knownState() {
		return 0
	}
	return laneCount()
})

// chains says which chains can run side by side on a processor, and how many are best.
type chains struct {
	md5, sha256 bool // those of MD5, and SHA-256 along with them
	few         int  // up to so many texts at a time
	lanes       int  // from so many texts on MD5 without SHA-256 is cheapest in lanes
}

var chainsKnown = sync.OnceValue(func() chains {
	if lanesHere() == 0 {
		return chains{}
	}
	return chainsHere()
})

// usable tells whether hash may be called.
func (l *laneHall) usable() bool { return lanesHere() > 0 }

// along tells whether the SHA-256 of a stream is hashed along with its MD5.
func (l *laneHall) along() bool {
	return chainsKnown().sha256
}

// hash hashes whole blocks into h, which has hashed whole blocks so far, and into along, the SHA-256
// of the same, unless that is nil. It returns when that is done.
func (l *laneHall) hash(h, along chainHash, p []byte) {
	if len(p) == 0 {
		return
	}
	job := laneJobs.Get().(*laneJob)
	job.md5.h, job.sha256.h, job.rest = h, along, p
	if set := l.join(job); set != nil {
		l.lead(set, job)
	} else if set := <-job.wake; set != nil {
		l.lead(set, job)
	}
	job.md5.h, job.sha256.h, job.rest = nil, nil, nil
	laneJobs.Put(job)
}

// join returns a set to lead, or nil when another leader will take the job. Further leaders begin
// when more jobs wait than one can take.
func (l *laneHall) join(job *laneJob) *laneSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaders > 0 && (len(l.queue) < lanesHere() || l.leaders >= runtime.GOMAXPROCS(0)) {
		l.queue = append(l.queue, job)
		l.waiting.Store(int32(len(l.queue)))
		return nil
	}
	l.leaders++
	set := laneSets.Get().(*laneSet)
	set.jobs = append(set.jobs[:0], job)
	return set
}

// lead hashes a set until own, which is one of its jobs, is done. Then another leads what is left.
func (l *laneHall) lead(set *laneSet, own *laneJob) {
	for done := false; !done; {
		l.gather(set)
		if l.waiting.Load() > 0 && len(set.jobs) < lanesHere() {
			l.mu.Lock()
			l.take(set)
			l.mu.Unlock()
		}
		set.hashSlice()
		done = set.dismiss(own)
	}
	if len(set.jobs) == 0 && !l.next(set) {
		return
	}
	set.jobs[0].wake <- set
}

// gatherYields is how often a leader lets others run before each slice while lanes are free that a
// live stream could fill: a slice of more lanes costs hardly more than one of fewer, and a stream
// that is about to hand over its next piece needs only a turn of the processor. A stream that waits
// for its client costs the others these turns, a percent or so of a slice.
const gatherYields = 8

// gather waits a little for pieces of other streams.
func (l *laneHall) gather(set *laneSet) {
	for range gatherYields {
		if n := len(set.jobs) + int(l.waiting.Load()); n >= lanesHere() || n >= int(l.live.Load()) {
			return
		}
		runtime.Gosched()
	}
}

// take moves waiting jobs to free lanes. The caller holds mu.
func (l *laneHall) take(set *laneSet) {
	n := min(lanesHere()-len(set.jobs), len(l.queue))
	set.jobs = append(set.jobs, l.queue[:n]...)
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	l.waiting.Store(int32(rest))
}

// next fills an empty set with waiting jobs, or ends its leadership when there are none.
func (l *laneHall) next(set *laneSet) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(set)
	if len(set.jobs) > 0 {
		return true
	}
	l.leaders--
	laneSets.Put(set)
	return false
}

// dismiss removes the jobs that are done, wakes who waits for them, and tells whether own was one.
func (set *laneSet) dismiss(own *laneJob) (ownDone bool) {
	left := set.jobs[:0]
	for _, job := range set.jobs {
		switch {
		case len(job.rest) > 0:
			left = append(left, job)
		case job == own:
			job.settle()
			ownDone = true
		default:
			job.settle()
			job.wake <- nil
		}
	}
	clear(set.jobs[len(left):])
	set.jobs = left
	return ownDone
}
