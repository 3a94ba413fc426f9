package node

import (
	"bytes"
	"path/filepath"
	"testing"

	"shoal/node/api"
)

// TestCopyOfChangingSource changes the source between the look at it and the commit of the copy.
func TestCopyOfChangingSource(t *testing.T) {
	n := start(t, Config{DataDir: filepath.Join(t.TempDir(), "data")})
	s := n.Store()
	if _, err := s.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"inline": 1000, "in shards": 100_000} {
		old, next := pattern(1, size), pattern(2, size)
		// during copies b/src while change runs at each look, and tells how many there were.
		during := func(change func()) (looks int, err error) {
			put(t, s, "b", "src", old)
			_, err = s.Copy(t.Context(), &api.CopyObject{
				Bucket: "b", Key: "dst", Source: api.ObjectRef{Bucket: "b", Key: "src"},
				Check: func(*api.ObjectInfo) error {
					looks++
					change()
					return nil
				},
			})
			return looks, err
		}
		remove := func(key string) {
			if _, err := s.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: key}}); err != nil {
				t.Fatal(err)
			}
		}
		t.Run("removed, "+name, func(t *testing.T) {
			looks, err := during(func() { remove("src") })
			if err == nil || api.KindOf(err) != api.NoSuchKey {
				t.Fatalf("after %d looks: %v", looks, err)
			}
		})
		t.Run("replaced, "+name, func(t *testing.T) {
			first := true
			looks, err := during(func() {
				if first {
					put(t, s, "b", "src", next)
				}
				first = false
			})
			if err != nil {
				t.Fatalf("after %d looks: %v", looks, err)
			}
			if !bytes.Equal(get(t, s, "b", "dst"), next) {
				t.Fatal("the copy is not what the source was when it was made")
			}
		})
		t.Run("always replaced, "+name, func(t *testing.T) {
			looks, err := during(func() { put(t, s, "b", "src", next) })
			if looks > 20 || err == nil || api.KindOf(err) != api.ConditionalConflict {
				t.Fatalf("after %d looks: %v", looks, err)
			}
		})
		remove("src")
		remove("dst")
	}
	eventually(t, "the shards of what failed go", func() bool { return n.shards(t) == 0 })
}
