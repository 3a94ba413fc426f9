package meta

import "encoding/binary"

const (
	garbageDoneMax  = 10_000
	garbagePageMax  = 1000
	answerBytesBase = 1 << 20 // manifests in an answer, unless the query says otherwise
	answerBytesMax  = 3 << 20
)

// addGarbage notes that an owner died. Its manifest stays where it is until GarbageDone.
func (t *tx) addGarbage(g *Garbage) error {
	g.Seq = t.h.nextGarbage
	g.Time = t.now()
	t.h.nextGarbage++
	t.h.garbagePending++
	return t.setMessage(t.uintKey(spaceGarbage, g.Seq), g)
}

// addNamed notes that an owner of the key died. It had no other key before, unless renamed says so.
func (t *tx) addNamed(g *Garbage, key []byte, renamed bool) error {
	if t.level >= levelNames && !renamed {
		g.Key = key
	}
	return t.addGarbage(g)
}

// addRecoded notes that shards became superfluous whose content lives on in others.
func (t *tx) addRecoded(g *Garbage) error {
	g.Follows = t.level >= levelNames
	return t.addGarbage(g)
}

// manifestKey is where a garbage entry's manifest lies.
func (v *view) manifestKey(g *Garbage) ([]byte, error) {
	id, ok := toVersionID(g.Version)
	if !ok || g.Part && len(g.Streams) != 1 || g.Recoded && len(g.Streams) == 0 {
		return nil, broken("garbage entry %d", g.Seq)
	}
	if g.Part || g.Recoded {
		return v.streamKey(spaceManifest, id, g.Streams[0]), nil
	}
	return v.idKey(spaceManifest, id), nil
}

// garbageDone removes entries and their manifests. Unknown ones were removed before.
func (t *tx) garbageDone(c *GarbageDone) (*Result, error) {
	if len(c.Seqs) > garbageDoneMax {
		return invalid("Too many garbage entries."), nil
	}
	for _, seq := range c.Seqs {
		var g Garbage
		ok, err := t.getMessage(t.uintKey(spaceGarbage, seq), &g)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		k, err := t.manifestKey(&g)
		if err != nil {
			return nil, err
		}
		if err := t.delete(k); err != nil {
			return nil, err
		}
		if err := t.delete(t.uintKey(spaceGarbage, seq)); err != nil {
			return nil, err
		}
		t.h.garbagePending--
	}
	return &Result{}, nil
}

// queryGarbage lists garbage with manifests.
func (v *view) queryGarbage(q *GarbageQuery) (*GarbageAnswer, error) {
	var h header
	if err := v.header(&h); err != nil {
		return nil, err
	}
	a := &GarbageAnswer{Pending: h.garbagePending}
	most, room := pageMax(q.Max, garbagePageMax), bytesMax(q.MaxBytes)
	w := &view{r: v.r, g: v.g} // reads while the scan holds v's buffers
	from := binary.BigEndian.AppendUint64(nil, q.After+1)
	if q.After == ^uint64(0) {
		return a, nil
	}
	err := v.scanFrom(v.keep(v.key(spaceGarbage)), from, func(_, val []byte) (bool, error) {
		g := new(Garbage)
		if err := unmarshal(val, g); err != nil {
			return false, err
		}
		k, err := w.manifestKey(g)
		if err != nil {
			return false, err
		}
		if g.Manifest, _, err = w.getInto(nil, k); err != nil {
			return false, err
		}
		if g.Follows {
			if g.Key, _, err = w.nameOf(versionID(g.Version)); err != nil {
				return false, err
			}
		}
		room -= len(g.Manifest) + len(g.Key)
		if len(a.Garbage) == most || room < 0 && len(a.Garbage) > 0 {
			a.Truncated = true
			return false, nil
		}
		a.Garbage = append(a.Garbage, g)
		return true, nil
	})
	return a, err
}

// pageMax bounds the page size of a query: 0 means the greatest.
func pageMax(asked uint32, most int) int {
	if asked == 0 || int64(asked) > int64(most) {
		return most
	}
	return int(asked)
}

func bytesMax(asked uint32) int {
	if asked == 0 {
		return answerBytesBase
	}
	return int(min(asked, answerBytesMax))
}
