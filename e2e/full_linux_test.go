package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"shoal/e2e/cluster"
)

// smallDisk mounts a file system of the given size at a new directory.
func smallDisk(t *testing.T, dir string, bytes int64) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("mounting a small disk needs root")
	}
	must(t, err)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// diskBytes is the size of a small disk: of the least that a store is at home on.
const diskBytes = 480 * mib

// TestDiskFull fills the disk under a store, under its drive alone and under everything. What
// was acknowledged stays readable, what does not fit is refused in words, and once
// something is deleted there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, at string }{{"drive", "d0"}, {"everything", ""}} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			smallDisk(t, filepath.Join(dir, c.at), diskBytes)
			p := cluster.Start(t, cluster.Options{Dir: dir, Drives: 1, Args: []string{"--orphan-grace", "2s"}})
			fillUp(t, p)
		})
	}
}

func fillUp(t *testing.T, p *cluster.Process) {
	const bucket, size = "full", 9 * mib
	c := sdkClient{p.S3()}
	must(t, c.mkBucket(t.Context(), bucket))
	content := func(i int) pattern { return pattern{seed: uint64(i), size: size} }
	stored := 0
	var refused error
	for ; stored < 100 && refused == nil; stored++ {
		refused = c.put(t.Context(), bucket, fmt.Sprint(stored), content(stored))
	}
	stored--
	if refused == nil {
		t.Fatalf("%d objects of %d bytes went onto a disk of %d", stored, size, diskBytes)
	}
	t.Logf("after %d objects: %v", stored, refused)
	if status(refused) != 507 && status(refused) != 503 {
		t.Errorf("a full disk is answered with %d: %v", status(refused), refused)
	}
	readBack := func() {
		t.Helper()
		for i := range stored {
			if err := c.get(t.Context(), bucket, fmt.Sprint(i), content(i)); err != nil {
				t.Errorf("object %d: %v", i, err)
			}
		}
	}
	readBack()
	if _, err := c.size(t.Context(), bucket, fmt.Sprint(stored)); !absent(err) {
		t.Errorf("the refused object: %v", err)
	}
	p.Restart()
	c = sdkClient{p.S3()}
	readBack()
	for i := stored / 2; i < stored; i++ {
		must(t, c.remove(t.Context(), bucket, fmt.Sprint(i)))
	}
	stored /= 2
	eventually(t, time.Minute, func() error { return c.put(t.Context(), bucket, "after", content(1000)) })
	must(t, c.get(t.Context(), bucket, "after", content(1000)))
	readBack()
}
