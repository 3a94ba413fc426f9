package meta

import (
	"bytes"
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

const (
	partitionsMax  = 4096
	shardsMax      = 32
	placementsMax  = 16
	tableBytesMax  = 768 << 10
	sequenceMax    = 1 << 62
	sequenceCount  = 1 << 20
	sealedBytesMax = 4096
	counterMember  = "member"
	counterIAM     = "credential"
)

// initCluster writes the settings once.
func (t *tx) initCluster(c *InitCluster) (*Result, error) {
	want := c.Settings
	if r := checkSettings(want); r != nil {
		return r, nil
	}
	have := new(Settings)
	ok, err := t.getMessage(t.keep(t.key(spaceSettings)), have)
	if err != nil {
		return nil, err
	}
	if ok {
		r := &Result{Payload: &Result_Settings{Settings: have}}
		if !bytes.Equal(have.Cluster, want.Cluster) {
			r.Code, r.Detail = codeOf(api.ConditionalConflict), "The settings belong to another cluster."
		}
		return r, nil
	}
	want.Created = t.now()
	return &Result{Payload: &Result_Settings{Settings: want}}, t.setMessage(t.keep(t.key(spaceSettings)), want)
}

func checkSettings(s *Settings) *Result {
	switch {
	case len(s.GetCluster()) != 16:
		return invalid("The cluster ID must have 16 bytes.")
	case s.Partitions < 1 || s.Partitions > partitionsMax:
		return invalid("A cluster has 1 to 4,096 partition groups.")
	case s.DataShards < 1 || s.DataShards > shardsMax || s.ParityShards > shardsMax:
		return invalid("The erasure profile is out of range.")
	case s.InlineMax > MaxInlineBytes-(8<<10):
		return invalid("Objects inline may have at most 64 KiB.")
	case len(s.Region) > nameMax:
		return invalid("The region's name is too long.")
	}
	return nil
}

func (v *view) querySettings() (*Settings, *Result, error) {
	s := new(Settings)
	ok, err := v.getMessage(v.keep(v.key(spaceSettings)), s)
	if err == nil && !ok {
		return nil, refuse(api.Unavailable, "The cluster has no settings yet."), nil
	}
	return s, nil, err
}

// take gives the first of n numbers of a counter, which begins at 1.
func (t *tx) take(space byte, name string, n uint64) (uint64, error) {
	next, _, err := t.getUint(t.nameKey(space, name))
	if err != nil {
		return 0, err
	}
	next = max(next, 1)
	if next > sequenceMax {
		return 0, broken("counter %q has run out", name)
	}
	return next, t.setUint(t.nameKey(space, name), next+n)
}

// nextSequence takes numbers from a named counter.
func (t *tx) nextSequence(c *NextSequence) (*Result, error) {
	if len(c.Name) == 0 || len(c.Name) > nameMax || c.Count > sequenceCount {
		return invalid("The sequence's name or count is out of range."), nil
	}
	first, err := t.take(spaceSequence, c.Name, uint64(max(c.Count, 1)))
	return &Result{Payload: &Result_Sequence{Sequence: first}}, err
}

func (v *view) querySequence(q *SequenceQuery) (uint64, error) {
	next, _, err := v.getUint(v.nameKey(spaceSequence, q.Name))
	return max(next, 1), err
}

// putPlacement adds the placement of the next epoch.
func (t *tx) putPlacement(p *Placement) (*Result, error) {
	size := len(p.GetTable())
	for _, o := range p.GetOthers() {
		size += len(o)
	}
	for _, s := range p.GetSites() {
		if len(s.GetSite()) == 0 || len(s.Site) > nameMax || len(s.Table) == 0 || s.DataShards == 0 || s.DataShards > shardsMax || s.ParityShards > shardsMax {
			return invalid("The placement of a site is out of range."), nil
		}
		size += len(s.Table)
		for _, o := range s.Others {
			size += len(o)
		}
	}
	if p.GetEpoch() == 0 || len(p.Table) == 0 || size > tableBytesMax || p.DataShards > shardsMax || p.ParityShards > shardsMax {
		return invalid("The placement's epoch or table is out of range."), nil
	}
	known, err := t.placements(false)
	if err != nil {
		return nil, err
	}
	if len(known) > 0 {
		switch newest := known[0]; {
		case newest.Epoch == p.Epoch && proto.Equal(newest, p):
			return &Result{}, nil
		case p.Epoch != newest.Epoch+1:
			return refuse(api.ConditionalConflict, "Another placement is newer."), nil
		}
	}
	for len(known) >= placementsMax {
		if err := t.delete(t.uintKey(spacePlacement, known[len(known)-1].Epoch)); err != nil {
			return nil, err
		}
		known = known[:len(known)-1]
	}
	return &Result{}, t.setMessage(t.uintKey(spacePlacement, p.Epoch), p)
}

// dropPlacements forgets what lies before an epoch.
func (t *tx) dropPlacements(c *DropPlacements) (*Result, error) {
	known, err := t.placements(false)
	if err != nil {
		return nil, err
	}
	for i, p := range known {
		if i > 0 && p.Epoch < c.Before {
			if err := t.delete(t.uintKey(spacePlacement, p.Epoch)); err != nil {
				return nil, err
			}
		}
	}
	return &Result{}, nil
}

// placements lists placements, the newest first.
func (v *view) placements(currentOnly bool) ([]*Placement, error) {
	var all []*Placement
	err := v.scan(v.keep(v.key(spacePlacement)), func(_, val []byte) (bool, error) {
		p := new(Placement)
		all = append([]*Placement{p}, all...)
		return true, unmarshal(val, p)
	})
	if currentOnly && len(all) > 1 {
		all = all[:1]
	}
	return all, err
}

func (v *view) queryPlacements(q *PlacementsQuery) (*PlacementsAnswer, error) {
	all, err := v.placements(q.CurrentOnly)
	return &PlacementsAnswer{Placements: all}, err
}

func (v *view) kekKey(id uint32) []byte {
	return v.keep(binary.BigEndian.AppendUint32(v.key(spaceKEK), id))
}

// putKEK adds a sealed key-encryption key, or the new form of one.
func (t *tx) putKEK(c *PutKEK) (*Result, error) {
	k := c.Kek
	if k.GetId() == 0 || len(k.Sealed) == 0 || len(k.Sealed) > sealedBytesMax {
		return invalid("The key's ID or size is out of range."), nil
	}
	var have KEK
	ok, err := t.getMessage(t.kekKey(k.Id), &have)
	if err != nil {
		return nil, err
	}
	if ok && !bytes.Equal(have.Sealed, k.Sealed) && (len(c.Replaces) == 0 || !bytes.Equal(have.Sealed, c.Replaces)) {
		return &Result{
			Code: codeOf(api.ConditionalConflict), Detail: "Another key has this ID.", Payload: &Result_Kek{Kek: &have},
		}, nil
	}
	if err := t.setMessage(t.kekKey(k.Id), k); err != nil {
		return nil, err
	}
	if c.Current {
		err = t.setMessage(t.keep(t.key(spaceKeyring)), &Keyring{Current: k.Id})
	}
	return &Result{Payload: &Result_Kek{Kek: k}}, err
}

// setCurrentKEK chooses the key that wraps new data keys.
func (t *tx) setCurrentKEK(c *SetCurrentKEK) (*Result, error) {
	ok, err := t.has(t.kekKey(c.Id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return invalid("No key has this ID."), nil
	}
	return &Result{}, t.setMessage(t.keep(t.key(spaceKeyring)), &Keyring{Current: c.Id})
}

func (v *view) queryKeyring() (*KeyringAnswer, error) {
	var ring Keyring
	if _, err := v.getMessage(v.keep(v.key(spaceKeyring)), &ring); err != nil {
		return nil, err
	}
	a := &KeyringAnswer{Current: ring.Current}
	err := v.scan(v.keep(v.key(spaceKEK)), func(_, val []byte) (bool, error) {
		k := new(KEK)
		a.Keks = append(a.Keks, k)
		return true, unmarshal(val, k)
	})
	return a, err
}
