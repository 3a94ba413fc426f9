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

// hashSlice hashes the same number of bytes of each job: at most sliceMax, and not more than any has. Where jobs are hashed few at a
// time and one is left over, that waits for the next slice.
func (set *laneSet) hashSlice() {
	n, along := sliceMax, false
	for _, job := range set.jobs {
		n = min(n, len(job.rest))
		along = along || job.sha256.h != nil
	}
	known := chainsKnown()
	switch jobs := set.jobs; {
	case known.md5 && len(jobs) == 1:
		hashOne(jobs[0], n)
	case known.md5 && (along || len(jobs) < known.lanes):
		for few := range slices.Chunk(jobs, known.few) {
			if len(few) > 1 {
				set.hashFew(few, n)
			} else {
				jobs[0], jobs[len(jobs)-1] = jobs[len(jobs)-1], jobs[0] // its turn comes first
			}
		}
	case len(jobs) == 1:
		jobs[0].md5.write(jobs[0].rest[:n], md5Words)
		jobs[0].sha256.write(jobs[0].rest[:n], sha256Words)
		jobs[0].rest = jobs[0].rest[n:]
	default:
		set.hashLanes(jobs, n)
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

// hashFew hashes n bytes of each of two to four jobs.
func (set *laneSet) hashFew(jobs []*laneJob, n int) {
	few, along := &set.few, true
	for _, job := range jobs {
		along = along && job.sha256.h != nil
	}
	if !along && len(jobs) >= chainsKnown().lanes {
		set.hashLanes(jobs, n)
		return
	}
	for i, job := range jobs {
		few.md5[i] = [md5Words]uint32(job.md5.take(md5Words)[:])
		few.texts[i] = unsafe.SliceData(job.rest)
	}
	if along {
		for i, job := range jobs {
			few.sha256[i] = *job.sha256.take(sha256Words)
		}
		few.hashBoth(len(jobs), n/md5.BlockSize)
		for i, job := range jobs {
			job.sha256.words = few.sha256[i]
		}
	} else {
		few.hashMD5(len(jobs), n/md5.BlockSize)
		for _, job := range jobs {
			job.sha256.write(job.rest[:n], sha256Words)
		}
	}
	for i, job := range jobs {
		copy(job.md5.words[:], few.md5[i][:])
		job.advance(n)
	}
	clear(few.texts[:])
}

// fewTexts are up to four texts and the states of their chains.
type fewTexts struct {
	md5    [fewMax][md5Words]uint32
	sha256 [fewMax][sha256Words]uint32
	texts  [fewMax]*byte
}

// fewMax is the most texts that are hashed side by side anywhere, MD5 and SHA-256.
const fewMax = 4

func (f *fewTexts) hashMD5(texts, blocks int) {
	if texts == 2 {
		md5Texts2((*[2][md5Words]uint32)(f.md5[:]), f.texts[0], f.texts[1], blocks)
	} else {
		md5Texts3((*[3][md5Words]uint32)(f.md5[:]), f.texts[0], f.texts[1], f.texts[2], blocks)
	}
}

func (f *fewTexts) hashBoth(texts, blocks int) {
	switch {
	case texts == 2:
		md5SHA256Texts2((*[2][md5Words]uint32)(f.md5[:]), (*[2][sha256Words]uint32)(f.sha256[:]), f.texts[0], f.texts[1], blocks)
	case chainsKnown().few < fewMax:
		md5SHA256Texts3((*[3][md5Words]uint32)(f.md5[:]), (*[3][sha256Words]uint32)(f.sha256[:]), f.texts[0], f.texts[1], f.texts[2], blocks)
	default:
		if texts < fewMax {
			f.texts[texts] = f.texts[0] // Any readable memory will do.
		}
		md5SHA256Texts4(&f.md5, &f.sha256, &f.texts, blocks)
	}
}

// hashLanes hashes n bytes of each of some jobs, MD5 in vector lanes.
func (set *laneSet) hashLanes(jobs []*laneJob, n int) {
	for lane := range set.rows {
		if lane >= len(jobs) {
			set.rows[lane] = set.rows[0] // Any readable memory will do.
			continue
		}
		job := jobs[lane]
		sums := job.md5.take(md5Words)
		for i := range set.words {
			set.words[i][lane] = sums[i]
		}
		set.rows[lane] = unsafe.SliceData(job.rest)
	}
	hashLanes(len(jobs), &set.words, &set.rows, n/md5.BlockSize)
	for lane, job := range jobs {
		for i := range set.words {
			job.md5.words[i] = set.words[i][lane]
		}
		job.sha256.write(job.rest[:n], sha256Words)
		job.advance(n)
	}
	clear(set.rows[:])
}
