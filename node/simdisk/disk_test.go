package simdisk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// page returns an aligned page full of b. Large allocations of Go start on a page.
func page(b byte) []byte { return bytes.Repeat([]byte{b}, 1<<16)[:4096:4096] }

func create(t *testing.T, d *simdisk.Disk, name string) shardstore.File {
	t.Helper()
	f, err := d.Shards().Open(name, shardstore.CreateMode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, f shardstore.File, off int64, b byte) {
	t.Helper()
	if _, err := f.WritevAt([][]byte{page(b)}, off); err != nil {
		t.Fatal(err)
	}
}

// read returns the first byte of each page of a file, or nil if it is not there.
func read(d *simdisk.Disk, name string) []byte {
	b, err := d.ReadFile(name)
	if err != nil {
		return nil
	}
	var first []byte
	for i := 0; i < len(b); i += 4096 {
		first = append(first, b[i])
	}
	return first
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	d := simdisk.New(1)
	f := create(t, d, "a")
	write(t, f, 0, 1)
	if err := errors.Join(f.Datasync(), d.Shards().SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	write(t, f, 0, 2)
	write(t, f, 4096, 3)
	create(t, d, "b")
	if got := read(d.Crash(simdisk.KeepSynced, 1), "a"); !bytes.Equal(got, []byte{1}) {
		t.Errorf("KeepSynced leaves %v", got)
	}
	if got := read(d.Crash(simdisk.KeepAll, 1), "a"); !bytes.Equal(got, []byte{2, 3}) {
		t.Errorf("KeepAll leaves %v", got)
	}
	if _, err := f.WritevAt([][]byte{page(9)}, 0); !errors.Is(err, simdisk.ErrCrashed) {
		t.Errorf("write after the crash: %v", err)
	}
	whole, torn, names := 0, 0, 0
	for seed := range uint64(200) {
		after := d.Crash(simdisk.KeepSome, seed)
		b, err := after.ReadFile("a")
		if err != nil {
			t.Fatal("a synced file is gone")
		}
		ones, twos := bytes.Count(b[:4096], []byte{1}), bytes.Count(b[:4096], []byte{2})
		if ones+twos != 4096 || ones%simdisk.SectorBytes != 0 {
			t.Fatalf("seed %d: %d old and %d new bytes in a page", seed, ones, twos)
		}
		if ones == 0 || twos == 0 {
			whole++
		} else {
			torn++
		}
		if _, err := after.ReadFile("b"); err == nil {
			names++
		}
	}
	if whole == 0 || torn == 0 || names == 0 || names == 200 {
		t.Errorf("of 200 crashes %d left a page whole, %d torn, %d the new name", whole, torn, names)
	}
}

func TestSameSeedSameCrash(t *testing.T) {
	d := simdisk.New(1)
	for _, name := range []string{"a", "b", "c"} {
		f := create(t, d, name)
		for i := range 20 {
			write(t, f, int64(i)*4096, byte(i+1))
		}
	}
	one, two := d.Crash(simdisk.KeepSome, 7), d.Crash(simdisk.KeepSome, 7)
	for _, name := range []string{"a", "b", "c"} {
		a, _ := one.ReadFile(name)
		b, _ := two.ReadFile(name)
		if !bytes.Equal(a, b) {
			t.Errorf("two crashes with one seed leave different bytes in %s", name)
		}
	}
}

// TestFailedSyncLosesData: the pages count as clean after the error, and no later sync saves them.
func TestFailedSyncLosesData(t *testing.T) {
	d := simdisk.New(1)
	f := create(t, d, "a")
	write(t, f, 0, 1)
	d.Inject(simdisk.Fault{Match: func(c simdisk.Call) bool { return c.Op == simdisk.OpSync }, After: 1, Err: syscall.EIO})
	if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	if got := read(d, "a"); !bytes.Equal(got, []byte{1}) {
		t.Fatalf("before the crash %v is read", got)
	}
	if err := errors.Join(f.Datasync(), d.Shards().SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	if got := read(d.Crash(simdisk.KeepAll, 1), "a"); len(got) != 0 {
		t.Fatalf("after the crash %v is read", got)
	}
}

func TestNoSpace(t *testing.T) {
	d := simdisk.New(1)
	d.SetCapacity(4 * 4096)
	f := create(t, d, "a")
	for i := range 3 {
		write(t, f, int64(i)*4096, 1)
	}
	n, err := f.WritevAt([][]byte{page(2), page(2)}, 3*4096)
	if n != 4096 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write of two pages into one: %d, %v", n, err)
	}
	write(t, f, 0, 3) // what is there may be overwritten
	if err := f.PunchHole(4096, 4096); err != nil {
		t.Fatal(err)
	}
	if free, total, _ := d.Shards().Space("/"); free != 4096 || total != 4*4096 {
		t.Fatalf("%d of %d bytes are free", free, total)
	}
	if off, err := f.NextData(4096); off != 2*4096 || err != nil {
		t.Fatalf("data after the hole at %d, %v", off, err)
	}
	if err := f.Truncate(2 * 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := f.NextData(4096); err != io.EOF {
		t.Fatalf("data after the last page: %v", err)
	}
	write(t, f, 4096, 4)
	if got := read(d, "a"); !bytes.Equal(got, []byte{3, 4}) {
		t.Fatalf("%v is read", got)
	}
}

func TestDirectWritesMustBeAligned(t *testing.T) {
	f := create(t, simdisk.New(1), "a")
	for name, err := range map[string]error{
		"length": second(f.WritevAt([][]byte{page(1)[:100]}, 0)),
		"offset": second(f.WritevAt([][]byte{page(1)}, 512)),
		"memory": second(f.WritevAt([][]byte{bytes.Repeat([]byte{1}, 1<<16)[1:4097]}, 0)),
	} {
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("unaligned %s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNames(t *testing.T) {
	d := simdisk.New(1)
	fsys := d.Shards()
	if err := fsys.MkdirAll("x/y"); err != nil {
		t.Fatal(err)
	}
	create(t, d, "x/y/a")
	if _, err := fsys.Open("x/y/a", shardstore.CreateMode); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create again: %v", err)
	}
	if _, err := fsys.Open("x/b", shardstore.ReadMode); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open nothing: %v", err)
	}
	if err := fsys.Rename("x/y", "x/z"); err != nil {
		t.Fatal(err)
	}
	if got := d.Files(); len(got) != 1 || got[0] != "/x/z/a" {
		t.Errorf("files %v", got)
	}
	unlock, err := fsys.Lock("x/lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Lock("x/lock"); !errors.Is(err, shardstore.ErrDriveLocked) {
		t.Errorf("lock again: %v", err)
	}
	if err := unlock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Lock("x/lock"); err != nil {
		t.Errorf("lock once free: %v", err)
	}
	if err := errors.Join(fsys.RemoveAll("x/z"), fsys.RemoveAll("x/none")); err != nil {
		t.Fatal(err)
	}
	if err := fsys.Remove("x/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove nothing: %v", err)
	}
	names, err := fsys.List("x")
	if err != nil || len(names) != 1 || names[0] != "lock" {
		t.Errorf("names %v, %v", names, err)
	}
}
