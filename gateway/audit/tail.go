package audit

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// segment is a file of a log, as a tail sees it.
type segment struct {
	logFile
	size int64
}

// segments lists the files of the log that begin as files do, oldest first. The one being written is the last.
func (l *Log) segments() ([]segment, error) {
	names, err := l.closedFiles()
	for err == nil {
		all, err := l.heads(names)
		if err != nil {
			return nil, err
		}
		// One that was closed meanwhile would be missing.
		again, err := l.closedFiles()
		if err != nil || slices.Equal(again, names) {
			return all, err
		}
		names = again
	}
	return nil, err
}

// heads reads the beginnings of closed files and of the one being written.
func (l *Log) heads(names []string) (all []segment, err error) {
	for _, name := range append(slices.Clone(names), l.cfg.Name+fileSuffix) {
		path := filepath.Join(l.cfg.Dir, name)
		f, err := openHead(path)
		if errors.Is(err, errLine) || errors.Is(err, fs.ErrNotExist) {
			continue // there is no record in it that could be placed
		}
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, segment{f, info.Size()})
	}
	return all, nil
}

// follows says that a segment begins right behind a cursor.
func (s *segment) follows(c *cursor) bool {
	return s.Chain == c.chain && s.head.seq == c.seq+1 && s.head.prev == c.hash
}

// before is the cursor right before a segment.
func (s *segment) before() cursor {
	return cursor{chain: s.Chain, position: position{s.head.seq - 1, s.head.prev}}
}

// find gives the index of the segment that holds the record behind a cursor, or the cursor's own when that is the
// last one there is. len(all) when there are none.
func find(all []segment, c *cursor) int {
	first, holds := -1, -1
	for i := range all {
		s := &all[i]
		if s.follows(c) {
			return i
		}
		if s.Chain != c.chain {
			continue
		}
		if first < 0 {
			first = i
		}
		if s.head.seq <= c.seq {
			holds = i
		}
	}
	switch {
	case holds >= 0:
		return holds
	case first >= 0:
		return first
	default:
		return 0
	}
}

// tailer reads the records of a log in their order, through all its files, while they are written.
type tailer struct {
	log    *Log
	file   *os.File // nil before the first
	info   os.FileInfo
	chain  string
	offset int64 // of what is read next
	buf    []byte
}

// open goes to a place in a file.
func (t *tailer) open(s *segment, offset int64) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t.close()
	t.file, t.info, t.chain, t.offset = f, info, s.Chain, offset
	return nil
}

func (t *tailer) close() {
	if t.file != nil {
		t.file.Close() // it was only read
		t.file = nil
	}
}

// holds says whether the record of a cursor stands where it says in the file, and where the next begins.
func (s *segment) holds(c *cursor) (next int64, ok bool) {
	f, err := os.Open(s.path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	buf := make([]byte, min(lineBytesMax, max(s.size-c.offset, 0)))
	n, err := f.ReadAt(buf, c.offset)
	if err != nil && err != io.EOF {
		return 0, false
	}
	end := bytes.IndexByte(buf[:n], '\n')
	if end < 0 {
		return 0, false
	}
	l, err := parseLine(buf[:end])
	return c.offset + int64(end) + 1, err == nil && l.position == c.position
}

// read is what a tailer has read: records of one file, which end at a cursor, and the bytes that they and what is
// no record among them take.
type read struct {
	batch *Batch // nil when there is no record
	end   cursor
	bytes int64
}

// next reads what comes behind a cursor: as much as there is, within the bounds of a batch. Records up to the
// cursor are passed over.
func (t *tailer) next(c cursor) (r read, err error) {
	if t.buf == nil {
		t.buf = make([]byte, batchBytesMax)
	}
	for {
		if t.file != nil {
			n, err := t.fill(&r, c)
			if err != nil || r.batch != nil {
				return r, err
			}
			if n > 0 {
				continue
			}
			// At the end. Once the file has another name, nothing is added any more: what was in the meantime
			// is read before going on.
			current, err := os.Stat(t.log.path())
			if err == nil && os.SameFile(current, t.info) {
				return r, nil
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return r, err
			}
			if n, err = t.fill(&r, c); err != nil || r.batch != nil {
				return r, err
			}
			if n > 0 {
				continue
			}
		}
		more, err := t.advance(&r)
		if err != nil || !more {
			return r, err
		}
	}
}

// advance goes to the file behind the present one, or to the first. It says whether there is one.
func (t *tailer) advance(r *read) (bool, error) {
	all, err := t.log.segments()
	if err != nil {
		return false, err
	}
	at := -1
	if t.file != nil {
		at = slices.IndexFunc(all, func(s segment) bool {
			info, err := os.Stat(s.path)
			return err == nil && os.SameFile(info, t.info)
		})
		if at < 0 {
			return false, errGone
		}
	}
	if at+1 >= len(all) {
		return false, nil
	}
	if at >= 0 {
		r.bytes += max(all[at].size-t.offset, 0) // a torn line without its end
	}
	return true, t.open(&all[at+1], 0)
}

// nextTime gives the time of the record that is read next; zero when it does not stand in the present file.
func (t *tailer) nextTime() time.Time {
	if t.file == nil {
		return time.Time{}
	}
	var head [headBytesMax]byte
	n, err := t.file.ReadAt(head[:], t.offset)
	if err != nil && err != io.EOF {
		return time.Time{}
	}
	text, _, _ := bytes.Cut(head[:n], []byte{'\n'})
	return lineTime(text)
}

// errGone says that the file that is read was taken away.
var errGone = errors.New("a file of the log was taken away while it was read")

// fill reads lines from the file, once, and gives the bytes that it passed.
func (t *tailer) fill(r *read, c cursor) (int64, error) {
	n, err := t.file.ReadAt(t.buf, t.offset)
	if err != nil && err != io.EOF {
		return 0, err
	}
	window := t.buf[:n]
	passed := int64(0)
	for {
		end := bytes.IndexByte(window, '\n')
		if end < 0 {
			if passed == 0 && n == len(t.buf) {
				passed = int64(n) // longer than any record
			}
			break
		}
		text := window[:end]
		if l, err := parseLine(text); err == nil && (t.chain != c.chain || l.seq > c.seq) {
			if r.batch == nil {
				r.batch = &Batch{Writer: t.log.cfg.Writer, Log: t.log.cfg.Name, Chain: t.chain}
			}
			r.batch.Records = append(r.batch.Records, l.export(bytes.Clone(text)))
			r.end = cursor{t.chain, l.position, t.offset + passed}
		}
		window = window[end+1:]
		passed += int64(end) + 1
		if r.batch != nil && len(r.batch.Records) == batchRecordsMax {
			break
		}
	}
	t.offset += passed
	r.bytes += passed
	return passed, nil
}
