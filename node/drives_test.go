package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/node/meta"
)

// within waits until there is no error.
func within(t *testing.T, d time.Duration, ask func() error) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal(err)
		}
	}
}

// settled is nil once all stripes have a width and everything is as promised.
func settled(t *testing.T, n *running, profile string, drives, width int) error {
	t.Helper()
	p, err := n.Store().Placement(t.Context())
	if err != nil {
		return err
	}
	d, err := n.Store().Durability(t.Context(), api.DurabilityQuery{})
	if err != nil {
		return err
	}
	if d.Stripes == 0 { // the check that comes with the start was done before there was anything
		n.repair.Recount()
	}
	if p.Profile != profile || len(p.Drives) != drives || !d.Complete || !slices.Equal(d.Widths, []int{width}) || d.BelowPromise.Stripes+d.Unreadable.Stripes+d.Strays > 0 {
		return fmt.Errorf("profile %s on %d drives, %+v", p.Profile, len(p.Drives), d)
	}
	return nil
}

// TestDrivesComeAndGo lets a store of one drive grow to four, exchanges one of them for an empty one, and loses one for good.
func TestDrivesComeAndGo(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for several placements")
	}
	dir := t.TempDir()
	drives := driveDirs(dir, 4)
	data := filepath.Join(dir, "data")
	n := start(t, Config{DataDir: data, Drives: drives[:1]})
	if _, err := n.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	contents := make(map[string][]byte)
	write := func(key string) {
		contents[key] = pattern(uint64(len(contents)), 5<<20)
		put(t, n.Store(), "b", key, contents[key])
	}
	check := func(profile string, count, width int) {
		t.Helper()
		within(t, 2*time.Minute, func() error { return settled(t, n, profile, count, width) })
		for key, want := range contents {
			if !bytes.Equal(get(t, n.Store(), "b", key), want) {
				t.Errorf("%s differs", key)
			}
		}
	}
	again := func(cfg Config) {
		n.stop()
		cfg.DataDir = data
		n = start(t, cfg)
	}
	write("one")
	check("1+0", 1, 1)
	again(Config{Drives: drives[:2]})
	write("two")
	check("1+1", 2, 2)
	again(Config{Drives: drives[3:]}) // those of the last start need not be named
	check("2+1", 3, 2)                // what has as much parity stays as it is
	again(Config{Drives: drives})
	write("four")
	check("2+2", 4, 4)

	n.stop()
	if err := os.RemoveAll(drives[1]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(drives[1], 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{DataDir: data, Drives: drives}); err == nil || !strings.Contains(err.Error(), "shoal admin drive remove --stopped") {
		t.Fatalf("a drive that was wiped: %v", err)
	}
	if _, err := Open(t.Context(), Config{DataDir: data, Drives: append(slices.Clone(drives), filepath.Join(dir, "d5")), Degraded: true}); err == nil || !strings.Contains(err.Error(), "cannot be added while") {
		t.Fatalf("a new drive while one is missing: %v", err)
	}
	if _, err := RemoveDrive(data, filepath.Join(dir, "d9")); err == nil {
		t.Error("a drive that there is not was removed")
	}
	if report, err := RemoveDrive(data, drives[1]); err != nil || !strings.Contains(report, "3 are left") {
		t.Fatalf("%q, %v", report, err)
	}
	n = start(t, Config{DataDir: data, Drives: drives})
	check("2+2", 4, 4)

	n.stop()
	if err := os.RemoveAll(drives[2]); err != nil {
		t.Fatal(err)
	}
	n = start(t, Config{DataDir: data, Drives: drives, Degraded: true})
	gone := driveAt(t, n, drives[2])
	if err := n.Store().RemoveDrive(t.Context(), driveAt(t, n, drives[0])); api.KindOf(err) != api.InvalidArgument {
		t.Errorf("a drive that is in use was removed: %v", err)
	}
	within(t, time.Minute, func() error {
		h, err := n.Store().Cluster(t.Context())
		if err == nil && !strings.Contains(strings.Join(h.Reasons, " "), "runs without 1 of its 4 drives") {
			err = fmt.Errorf("health says %+v", h)
		}
		return err
	})
	if err := n.Store().RemoveDrive(t.Context(), gone[:8]); err != nil {
		t.Fatal(err)
	}
	check("2+1", 3, 3)
	within(t, time.Minute, func() error {
		h, err := n.Store().Cluster(t.Context())
		if err == nil && !h.Whole {
			err = fmt.Errorf("health says %+v", h)
		}
		return err
	})
	again(Config{})
	check("2+1", 3, 3)
}

func driveAt(t *testing.T, n *running, path string) string {
	t.Helper()
	s, err := n.Store().Space(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.Drives {
		if d.Path == path {
			return d.DriveID
		}
	}
	t.Fatalf("no drive at %s: %+v", path, s.Drives)
	return ""
}

// TestAddDrive: a start that ends between describing a new drive and making it is repeated, also without the drive.
func TestAddDrive(t *testing.T) {
	dir := t.TempDir()
	drives := driveDirs(dir, 2)
	data := filepath.Join(dir, "data")
	start(t, Config{DataDir: data, Drives: drives[:1]}).stop()

	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "photos"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{DataDir: data, Drives: append(slices.Clone(drives[:1]), full)}); err == nil || !strings.Contains(err.Error(), "holds photos") {
		t.Fatalf("a directory that is not empty: %v", err)
	}
	describe := func() {
		d, err := readDescription(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.add(drives[1]); err != nil {
			t.Fatal(err)
		}
		if err := d.write(data); err != nil {
			t.Fatal(err)
		}
	}
	describe()
	n := start(t, Config{DataDir: data})
	if len(n.describedDrives()) != 2 {
		t.Errorf("the drives are %+v", n.describedDrives())
	}
	n.stop()
	text, err := os.ReadFile(filepath.Join(data, describedFile))
	if err != nil || bytes.Contains(text, []byte(`"new"`)) {
		t.Errorf("the drive is still called new: %s, %v", text, err)
	}

	d := new(description)
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	d.Drives = append(d.Drives, describedDrive{ID: hexID{1}, Path: filepath.Join(dir, "absent"), New: true})
	if err := d.locate(drives, false); err != nil || len(d.Drives) != 2 {
		t.Errorf("a drive that was never made and is not asked for: %v, %+v", err, d.Drives)
	}
}

// TestRowOfAnEarlierRun: what a node said of its drives before one was removed may come late, and does not stay.
func TestRowOfAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{DataDir: filepath.Join(dir, "data"), Drives: driveDirs(dir, 2)})
	row := func() *meta.Member {
		a, err := n.query(t.Context(), &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
		if err != nil {
			t.Fatal(err)
		}
		return a.GetMembers().GetMembers()[0]
	}
	late := row()
	late.Drives = append(late.Drives, &meta.Drive{Id: bytes.Repeat([]byte{7}, 16), Node: late.GetPeerId(), Site: late.GetSite(), Weight: 100, Path: "removed"})
	before := n.client.KnownLayout().Epoch
	if _, err := n.propose(t.Context(), &meta.Command{Op: &meta.Command_PutMember{PutMember: &meta.PutMember{Member: late}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed drive is neither in the row nor in the placement", func() bool {
		l := n.client.KnownLayout()
		return l.Epoch > before+1 && len(l.Drives()) == 2 && len(row().GetDrives()) == 2
	})
}
