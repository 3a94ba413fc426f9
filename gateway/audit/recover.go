package audit

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func newChain() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// tail is how a file ends.
type tail struct {
	line
	found  bool  // there is a whole record
	end    int64 // of it, behind its line end
	size   int64
	open   bool // the last record is whole but for its line end
	unread bool // the last byte is no line end
}

// recover finds where the chain goes on, and what of the last file is torn. A file of another writer, or
// without a readable first record, is closed; then the chain goes on behind what is readable before it.
func (l *Log) recover() error {
	head, err := readHead(l.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errLine) || err == nil && (head.Writer != l.cfg.Writer || head.Log != l.cfg.Name):
		l.cfg.Logger.Warn("the file of the log is not this writer's, or is damaged; another one is begun", "file", l.path())
		if err := l.setAside(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		return l.resume(l.path(), head)
	}
	names, err := l.closedFiles()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		path := filepath.Join(l.cfg.Dir, names[len(names)-1])
		if head, err := readHead(path); err == nil && head.Writer == l.cfg.Writer && head.Log == l.cfg.Name {
			return l.resume(path, head)
		}
	}
	l.start(afterNothing)
	return nil
}

// resume takes the chain up where a file ends. One that is not closed is gone on with.
func (l *Log) resume(path string, head control) error {
	t, err := readTail(path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	l.chain, l.at = head.Chain, t.position
	after := afterCrash
	if t.event == eventStop {
		after = afterStop
	}
	if path == l.path() {
		l.records, l.born = 1, head.Time // there may be more records
		torn := t.size - t.end
		switch {
		case t.open:
			l.out.text = []byte("\n")
		case torn > 0:
			sum, err := hashFrom(path, t.end, t.unread)
			if err != nil {
				return err
			}
			if t.unread {
				l.out.text = []byte("\n")
				torn++
			}
			after = afterCrash
			l.ahead = append(l.ahead, &note{kind: eventCrash, control: control{Time: l.cfg.Now(), TornBytes: torn, TornHash: sum.String()}})
		}
	}
	l.start(after)
	return nil
}

func (l *Log) start(after string) {
	l.ahead = append(l.ahead, &note{kind: eventStart, control: control{Time: l.cfg.Now(), Release: l.cfg.Release, After: after}})
}

// readHead reads the first record of a file: errLine when it is none that begins one.
func readHead(path string) (control, error) {
	f, err := os.Open(path)
	if err != nil {
		return control{}, err
	}
	defer f.Close()
	_, c, err := parseHead(f)
	return c, err
}

// parseHead reads the first record of a file.
func parseHead(r io.Reader) (l line, c control, err error) {
	text, err := bufio.NewReader(io.LimitReader(r, lineBytesMax)).ReadBytes('\n')
	if err == io.EOF {
		return l, c, errLine
	}
	if err != nil {
		return l, c, err
	}
	text = text[:len(text)-1]
	if l, err = parseLine(text); err != nil {
		return l, c, err
	}
	c, err = l.control(text)
	if l.event != eventFile || err != nil || c.Log == "" || c.Writer == "" || c.Chain == "" {
		return l, c, errLine
	}
	return l, c, nil
}

// readTail finds the last whole record of a file. It reads backwards, in windows that hold a line.
func readTail(path string) (tail, error) {
	f, err := os.Open(path)
	if err != nil {
		return tail{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tail{}, err
	}
	t := tail{size: info.Size()}
	buf := make([]byte, 2*lineBytesMax)
	for to := t.size; to > 0; to -= min(to, lineBytesMax) {
		from := max(0, to-int64(len(buf)))
		window := buf[:to-from]
		if _, err := f.ReadAt(window, from); err != nil {
			return t, err
		}
		if to == t.size {
			t.unread = window[len(window)-1] != '\n'
			if t.unread && t.takeOpen(window, from) {
				return t, nil
			}
		}
		if t.search(window, from) {
			return t, nil
		}
	}
	return t, nil
}

// takeOpen takes a last record that lacks nothing but its line end.
func (t *tail) takeOpen(window []byte, from int64) bool {
	begin := bytes.LastIndexByte(window, '\n') + 1
	if begin == 0 && from > 0 {
		return false
	}
	text := window[begin:]
	l, err := parseLine(text)
	if err != nil || !json.Valid(text) {
		return false
	}
	t.line, t.found, t.open, t.end = l, true, true, t.size
	return true
}

// search finds the last record in a window that ends with a line end.
func (t *tail) search(window []byte, from int64) bool {
	end := bytes.LastIndexByte(window, '\n')
	for end >= 0 {
		begin := bytes.LastIndexByte(window[:end], '\n') + 1
		if begin == 0 && from > 0 {
			return false // it may begin before the window
		}
		if l, err := parseLine(window[begin:end]); err == nil && json.Valid(window[begin:end]) {
			t.line, t.found, t.end = l, true, from+int64(end)+1
			return true
		}
		end = begin - 1
	}
	return false
}

// hashFrom hashes the rest of a file, with a line end behind it if that is to be added.
func hashFrom(path string, from int64, lineEnd bool) (h hash, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return h, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return h, err
	}
	if lineEnd {
		sum.Write([]byte{'\n'})
	}
	return hash(sum.Sum(nil)), nil
}
