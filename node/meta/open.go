package meta

import (
	"sync"

	"shoal/node/consensus"
)

// openSums knows what parts of open uploads take, in the buckets of which it was asked. It is no part of the state, but follows from it: what
// it says of a group counts as long as the group's clock stands where it was when that was last true.
type openSums struct {
	mu     sync.Mutex // guards groups
	groups map[consensus.GroupID]groupSums
}

type groupSums struct {
	clock    uint64
	byBucket map[uint64]uint64 // bytes
}

// take hands over what is known of a group at a clock. It is forgotten unless it is given back.
func (o *openSums) take(g consensus.GroupID, clock uint64) map[uint64]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, ok := o.groups[g]
	delete(o.groups, g)
	if !ok || s.clock != clock {
		return nil
	}
	return s.byBucket
}

// forget drops what is known of a group whose state was replaced.
func (o *openSums) forget(g consensus.GroupID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.groups, g)
}

func (o *openSums) giveBack(g consensus.GroupID, clock uint64, sums map[uint64]uint64) {
	if len(sums) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.groups == nil {
		o.groups = make(map[consensus.GroupID]groupSums)
	}
	o.groups[g] = groupSums{clock, sums}
}

// openBytes is what the parts of a bucket's open uploads take, as far as the current command counts them. The first time they are all read.
func (t *tx) openBytes(bucket uint64) (uint64, error) {
	if t.level < levelParts {
		return 0, nil
	}
	if sum, ok := t.sums[bucket]; ok {
		return sum, nil
	}
	sum, err := t.sumParts(bucket)
	if err != nil {
		return 0, err
	}
	if t.sums == nil {
		t.sums = make(map[uint64]uint64)
	}
	t.sums[bucket] = sum
	return sum, nil
}

// noteParts keeps what openBytes knows true.
func (t *tx) noteParts(bucket uint64, more, less uint64) {
	if sum, ok := t.sums[bucket]; ok {
		t.sums[bucket] = sum + more - less
	}
}

// sumParts adds up the parts of a bucket's open uploads.
func (v *view) sumParts(bucket uint64) (sum uint64, err error) {
	w := &view{r: v.r, g: v.g} // reads while the scan holds v's buffers
	err = v.scan(v.uintKey(spaceUpload, bucket), func(_, val []byte) (bool, error) {
		var u Upload
		if err := unmarshal(val, &u); err != nil {
			return false, err
		}
		id, ok := toVersionID(u.Upload)
		if !ok {
			return false, broken("an upload of bucket %d has an ID of %d bytes", bucket, len(u.Upload))
		}
		parts, err := w.parts(id)
		for _, p := range parts {
			sum += p.Size
		}
		return true, err
	})
	return sum, err
}
