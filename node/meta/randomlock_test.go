package meta

import (
	"fmt"
	"testing"
	"time"

	"shoal/acl/lock"

	"github.com/cockroachdb/pebble/v2"
)

// tick notes the time of the next command, and now and then has voters agree on one, which is behind it.
func (w *walk) tick() {
	w.clock, w.level = w.now+int64(time.Second), uint32(w.rnd.IntN(Level+1))
	if w.chance(20) {
		w.agreed = max(w.agreed, w.clock-int64(w.rnd.IntN(int(3*time.Hour))))
	}
}

// someRetention gives a time of a few hours around now, or of a few seconds around the time that voters agreed on.
func (w *walk) someRetention() *Lock {
	l := &Lock{Mode: uint32(lock.Governance), Until: w.clock + int64(w.rnd.IntN(int(12*time.Hour))) - int64(time.Hour)}
	switch w.rnd.IntN(5) {
	case 0:
		return &Lock{}
	case 1, 2:
		l.Mode = uint32(lock.Compliance)
	}
	if w.agreed > 0 && w.chance(60) {
		l.Until = w.agreed + int64(w.rnd.IntN(7)-1)*int64(5*time.Second)
	}
	return l
}

func (w *walk) someLock(b *modelBucket) *Lock {
	if b.locks && w.chance(75) || !b.locks && w.chance(98) {
		return nil
	}
	l := w.someRetention()
	l.LegalHold = w.chance(20)
	return l
}

func (w *walk) someTags() []byte {
	if w.chance(70) {
		return nil
	}
	return fmt.Appendf(nil, "tags%d", w.rnd.IntN(5))
}

func (w *walk) someACL() []byte {
	if w.chance(80) {
		return nil
	}
	return fmt.Appendf(nil, "acl%d", w.rnd.IntN(3))
}

func (w *walk) lockBucket() {
	c := &SetObjectLock{Bucket: 2, Initial: w.chance(10)}
	if w.chance(50) {
		c.Mode, c.Days = uint32(1+w.rnd.IntN(2)), 1
	}
	w.run(&Command_SetObjectLock{c}, w.setLock(w.bucket(2), c))
}

func (w *walk) alter() {
	id := w.bucketID()
	item := w.deleteItem(id)
	c := &AlterVersion{Bucket: id, Key: item.Key, Version: item.Version, NullVersion: item.NullVersion, Bypass: item.Bypass}
	c.Seq = item.Seq
	switch w.rnd.IntN(4) {
	case 0:
		c.Change = &AlterVersion_Tags{w.someTags()}
	case 1:
		c.Change = &AlterVersion_Acl{w.someACL()}
	case 2:
		c.Change = &AlterVersion_Retention{w.someRetention()}
	default:
		c.Change = &AlterVersion_LegalHold{w.chance(40)}
	}
	w.run(&Command_AlterVersion{c}, w.model.alter(w.bucket(id), c))
}

func (w *walk) rename() {
	id := w.bucketID()
	b := w.bucket(id)
	c := &RenameObject{Bucket: id, From: w.pick(walkKeys), To: w.pick(walkKeys)}
	for _, side := range []**RenameCondition{&c.Source, &c.Target} {
		if w.chance(20) {
			var none bool
			*side = new(RenameCondition)
			w.conditions(&none, &(*side).IfMatch)
			if none {
				(*side).IfNoneMatch = []byte("*")
			}
			w.times(b, c, *side)
		}
	}
	want := w.model.rename(b, c)
	res := w.run(&Command_RenameObject{c}, want)
	if want != ok {
		return
	}
	if v := b.keys[string(c.To)][0]; !sameBytes(res.GetWritten().Version, v.id) || res.GetWritten().Mtime != v.mtime {
		w.t.Fatalf("renamed %v, model has %+v", res, v)
	}
}

// times adds conditions on times around that of a version of one of the keys.
func (w *walk) times(b *modelBucket, c *RenameObject, side *RenameCondition) {
	vs := b.keys[string(c.From)]
	if side == c.Target {
		vs = b.keys[string(c.To)]
	}
	if len(vs) == 0 {
		return
	}
	at := vs[0].mtime/1e9 + int64(w.rnd.IntN(3)) - 1
	if w.chance(40) {
		side.IfModifiedSince = &at
	}
	if w.chance(40) {
		side.IfUnmodifiedSince = &at
	}
}

func markerAfter(seq uint64) versionID {
	t := &tx{view: view{g: testGroup}, h: header{nextSeq: seq}}
	return t.markerID()
}

// exhume puts delete markers where the first release has them, among the other current versions.
func (r *rig) exhume() {
	r.t.Helper()
	v := &view{r: r.db, g: testGroup}
	b := r.db.NewBatch()
	err := v.scan(appendSpace(nil, testGroup, spaceBuried), func(suffix, val []byte) (bool, error) {
		if err := b.Set(append(appendSpace(nil, testGroup, spaceCurrent), suffix...), val, nil); err != nil {
			return false, err
		}
		return true, b.Delete(append(appendSpace(nil, testGroup, spaceBuried), suffix...), nil)
	})
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestMarkersOfTheFirstRelease runs the model on a state whose delete markers lie where they did before
// they had a space of their own.
func TestMarkersOfTheFirstRelease(t *testing.T) {
	for seed := range uint64(4) {
		w := newWalk(t, 1000+seed)
		for range 8 {
			for range 50 {
				w.step()
			}
			w.exhume()
			w.compare()
		}
	}
}
