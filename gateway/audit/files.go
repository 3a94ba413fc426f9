package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const fileSuffix = ".jsonl"

func openFile(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
}

// path is that of the file being written.
func (l *Log) path() string { return filepath.Join(l.cfg.Dir, l.cfg.Name+fileSuffix) }

// ready sees to it that there is a file with room for more bytes.
func (l *Log) ready(more int64) error {
	if l.file != nil && len(l.out.text) == 0 && l.records > 0 && l.size+more > l.cfg.FileBytesMax {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if l.file != nil {
		return nil
	}
	if _, err := os.Stat(l.path()); errors.Is(err, fs.ErrNotExist) {
		if err := l.begin(); err != nil {
			return err
		}
	}
	f, err := l.cfg.Open(l.path())
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// begin makes a file that has its first record, as a whole.
func (l *Log) begin() error {
	if l.chain == "" {
		l.chain, l.at = newChain(), position{}
	}
	at, now := l.at, l.cfg.Now()
	text := appendLine(nil, &at, appendBody(nil, &note{kind: eventFile, control: control{
		Time: now, Log: l.cfg.Name, Writer: l.cfg.Writer, Chain: l.chain, Release: l.cfg.Release,
	}}))
	if err := writeWhole(l.path(), text); err != nil {
		return err
	}
	l.at, l.records, l.born = at, 0, now
	l.wrote(int64(len(text)), 1)
	return nil
}

// writeWhole makes a file of mode 0600 with this text, or none.
func writeWhole(path string, text []byte) error {
	aside := path + ".new"
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// closedFormat names closed files by the time at which they were closed, so that names sort.
const closedFormat = "20060102T150405.000000000Z"

// closedFiles lists the names of the closed files, oldest first.
func (l *Log) closedFiles() ([]string, error) {
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, ok := closedAt(l.cfg.Name, e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// closedAt reads the time in the name of a closed file of a log.
func closedAt(log, name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, log+"-")
	text, is := strings.CutSuffix(text, fileSuffix)
	if !ok || !is || len(text) != len(closedFormat) {
		return time.Time{}, false
	}
	at, err := time.Parse(closedFormat, text)
	return at, err == nil
}

// rotate syncs, closes and renames the file. Its end gets a checkpoint.
func (l *Log) rotate() error {
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.checkpoint(l.at)
	if err := l.file.Close(); err != nil {
		return err
	}
	l.file = nil
	return l.setAside()
}

// setAside gives the file being written the name of a closed one, later than those of all others.
func (l *Log) setAside() error {
	names, err := l.closedFiles()
	if err != nil {
		return err
	}
	at := l.cfg.Now().UTC()
	if len(names) > 0 {
		if last, _ := closedAt(l.cfg.Name, names[len(names)-1]); !at.After(last) {
			at = last.Add(1)
		}
	}
	l.rotated = true
	if err := os.Rename(l.path(), filepath.Join(l.cfg.Dir, l.cfg.Name+"-"+at.Format(closedFormat)+fileSuffix)); err != nil {
		return err
	}
	return syncDir(l.cfg.Dir)
}

// rotateByAge closes a file that is old and has records.
func (l *Log) rotateByAge() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.file == nil || l.records == 0 || len(l.out.text) > 0 || l.cfg.Now().Sub(l.born) < l.cfg.FileAgeMax {
		return nil
	}
	if err := l.rotate(); err != nil {
		return err
	}
	return l.ready(0)
}

// prune removes closed files that are too old or too many, if files were closed since the last time or look is
// set. That a file goes is on stable storage before it does.
func (l *Log) prune(look bool) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if !look && !l.rotated || l.failing.Load() {
		return nil
	}
	names, err := l.surplus()
	if err != nil {
		return err
	}
	l.rotated = false
	if len(names) == 0 {
		return nil
	}
	var notes []*note
	for _, name := range names {
		t, err := readTail(filepath.Join(l.cfg.Dir, name))
		if err != nil {
			return err
		}
		notes = append(notes, &note{kind: eventPruned, control: control{
			Time: l.cfg.Now(), File: name, ThroughSeq: t.seq, ThroughHash: t.hash.String(),
		}})
	}
	if err := l.recordLocked(notes...); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(l.cfg.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// surplus lists the closed files that are to go, oldest first: none that a target has not got.
func (l *Log) surplus() ([]string, error) {
	names, err := l.closedFiles()
	if err != nil {
		return nil, err
	}
	sizes := make([]int64, len(names))
	total := int64(0)
	for i, name := range names {
		info, err := os.Stat(filepath.Join(l.cfg.Dir, name))
		if err != nil {
			return nil, fmt.Errorf("list closed files: %w", err)
		}
		sizes[i] = info.Size()
		total += sizes[i]
	}
	count := 0
	for i, name := range names {
		at, _ := closedAt(l.cfg.Name, name)
		old := l.cfg.KeepAge > 0 && l.cfg.Now().Sub(at) > l.cfg.KeepAge
		if total <= l.cfg.KeepBytes && !old {
			break
		}
		total -= sizes[i]
		count = i + 1
	}
	return l.given(names[:count])
}

// given gives those of the oldest closed files that all targets have got, as far as their cursors on disk say.
func (l *Log) given(names []string) ([]string, error) {
	if len(names) == 0 || len(l.queues) == 0 {
		return names, nil
	}
	all, err := l.segments()
	if err != nil {
		return nil, err
	}
	for _, q := range l.queues {
		q.mu.Lock()
		saved := q.saved
		q.mu.Unlock()
		if i := find(all, &saved); i < len(all) {
			needed := filepath.Base(all[i].path)
			if k := slices.Index(names, needed); k >= 0 {
				names = names[:k]
			}
		}
	}
	return names, nil
}
