package checksum

import (
	"crypto/md5"
	"slices"
	"unsafe"
)

// take gives the words of the chain, which are its state from then on.
func (c *chain) take(words int) *[sha256Words]uint32 {
	if !c.out {
		c.state.read(c.h, words).words(c.words[:words])
		c.out, c.done = true, 0
	}
	return &c.words
}

// settle gives the state back to the hash.
func (c *chain) settle(words int) {
	if c.out {
		c.state.advance(c.words[:words], c.done)
		c.state.write(c.h)
		c.out = false
	}
}

// write hashes bytes with the standard library.
func (c *chain) write(p []byte, words int) {
	if c.h != nil {
		c.settle(words)
		c.h.Write(p)
	}
}

func (job *laneJob) settle() {
	job.md5.settle(md5Words)
	job.sha256.settle(sha256Words)
}

// advance notes that the chains, as far as they are out, have hashed n more bytes of the piece.
func (job *laneJob) advance(n int) {
	job.md5.done += n
	job.sha256.done += n
	job.rest = job.rest[n:]
}

// hashSlice hashes the same number of bytes of each job: at most sliceMax, and not more than any has. Where jobs are hashed in pairs
// and their number is odd, one is left for the next slice.
func (set *laneSet) hashSlice() {
	n, along := sliceMax, false
	for _, job := range set.jobs {
		n = min(n, len(job.rest))
		along = along || job.sha256.h != nil
	}
	chains, _ := chainsKnown()
	switch jobs := set.jobs; {
	case chains && (along || len(jobs) <= pairsMax):
		for pair := range slices.Chunk(jobs, 2) {
			if len(pair) == 2 {
				set.hashTwo(pair[0], pair[1], n)
			} else if len(jobs) == 1 {
				hashOne(pair[0], n)
			} else {
				jobs[0], jobs[len(jobs)-1] = jobs[len(jobs)-1], jobs[0] // its turn comes first
			}
		}
	case len(jobs) == 1:
		jobs[0].md5.write(jobs[0].rest[:n], md5Words)
		jobs[0].sha256.write(jobs[0].rest[:n], sha256Words)
		jobs[0].rest = jobs[0].rest[n:]
	default:
		set.hashLanes(n)
	}
}

// hashOne hashes n bytes of one job.
func hashOne(job *laneJob, n int) {
	sums := (*[md5Words]uint32)(job.md5.take(md5Words)[:])
	p := unsafe.SliceData(job.rest)
	if job.sha256.h != nil {
		md5SHA256Text(sums, job.sha256.take(sha256Words), p, n/md5.BlockSize)
	} else {
		md5Text(sums, p, n/md5.BlockSize)
	}
	job.advance(n)
}

// hashTwo hashes n bytes of each of two jobs.
func (set *laneSet) hashTwo(a, b *laneJob, n int) {
	two := &set.two
	two.md5[0], two.md5[1] = [md5Words]uint32(a.md5.take(md5Words)[:]), [md5Words]uint32(b.md5.take(md5Words)[:])
	p, q := unsafe.SliceData(a.rest), unsafe.SliceData(b.rest)
	if a.sha256.h != nil && b.sha256.h != nil {
		two.sha256[0], two.sha256[1] = *a.sha256.take(sha256Words), *b.sha256.take(sha256Words)
		md5SHA256Texts2(&two.md5, &two.sha256, p, q, n/md5.BlockSize)
		a.sha256.words, b.sha256.words = two.sha256[0], two.sha256[1]
	} else {
		md5Texts2(&two.md5, p, q, n/md5.BlockSize)
		a.sha256.write(a.rest[:n], sha256Words)
		b.sha256.write(b.rest[:n], sha256Words)
	}
	copy(a.md5.words[:], two.md5[0][:])
	copy(b.md5.words[:], two.md5[1][:])
	a.advance(n)
	b.advance(n)
}

// hashLanes hashes n bytes of each job, MD5 in vector lanes.
func (set *laneSet) hashLanes(n int) {
	for lane := range set.rows {
		if lane >= len(set.jobs) {
			set.rows[lane] = set.rows[0] // Any readable memory will do.
			continue
		}
		job := set.jobs[lane]
		sums := job.md5.take(md5Words)
		for i := range set.words {
			set.words[i][lane] = sums[i]
		}
		set.rows[lane] = unsafe.SliceData(job.rest)
	}
	hashLanes(len(set.jobs), &set.words, &set.rows, n/md5.BlockSize)
	for lane, job := range set.jobs {
		for i := range set.words {
			job.md5.words[i] = set.words[i][lane]
		}
		job.sha256.write(job.rest[:n], sha256Words)
		job.advance(n)
	}
	clear(set.rows[:])
}
