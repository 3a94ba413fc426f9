package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Keeper keeps checkpoints on disk: those of this process's own logs, and those that other peers tell of
// theirs. Of each log it keeps the newest and a history that grows thinner with age, and whatever contradicts
// what was said before.
type Keeper struct {
	dir   string
	keyOf KeyOf
	log   *slog.Logger

	mu    sync.Mutex       // guards what follows, and the files
	files map[string]*kept // by name
}

// kept is what is known of a file without reading it.
type kept struct {
	newest *Checkpoint
	lines  int
}

// What is kept of a log: the last ones all, then one for each hour of three days, then one for each day of
// a year. Of those that contradict others, the first.
const (
	keepLast         = 64
	keepHours        = 3 * 24 * time.Hour
	keepDays         = 366 * 24 * time.Hour
	keepContradicted = 32
	// keepLinesMax is the number of lines at which a file is thinned.
	keepLinesMax = 1024
	// keepFilesMax bounds the logs of which checkpoints are kept.
	keepFilesMax = 8192
)

// NewKeeper opens a directory of checkpoints; it is made when missing.
func NewKeeper(dir string, keyOf KeyOf, log *slog.Logger) (*Keeper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of checkpoints: %w", err)
	}
	k := &Keeper{dir: dir, keyOf: keyOf, log: log, files: make(map[string]*kept)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of checkpoints: %w", err)
	}
	for _, e := range entries {
		if _, _, ok := splitCheckpointFile(e.Name()); !ok {
			continue
		}
		if err := k.open(e.Name()); err != nil {
			return nil, fmt.Errorf("checkpoints in %s: %w", e.Name(), err)
		}
	}
	return k, nil
}

// open reads a file, and ends a line that a crash has left without its end.
func (k *Keeper) open(name string) error {
	all, torn, err := readCheckpoints(filepath.Join(k.dir, name))
	if err != nil {
		return err
	}
	f := &kept{lines: len(all)}
	if len(all) > 0 {
		f.newest = all[len(all)-1]
	}
	k.files[name] = f
	if torn {
		return k.rewrite(name, f, all)
	}
	return nil
}

// readCheckpoints reads those of a file that can be read. torn says that the last line has no end.
func readCheckpoints(path string) (all []*Checkpoint, torn bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	r := lineReader{r: bufio.NewReader(f)}
	for {
		err := r.next()
		if err == io.EOF {
			return all, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if r.open {
			return all, true, nil
		}
		if c, err := ParseCheckpoint(r.text); err == nil {
			all = append(all, c)
		}
	}
}

// Heard keeps what a peer tells of a log of its own.
func (k *Keeper) Heard(from string, text []byte) error {
	c, err := ParseCheckpoint(text)
	if err != nil {
		return fmt.Errorf("what %s tells %w", from, err)
	}
	if c.Writer != from {
		return fmt.Errorf("%s tells of a log of %s", from, c.Writer)
	}
	if err := c.Check(k.keyOf); err != nil {
		return err
	}
	return k.keep(c, false)
}

// Keep keeps a checkpoint of one of this process's own logs, on stable storage.
func (k *Keeper) Keep(c *Checkpoint) error { return k.keep(c, true) }

func (k *Keeper) keep(c *Checkpoint, sync bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := checkpointFile(c.Writer, c.Log)
	f := k.files[name]
	if f == nil {
		if len(k.files) >= keepFilesMax {
			return errors.New("there are checkpoints of too many logs already")
		}
		f = new(kept)
		k.files[name] = f
	}
	if last := f.newest; last != nil && last.Chain == c.Chain {
		switch {
		case last.Seq == c.Seq && last.Hash == c.Hash, c.Seq < last.Seq && !c.Time.After(last.Time):
			return nil // it was told again, or came late
		case c.Seq <= last.Seq:
			k.log.Error("a peer contradicts what it said of its log: the log was rewritten", "writer", c.Writer, "log", c.Log, "seq", c.Seq)
		}
	} else if last != nil {
		k.log.Error("a peer has begun a log anew: what it said before may be lost", "writer", c.Writer, "log", c.Log)
	}
	if err := appendLineTo(filepath.Join(k.dir, name), append(c.Text(), '\n'), sync); err != nil {
		return err
	}
	f.newest = c
	f.lines++
	if f.lines > keepLinesMax {
		all, _, err := readCheckpoints(filepath.Join(k.dir, name))
		if err != nil {
			return err
		}
		return k.rewrite(name, f, thin(all))
	}
	return nil
}

// appendLineTo appends a line to a file of mode 0600, which it makes when missing.
func appendLineTo(path string, line []byte, sync bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// rewrite replaces a file.
func (k *Keeper) rewrite(name string, f *kept, all []*Checkpoint) error {
	var text []byte
	for _, c := range all {
		text = append(append(text, c.Text()...), '\n')
	}
	f.lines = len(all)
	return writeWhole(filepath.Join(k.dir, name), text)
}

// thin gives those of the checkpoints of a log that are kept, in their order.
func thin(all []*Checkpoint) []*Checkpoint {
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1].Time
	keep := make([]bool, len(all))
	least := make(map[string]*Checkpoint) // of each chain, that with the lowest number behind the present one
	contradicted := 0
	bucket := int64(-1)
	for i := len(all) - 1; i >= 0; i-- {
		c := all[i]
		age := newest.Sub(c.Time)
		step := time.Hour
		if age > keepHours {
			step = 24 * time.Hour
		}
		if b := c.Time.UnixNano() / int64(step); b != bucket && age <= keepDays {
			bucket, keep[i] = b, true
		}
		keep[i] = keep[i] || i >= len(all)-keepLast
		if later := least[c.Chain]; later != nil && c.Seq >= later.Seq && (c.Seq != later.Seq || c.Hash != later.Hash) && contradicted < keepContradicted {
			contradicted++
			keep[i] = true
		}
		if later := least[c.Chain]; later == nil || c.Seq < later.Seq {
			least[c.Chain] = c
		}
	}
	i := -1
	return slices.DeleteFunc(slices.Clone(all), func(*Checkpoint) bool { i++; return !keep[i] })
}

// Newest gives the newest checkpoint of a log, nil when there is none.
func (k *Keeper) Newest(writer, log string) *Checkpoint {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.files[checkpointFile(writer, log)]; f != nil {
		return f.newest
	}
	return nil
}

// WriteTo writes all checkpoints, each as a line.
func (k *Keeper) WriteTo(w io.Writer) (n int64, err error) {
	k.mu.Lock()
	names := make([]string, 0, len(k.files))
	for name := range k.files {
		names = append(names, name)
	}
	k.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		all, err := k.read(name)
		if err != nil {
			return n, err
		}
		var text bytes.Buffer
		for _, c := range all {
			text.Write(c.Text())
			text.WriteByte('\n')
		}
		m, err := text.WriteTo(w)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (k *Keeper) read(name string) ([]*Checkpoint, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, _, err := readCheckpoints(filepath.Join(k.dir, name))
	return all, err
}
