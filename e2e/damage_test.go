package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

const damageBucket = "damage"

// damageContents are small, so that many stores can be damaged in little time, and of every
// kind: inline, one chunk, several chunks, parts.
func damageContents() map[string]pattern {
	contents := make(map[string]pattern)
	for i := range 12 {
		contents[fmt.Sprintf("inline/%d", i)] = pattern{seed: uint64(i), size: int64(i) * 1300}
		contents[fmt.Sprintf("chunk/%d", i)] = pattern{seed: uint64(100 + i), size: 17*kib + int64(i)*31*kib}
	}
	contents["chunks"] = pattern{seed: 200, size: 9*mib + 5}
	contents["parts"] = pattern{seed: 201, size: 9 * mib}
	return contents
}

// fill writes the contents.
func fill(t *testing.T, c *s3.Client, contents map[string]pattern) {
	t.Helper()
	sdk := sdkClient{c}
	must(t, sdk.mkBucket(t.Context(), damageBucket))
	for key, content := range contents {
		put := sdk.put
		if key == "parts" {
			put = sdk.putParts
		}
		must(t, put(t.Context(), damageBucket, key, content))
	}
}

// readAll reads every key and gives the errors, by key.
func readAll(ctx context.Context, c *s3.Client, contents map[string]pattern) map[string]error {
	errs := make(map[string]error)
	var g errgroup.Group
	g.SetLimit(4)
	results := make(chan struct {
		key string
		err error
	}, len(contents))
	for key, content := range contents {
		g.Go(func() error {
			results <- struct {
				key string
				err error
			}{key, sdkClient{c}.get(ctx, damageBucket, key, content)}
			return nil
		})
	}
	_ = g.Wait()
	close(results)
	for r := range results {
		if r.err != nil {
			errs[r.key] = r.err
		}
	}
	return errs
}

// wrong says whether the error of a read is worse than an error: wrong or short bytes
// under a clean answer, or the claim that the object does not exist.
func wrong(err error) bool {
	return strings.Contains(err.Error(), "wrong bytes") || strings.Contains(err.Error(), "clean end") ||
		strings.Contains(err.Error(), "more than") || status(err)/100 == 4
}

// damage is one thing done to one file.
type damage struct {
	file string
	cut  bool
	at   int64
	bit  uint
}

func (d damage) String() string {
	if d.cut {
		return fmt.Sprintf("%s cut to %d bytes", d.file, d.at)
	}
	return fmt.Sprintf("%s with bit %d of byte %d flipped", d.file, d.bit, d.at)
}

// used gives the blocks of a file that hold something: segments and logs are longer than
// what is written in them.
func used(content []byte) []int64 {
	const block = 4 * kib
	zero := make([]byte, block)
	var blocks []int64
	for off := 0; off < len(content); off += block {
		b := content[off:min(off+block, len(content))]
		if string(b) != string(zero[:len(b)]) {
			blocks = append(blocks, int64(off))
		}
	}
	return blocks
}

// choose picks a file and what to do to it. Half of the choices fall on drives.
func choose(t *testing.T, r *rand.Rand, dir string) damage {
	t.Helper()
	var drives, rest []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() == 0 {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if onDrive(rel) {
			drives = append(drives, rel)
		} else {
			rest = append(rest, rel)
		}
		return nil
	}))
	for {
		from := drives
		if r.IntN(2) == 0 {
			from = rest
		}
		d := damage{file: from[r.IntN(len(from))], cut: r.IntN(3) == 0}
		content, err := os.ReadFile(filepath.Join(dir, d.file))
		must(t, err)
		blocks := used(content)
		if len(blocks) == 0 {
			continue
		}
		block := blocks[r.IntN(len(blocks))]
		d.at, d.bit = block+r.Int64N(min(4*kib, int64(len(content))-block)), uint(r.IntN(8))
		return d
	}
}

// onDrive says whether a file of the data directory lies on a drive of this test.
func onDrive(rel string) bool {
	top, _, _ := strings.Cut(rel, string(filepath.Separator))
	return len(top) == 2 && top[0] == 'd' && top[1] >= '0' && top[1] <= '9'
}

func (d damage) do(dir string) error {
	path := filepath.Join(dir, d.file)
	if d.cut {
		return os.Truncate(path, d.at)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, d.at); err != nil {
		return err
	}
	b[0] ^= 1 << d.bit
	_, err = f.WriteAt(b, d.at)
	return err
}

// copyTree copies a directory with its holes.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.RemoveAll(to))
	out, err := exec.CommandContext(t.Context(), "cp", "-a", "--sparse=always", from, to).CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// TestDamage damages one file of a stopped store, starts it, and reads everything, many
