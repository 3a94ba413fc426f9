// Package erasure codes a sealed chunk into data and parity shards and rebuilds what is missing.
//
// The data shards are contiguous cuts of the sealed chunk, padded with zeros at the end, so that a
// small range of the chunk lies in one shard. Parity is Reed-Solomon over GF(2^8), byte column by
// byte column: the bytes at one offset of all shards depend on each other and on no other offset, so
// any range of the columns can be coded or rebuilt alone by passing those ranges of the shards.
//
// Nothing here checks content: a shard that is wrong rather than missing gives wrong results. The
// caller knows by a hash or an authentication tag which shards to leave out.
package erasure

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"
)

var (
	// ErrTooFewShards is returned when fewer than K shards are there to rebuild from.
	ErrTooFewShards = errors.New("too few shards")
	// ErrShape is returned when the shards are not K+M slices of one length.
	ErrShape = errors.New("shards of the wrong number or length")
)

// Coder codes and rebuilds chunks of one profile. It is safe for concurrent use; the work is done on
// the calling goroutine.
type Coder struct {
	profile Profile
	rs      reedsolomon.Encoder // nil when M is 0
}

// coders keeps one Coder per Profile: making one computes its matrix and tables.
var coders sync.Map

// New returns the coder of a profile, or ErrProfile.
func New(p Profile) (*Coder, error) {
	if c, ok := coders.Load(p); ok {
		return c.(*Coder), nil
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := &Coder{profile: p}
	if p.M > 0 {
		// Many requests run side by side; splitting one over the processors only adds hand-overs.
		rs, err := reedsolomon.New(int(p.K), int(p.M), reedsolomon.WithMaxGoroutines(1))
		if err != nil {
			return nil, fmt.Errorf("make the coder of %v: %w", p, err)
		}
		c.rs = rs
	}
	kept, _ := coders.LoadOrStore(p, c)
	return kept.(*Coder), nil
}

// Profile returns what the coder was made for.
func (c *Coder) Profile() Profile { return c.profile }

// ShardSize is Profile.ShardSize.
func (c *Coder) ShardSize(sealedLen int) int { return c.profile.ShardSize(sealedLen) }

// Cut returns the shards as sub-slices of stripe, which holds StripeSize bytes: the sealed chunk
// sits at its start, and the data shards need no copy. It clears the padding behind sealedLen, and
// leaves the parity for Encode to fill. It appends to dst, which may be nil.
func (c *Coder) Cut(dst [][]byte, stripe []byte, sealedLen int) [][]byte {
	size := c.ShardSize(sealedLen)
	if len(stripe) != size*c.profile.Width() {
		panic(fmt.Sprintf("erasure: stripe of %d bytes for %d sealed bytes in %v", len(stripe), sealedLen, c.profile))
	}
	clear(stripe[sealedLen : size*int(c.profile.K)])
	for i := range c.profile.Width() {
		dst = append(dst, stripe[i*size:(i+1)*size:(i+1)*size])
	}
	return dst
}

// Encode computes the parity from the data. shards holds K+M slices of one length in index order;
// the first K are read, the others are written. It does not retain shards.
func (c *Coder) Encode(shards [][]byte) error {
	if err := c.checkShape(shards, false); err != nil || c.rs == nil || len(shards[0]) == 0 {
		return err
	}
	if err := c.rs.Encode(shards); err != nil {
		return fmt.Errorf("encode %v: %w", c.profile, err)
	}
	return nil
}

// Reconstruct fills missing entries of shards in place. shards holds K+M entries in index order,
// each missing or of one length. A missing entry has length 0; when its capacity suffices it is
// filled there, otherwise it is replaced by new memory. required says which entries are wanted; nil
// means all. It returns ErrTooFewShards when fewer than K are present. It does not retain shards.
func (c *Coder) Reconstruct(shards [][]byte, required []bool) error {
	if required != nil && len(required) != c.profile.Width() {
		return fmt.Errorf("%w: %d wishes for %v", ErrShape, len(required), c.profile)
	}
	missing, err := c.missing(shards, required, c.profile.Width())
	if err != nil || !missing {
		return err
	}
	if required == nil {
		err = c.rs.Reconstruct(shards)
	} else {
		err = c.rs.ReconstructSome(shards, required)
	}
	return c.reconstructed(err)
}

// ReconstructData is Reconstruct for the data shards alone.
func (c *Coder) ReconstructData(shards [][]byte) error {
	missing, err := c.missing(shards, nil, int(c.profile.K))
	if err != nil || !missing {
		return err
	}
	return c.reconstructed(c.rs.ReconstructData(shards))
}

func (c *Coder) reconstructed(err error) error {
	if err != nil {
		return fmt.Errorf("reconstruct %v: %w", c.profile, err)
	}
	return nil
}

// missing tells whether an entry below limit is missing and wanted, and checks that all that are
// missing can be rebuilt.
func (c *Coder) missing(shards [][]byte, required []bool, limit int) (bool, error) {
	if err := c.checkShape(shards, true); err != nil {
		return false, err
	}
	present, wanted := 0, false
	for i, s := range shards {
		if len(s) > 0 {
			present++
		} else if i < limit && (required == nil || required[i]) {
			wanted = true
		}
	}
	if wanted && present < int(c.profile.K) {
		return false, fmt.Errorf("%w: %d of the %d that %v needs", ErrTooFewShards, present, c.profile.K, c.profile)
	}
	return wanted, nil
}

// checkShape returns ErrShape unless there are K+M shards of one length, or, if gaps are allowed,
// that or empty.
func (c *Coder) checkShape(shards [][]byte, gaps bool) error {
	if len(shards) != c.profile.Width() {
		return fmt.Errorf("%w: %d for %v", ErrShape, len(shards), c.profile)
	}
	size := -1
	for i, s := range shards {
		if gaps && len(s) == 0 {
			continue
		}
		if size >= 0 && len(s) != size {
			return fmt.Errorf("%w: shard %d of %v has %d bytes, others %d", ErrShape, i, c.profile, len(s), size)
		}
		size = len(s)
	}
	return nil
}
