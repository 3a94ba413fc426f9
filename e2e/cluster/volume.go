package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shoal/e2e/netns"
)

// Volume is a file system of its own, of a fixed size, that a test may fill up or break
// under a process that uses it as a drive.
type Volume struct {
	dir   string
	image string
}

// sweep removes once what dead tests left.
var sweep = sync.OnceValue(func() error { return errors.Join(sweepMounts(), netns.Sweep()) })

// CanMount is nil where NewVolume works, else it says what is missing.
func CanMount() error {
	if os.Geteuid() != 0 {
		return errors.New("mounts need root")
	}
	for _, name := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed", name)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return errors.New("there are no loop devices")
	}
	return nil
}

// NewVolume makes and mounts a volume. It is removed when the test ends, after the
// processes that the test makes later.
func NewVolume(t testing.TB, sizeBytes int64) *Volume {
	t.Helper()
	if err := sweep(); err != nil {
		t.Logf("leftovers of earlier tests: %v", err)
	}
	top, err := os.MkdirTemp("", fmt.Sprintf("%s%d-volume-", netns.Prefix, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	v := &Volume{dir: filepath.Join(top, "mount"), image: filepath.Join(top, "image")}
	t.Cleanup(func() {
		if err := errors.Join(unmount(v.dir), os.RemoveAll(top)); err != nil {
			t.Error(err)
		}
	})
	if err := v.make(sizeBytes); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *Volume) make(sizeBytes int64) error {
	if err := os.Mkdir(v.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(v.image, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(sizeBytes), f.Close()); err != nil {
		return err
	}
	return errors.Join(run("mkfs.ext4", "-q", "-F", "-m", "0", v.image), v.mount())
}

func (v *Volume) mount() error { return run("mount", "-o", "loop", v.image, v.dir) }

// Drive is the directory to give to --drive.
func (v *Volume) Drive() string { return filepath.Join(v.dir, "drive") }

// Break lets every read, write and sync of the volume fail from now on. What was synced
// is there again after Replace.
func (v *Volume) Break() error { return shutDown(v.dir) }

// Replace mounts a broken volume again. No process may use it meanwhile.
func (v *Volume) Replace() error { return errors.Join(unmount(v.dir), v.mount()) }

// Fill takes all space that is left.
func (v *Volume) Fill() error {
	f, err := os.OpenFile(v.filler(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	end := int64(0)
	for step := int64(1 << 40); step >= 1<<10 && err == nil; {
		switch err = allocate(f, end, step); {
		case err == nil:
			end += step
		case isFull(err):
			step, err = step/2, nil
		}
	}
	return errors.Join(err, f.Close())
}

// Clear gives back what Fill took.
func (v *Volume) Clear() error {
	if err := os.Remove(v.filler()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (v *Volume) filler() string { return filepath.Join(v.dir, "filler") }

// unmount takes a mount away, also while something has files open there.
func unmount(dir string) error { return run("umount", "--lazy", dir) }

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// sweepMounts removes the volumes of tests that are no more.
func sweepMounts() error {
	tops, err := filepath.Glob(filepath.Join(os.TempDir(), netns.Prefix+"*-volume-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, top := range tops {
		if !netns.Leftover(filepath.Base(top)) {
			continue
		}
		// The error says that it is not mounted any more.
		_ = unmount(filepath.Join(top, "mount"))
		errs = append(errs, os.RemoveAll(top))
	}
	return errors.Join(errs...)
}
