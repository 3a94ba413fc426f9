package node

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"shoal/node/api"
)

// After everything is deleted, the drives and the metadata take what they took when they were empty,
// to within a hundredth of what had been stored.
func TestSpaceReturns(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 150 MB")
	}
	dir := t.TempDir()
	n := start(t, Config{DataDir: filepath.Join(dir, "data")})
	s := n.Store()
	if _, err := s.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	taken := func() (drives, meta int64) {
		sp, err := s.Space(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range sp.Drives {
			drives += d.SegmentBytes
		}
		return drives, sp.MetaBytes
	}
	drives0, meta0 := taken()
	var wg sync.WaitGroup
	var stored int64
	for w := range 16 {
		for i := range 200 {
			stored += 16<<10 + int64(i%4)*30000
		}
		wg.Go(func() {
			for i := range 200 {
				put(t, s, "b", fmt.Sprintf("%d/%d", w, i), pattern(uint64(i), 16<<10+i%4*30000))
			}
		})
	}
	wg.Wait()
	drives1, meta1 := taken()
	for w := range 16 {
		var items []api.DeleteItem
		for i := range 200 {
			items = append(items, api.DeleteItem{Key: fmt.Sprintf("%d/%d", w, i)})
		}
		if _, err := s.DeleteMany(t.Context(), "b", items); err != nil {
			t.Fatal(err)
		}
	}
	var drives2, meta2 int64
	eventually(t, "the space returns", func() bool {
		drives2, meta2 = taken()
		return drives2-drives0 <= stored/100 && meta2-meta0 <= stored/100
	})
	t.Logf("stored %d: drives %d, %d, %d; metadata %d, %d, %d", stored, drives0, drives1, drives2, meta0, meta1, meta2)
}
