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

// segment is the file being written.
type segment struct {
	open func(path string) (File, error)
	path string
	file File // nil after a failed rotation, until the next write
	size int64
	torn bool // the last write ended in the middle of a line
}

func openFile(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

func openSegment(open func(path string) (File, error), path string) (*segment, error) {
	s := &segment{open: open, path: path}
	if err := s.reopen(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *segment) reopen() error {
	torn, err := endsTorn(s.path)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	f, err := s.open(s.path)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("access log: %w", err)
	}
	s.file, s.size, s.torn = f, info.Size(), torn
	return nil
}

// endsTorn says whether a file ends in the middle of a line, as a crash leaves it.
func endsTorn(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

// write appends lines. After a torn write it begins on a new line; the count it
// returns tells the caller where to go on, so no line is lost or doubled.
func (s *segment) write(lines []byte) (int, error) {
	if len(lines) == 0 {
		return 0, nil
	}
	if s.file == nil {
		if err := s.reopen(); err != nil {
			return 0, err
		}
		s.torn = false // what was torn by ourselves is continued
	}
	if s.torn {
		n, err := s.file.Write([]byte{'\n'})
		s.size += int64(n)
		if err != nil {
			return 0, err
		}
		s.torn = false
	}
	n, err := s.file.Write(lines)
	s.size += int64(n)
	return n, err
}

func (s *segment) sync() error {
	if s.file == nil {
		return nil
	}
	return s.file.Sync()
}

func (s *segment) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// rotatedFormat names rotated files by the time they were closed, so that names sort.
const rotatedFormat = "access-20060102T150405.000000000Z.log"

// rotate syncs and renames the file, begins a new one, and removes the oldest ones
// beyond the number kept.
func (l *Log) rotate() error {
	if err := l.file.sync(); err != nil {
		return err
	}
	if err := l.file.close(); err != nil {
		return err
	}
	target := filepath.Join(l.cfg.Dir, time.Now().UTC().Format(rotatedFormat))
	if err := os.Rename(l.file.path, target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate access log: %w", err)
	}
	if err := l.file.reopen(); err != nil {
		return err
	}
	return l.prune()
}

func (l *Log) prune() error {
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("list rotated access logs: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "access-") && strings.HasSuffix(e.Name(), "Z.log") && len(e.Name()) == len(rotatedFormat) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for len(names) > l.cfg.FilesMax {
		if err := os.Remove(filepath.Join(l.cfg.Dir, names[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old access log: %w", err)
		}
		names = names[1:]
	}
	return nil
}
