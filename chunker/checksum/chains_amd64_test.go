package checksum

import (
	"crypto/md5"
	"crypto/sha256"
	"testing"
	"unsafe"

	"golang.org/x/sys/cpu"
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
	known := chainsKnown()
	if !known.sha256 {
		t.Skip("not on this processor")
	}
	const most = 40 * md5.BlockSize
	all := pattern(fewMax * (most + 1))
	for blocks := 3; blocks < 40; blocks++ {
		for kinds := range 1 << known.few {
			var texts [][]byte
			var withSHA256 []bool
			for i := range known.few {
				texts = append(texts, all[i*(most+1):][:blocks*md5.BlockSize])
				withSHA256 = append(withSHA256, kinds>>i&1 == 1)
			}
			jobs, want := chainsJobs(texts, withSHA256)
			n := len(jobs[0].rest)
			switch last := len(jobs) - 1; blocks % 4 {
			case 0:
				new(laneSet).hashFew(jobs, n)
			case 1:
				new(laneSet).hashFew(jobs[:last], n)
				hashOne(jobs[last], n)
			case 2:
				hashOne(jobs[0], n)
				new(laneSet).hashFew(jobs[1:], n)
			case 3:
				new(laneSet).hashFew(jobs[:2], n)
				for _, job := range jobs[2:] {
					hashOne(job, n)
				}
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

// blocksState gives the words that a hash has after some blocks.
func blocksState(h chainHash, blocks []byte, words int) [sha256Words]uint32 {
	h.Write(blocks)
	c := chain{h: h}
	return *c.take(words)
}

// Each of the functions that this processor can run, whether it is the best here or not.
func TestTexts(t *testing.T) {
	if !chainsKnown().sha256 {
		t.Skip("not on this processor")
	}
	for blocks := range 20 {
		n := blocks * md5.BlockSize
		all := pattern(fewMax * (n + 1))
		var fresh, want fewTexts
		for i := range fewMax {
			text := all[i*(n+1) : i*(n+1)+n]
			fresh.texts[i] = unsafe.SliceData(text)
			for f, text := range map[*fewTexts][]byte{&fresh: nil, &want: text} {
				m := blocksState(md5.New().(chainHash), text, md5Words)
				f.md5[i], f.sha256[i] = [md5Words]uint32(m[:]), blocksState(sha256.New().(chainHash), text, sha256Words)
			}
		}
		for name, c := range map[string]struct {
			texts int
			both  bool
			here  bool
			hash  func(f *fewTexts)
		}{
			"md5Text":         {1, false, true, func(f *fewTexts) { md5Text(&f.md5[0], f.texts[0], blocks) }},
			"md5SHA256Text":   {1, true, true, func(f *fewTexts) { md5SHA256Text(&f.md5[0], &f.sha256[0], f.texts[0], blocks) }},
			"md5Texts2":       {2, false, true, func(f *fewTexts) { f.hashMD5(2, blocks) }},
			"md5Texts3":       {3, false, true, func(f *fewTexts) { f.hashMD5(3, blocks) }},
			"md5SHA256Texts2": {2, true, true, func(f *fewTexts) { f.hashBoth(2, blocks) }},
			"md5SHA256Texts3": {3, true, true, func(f *fewTexts) {
				md5SHA256Texts3((*[3][md5Words]uint32)(f.md5[:]), (*[3][sha256Words]uint32)(f.sha256[:]), f.texts[0], f.texts[1], f.texts[2], blocks)
			}},
			"md5SHA256Texts4": {4, true, cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL, func(f *fewTexts) { md5SHA256Texts4(&f.md5, &f.sha256, &f.texts, blocks) }},
		} {
			if !c.here {
				continue
			}
			got := fresh
			c.hash(&got)
			for i := range fewMax {
				from := &fresh // what is not hashed is not touched
				if i < c.texts {
					from = &want
				}
				if got.md5[i] != from.md5[i] || c.both && got.sha256[i] != from.sha256[i] || !c.both && got.sha256[i] != fresh.sha256[i] {
					t.Errorf("%s, %d blocks, text %d: %x and %x, want %x and %x", name, blocks, i, got.md5[i], got.sha256[i], from.md5[i], from.sha256[i])
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
	var four sideBySide[[4][4]uint32, [4][8]uint32]
	texts := [4]*byte{p, q, r, unsafe.SliceData(pattern(n))}
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
		{"four of MD5 and SHA-256", 4, func() { md5SHA256Texts4(&four.md5, &four.sha256, &texts, n/64) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			if !chainsHere().sha256 || c.texts == 4 && !cpu.X86.HasAVX512VL {
				b.Skip("not on this processor")
			}
			b.SetBytes(int64(c.texts * n))
			for b.Loop() {
				c.run()
			}
		})
	}
}
