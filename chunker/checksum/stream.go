package checksum

import (
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"sync"
)

// inlineMax is the largest input in bytes that Start digests on the caller's goroutine. Handing
// 64 KiB to another core saves less than the hand-over costs.
const inlineMax = 64 << 10

// Stream digests one content piece by piece. Its methods must be called by one goroutine at a time.
type Stream struct {
	sums    Sums
	md5     md5Stream
	sha256  hash.Hash
	sha1    hash.Hash
	crcs    Set
	running sync.WaitGroup
	done    bool
}

// New returns a stream that computes all of set. Close or Sums ends it.
func New(set Set) *Stream {
	set &= all
	s := &Stream{sums: Sums{Set: set}, crcs: set & (CRC32 | CRC32C | CRC64NVME)}
	if set.Has(SHA256) {
		s.sha256 = sha256.New()
	}
	if set.Has(SHA1) {
		s.sha1 = sha1.New()
	}
	return s
}

// Start begins digesting p, the next piece of the content, and returns at once when p is large: the
// caller may do other work on p meanwhile, but must not change it before Wait has returned. Pieces of
// up to 64 KiB are digested before Start returns. A Start that follows another waits for it first.
func (s *Stream) Start(p []byte) {
	if s.done {
		panic("checksum: Start after the stream has ended")
	}
	s.running.Wait()
	along := s.along()
	if len(p) <= inlineMax {
		s.writeMD5(p, along)
		s.writeOthers(p, along)
		return
	}
	// The digests that run at about half a GiB or more a second for each core, one goroutine each; the
	// CRCs cost next to nothing and go with one of them.
	if s.sums.Set.Has(MD5) {
		s.running.Go(func() { s.writeMD5(p, along) })
	}
	switch {
	case s.sha1 != nil && s.sha256 != nil && !along:
		s.running.Go(func() { s.sha1.Write(p) })
		s.running.Go(func() { s.writeSHA256(p, false) })
	case s.sha1 != nil || s.crcs != 0 || s.sha256 != nil && !along:
		s.running.Go(func() { s.writeOthers(p, along) })
	}
}

// Wait returns when all that was started is digested.
func (s *Stream) Wait() { s.running.Wait() }

// Write digests p before it returns; it never fails. It makes a Stream an io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	s.Start(p)
	s.Wait()
	return len(p), nil
}

// Sums waits, ends the stream and returns its digests. Further calls return the same.
func (s *Stream) Sums() Sums {
	s.running.Wait()
	if s.done {
		return s.sums
	}
	s.done = true
	if s.sums.Set.Has(MD5) {
		s.sums.MD5 = s.md5.sum()
	}
	if s.sha256 != nil {
		s.sha256.Sum(s.sums.SHA256[:0])
	}
	if s.sha1 != nil {
		s.sha1.Sum(s.sums.SHA1[:0])
	}
	return s.sums
}

// Close waits and ends the stream. It may follow Sums and may be called twice.
func (s *Stream) Close() {
	s.running.Wait()
	s.md5.leave()
	s.done = true
}

// along tells whether the SHA-256 of the next piece is hashed along with its MD5.
func (s *Stream) along() bool { return s.sha256 != nil && s.sums.Set.Has(MD5) && lanes.along() }

func (s *Stream) writeMD5(p []byte, along bool) {
	switch {
	case along:
		s.md5.write(p, s.sha256.(chainHash))
	case s.sums.Set.Has(MD5):
		s.md5.write(p, nil)
	}
}

func (s *Stream) writeSHA256(p []byte, along bool) {
	for a := range s.crcs.Each {
		s.sums.updateCRC(a, p)
	}
	if s.sha256 != nil && !along {
		s.sha256.Write(p)
	}
}

func (s *Stream) writeOthers(p []byte, along bool) {
	s.writeSHA256(p, along)
	if s.sha1 != nil {
		s.sha1.Write(p)
	}
}
