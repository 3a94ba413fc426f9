package checksum

import (
	"crypto/md5"
	"crypto/sha256"
	"testing"
	"unsafe"
)

// chainsJobs makes jobs that continue hashes of a few blocks, and the hashes as they should become.
func chainsJobs(texts [][]byte, withSHA256 []bool) (jobs []*laneJob, want [][2][]byte) {
	for i, text := range texts {
		const before = 3 * md5.BlockSize
		job := &laneJob{rest: text[before:]}
		job.md5.h = md5.New().(chainHash)
		job.md5.h.Write(text[:before])
		m, s := md5.Sum(text), sha256.Sum256(text)
		w := [2][]byte{m[:], nil}
		if withSHA256[i] {
			job.sha256.h = sha256.New().(chainHash)
			job.sha256.h.Write(text[:before])
			w[1] = s[:]
		}
		jobs, want = append(jobs, job), append(want, w)
	}
	return jobs, want
}

func TestChainsSideBySide(t *testing.T) {
	if alone, along := chainsKnown(); !alone || !along {
		t.Skip("not on this processor")
	}
	all := pattern(3*64*40 + 2)
	for blocks := 3; blocks < 40; blocks++ {
		for kinds := range 8 {
			texts := [][]byte{all[:64*blocks], all[64*40+1:][:64*blocks], all[2*64*40+2:][:64*blocks]}
			jobs, want := chainsJobs(texts, []bool{kinds&1 != 0, kinds&2 != 0, kinds&4 != 0})
			n := len(jobs[0].rest)
			switch blocks % 3 {
			case 0:
				new(laneSet).hashFew(jobs, n)
			case 1:
				new(laneSet).hashFew(jobs[:2], n)
				hashOne(jobs[2], n)
			case 2:
				hashOne(jobs[0], n)
				new(laneSet).hashFew(jobs[1:], n)
			}
			for i, job := range jobs {
				job.settle()
				if got := job.md5.h.Sum(nil); string(got) != string(want[i][0]) {
					t.Errorf("%d blocks, text %d of kinds %d: MD5 %x, want %x", blocks, i, kinds, got, want[i][0])
				}
				if job.sha256.h == nil {
					continue
				}
				if got := job.sha256.h.Sum(nil); string(got) != string(want[i][1]) {
					t.Errorf("%d blocks, text %d of kinds %d: SHA-256 %x, want %x", blocks, i, kinds, got, want[i][1])
				}
			}
		}
	}
}

type sideBySide[M, S any] struct {
	md5    M
	sha256 S
}

// BenchmarkChains gives the time for each byte of each text.
func BenchmarkChains(b *testing.B) {
	const n = 64 << 10
	p, q, r := unsafe.SliceData(pattern(n)), unsafe.SliceData(pattern(n)), unsafe.SliceData(pattern(n))
	var two sideBySide[[2][4]uint32, [2][8]uint32]
	var three sideBySide[[3][4]uint32, [3][8]uint32]
	for _, c := range []struct {
		name  string
		texts int
		run   func()
	}{
		{"MD5", 1, func() { md5Text(&two.md5[0], p, n/64) }},
		{"MD5 and SHA-256", 1, func() { md5SHA256Text(&two.md5[0], &two.sha256[0], p, n/64) }},
		{"two of MD5", 2, func() { md5Texts2(&two.md5, p, q, n/64) }},
		{"two of MD5 and SHA-256", 2, func() { md5SHA256Texts2(&two.md5, &two.sha256, p, q, n/64) }},
		{"three of MD5", 3, func() { md5Texts3(&three.md5, p, q, r, n/64) }},
		{"three of MD5 and SHA-256", 3, func() { md5SHA256Texts3(&three.md5, &three.sha256, p, q, r, n/64) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			if alone, along := chainsHere(); !alone || !along {
				b.Skip("not on this processor")
			}
			b.SetBytes(int64(c.texts * n))
			for b.Loop() {
				c.run()
			}
		})
	}
}