// times over. On a drive, nothing may be lost: the other drives hold enough, and a scrub
// mends the damaged one. Elsewhere the store may refuse to start, in words, but what it
// serves is right.
func TestDamage(t *testing.T) {
	t.Parallel()
	flips := count(t, "FLIPS", 20)
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("E2E_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("E2E_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	p := cluster.Start(t, cluster.Options{Drives: 4})
	contents := damageContents()
	c := p.S3() // with the credential as it is before any damage
	fill(t, c, contents)
	if code := p.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	base := filepath.Join(t.TempDir(), "base")
	copyTree(t, p.Dir(), base)
	refused := make(map[string]int)
	for range flips {
		copyTree(t, base, p.Dir())
		d := choose(t, r, p.Dir())
		must(t, d.do(p.Dir()))
		if tryDamaged(t, p, c, contents, d) {
			refused[filepath.Dir(d.file)]++
		}
		if t.Failed() {
			t.Fatalf("with %v", d)
		}
	}
	t.Logf("of %d damages, the store refused to start for %v", flips, refused)
}

// tryDamaged starts the damaged store and checks what it serves. It gives true when the
// store refused to start.
func tryDamaged(t *testing.T, p *cluster.Process, c *s3.Client, contents map[string]pattern, d damage) (refused bool) {
	t.Helper()
	p.Start()
	if err := p.Ready(); err != nil {
		refusal(t, p, d)
		return true
	}
	for key, err := range readAll(t.Context(), c, contents) {
		if onDrive(d.file) || wrong(err) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if onDrive(d.file) {
		scrubbed(t, p)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	return false
}

// refusal checks that a store which did not start said why, in a line.
func refusal(t *testing.T, p *cluster.Process, d damage) {
	t.Helper()
	if p.Running() {
		t.Error("neither ready nor ended")
		p.Kill()
		return
	}
	code := p.Wait()
	lines := strings.Split(strings.TrimSpace(p.Stderr()), "\n")
	if last := lines[len(lines)-1]; code != 1 || !strings.HasPrefix(last, "shoal: ") {
		t.Errorf("exit code %d with %q", code, last)
	}
	if onDrive(d.file) {
		t.Errorf("one damaged drive of four keeps the store from starting: %s", p.Stderr())
	}
}

// scrubbed runs scrubs: the first mends, the second finds nothing.
func scrubbed(t *testing.T, p *cluster.Process) {
	t.Helper()
	var first, second api.ScrubReport
	p.AdminJSON(&first, "scrub")
	if first.Unhealed != 0 {
		t.Errorf("the scrub could not heal all: %+v", first)
	}
	p.AdminJSON(&second, "scrub")
	if second.Corrupt != 0 || second.Missing != 0 || second.Unhealed != 0 {
		t.Errorf("after a scrub %+v a second one finds %+v", first, second)
	}
}

// wreck spoils every block that holds something of every segment of a drive.
func wreck(t *testing.T, drive string) {
	t.Helper()
	spoiled := 0
	must(t, filepath.WalkDir(filepath.Join(drive, "segments"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		for _, off := range used(content) {
			if _, err := f.WriteAt([]byte{content[off+8] ^ 0x55}, off+8); err != nil {
				return err
			}
			spoiled++
		}
		return nil
	}))
	if spoiled == 0 {
		t.Fatalf("drive %s has no segment to wreck", drive)
	}
}

// TestTwoDrivesGone wrecks two of four drives: everything is read right, a scrub restores
// full redundancy, and then the other two may go.
func TestTwoDrivesGone(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Drives: 4})
	contents := damageContents()
	fill(t, p.S3(), contents)
	for _, drives := range [][]int{{0, 1}, {2, 3}, {1, 2}} {
		if code := p.Stop(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		for _, d := range drives {
			wreck(t, p.Drive(d))
		}
		p.Start()
		p.WaitReady()
		for key, err := range readAll(t.Context(), p.S3(), contents) {
			t.Errorf("without drives %v: %s: %v", drives, key, err)
		}
		scrubbed(t, p)
	}
}

// TestIndexRebuilt removes or spoils the index of every drive: the store makes it again
// from the segments.
func TestIndexRebuilt(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Drives: 2})
	contents := damageContents()
	fill(t, p.S3(), contents)
	for _, how := range []string{"removed", "spoiled", "by command"} {
		t.Run(how, func(t *testing.T) {
			if code := p.Stop(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			for i := range 2 {
				index := filepath.Join(p.Drive(i), "index")
				switch how {
				case "removed":
					must(t, os.RemoveAll(index))
				case "spoiled":
					spoil(t, index)
				case "by command":
					spoil(t, index)
					if out, err := p.Admin("drive", "rebuild-index", p.Drive(i)); err != nil {
						t.Errorf("rebuild-index: %v: %s", err, out)
					}
				}
			}
			p.Start()
			p.WaitReady()
			for key, err := range readAll(t.Context(), p.S3(), contents) {
				t.Errorf("%s: %v", key, err)
			}
			if s := space(t, p); s.Objects != int64(len(contents)) || s.Drives[0].Shards == 0 || s.Drives[0].Shards != s.Drives[1].Shards {
				t.Errorf("space says %+v", s)
			}
			scrubbed(t, p)
		})
	}
	t.Run("while it runs", func(t *testing.T) {
		out, err := p.Admin("drive", "rebuild-index", p.Drive(0))
		if err == nil || !strings.Contains(out, "in use") {
			t.Errorf("rebuild-index of a drive in use: %v: %s", err, out)
		}
	})
}

// spoil overwrites the largest files of a directory in their middle.
func spoil(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) == 0 {
		t.Fatalf("%s is empty", dir)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		content, err := os.ReadFile(name)
		must(t, err)
		for i := range content {
			content[i] ^= 0xff
		}
		must(t, os.WriteFile(name, content, 0o600))
	}
}
