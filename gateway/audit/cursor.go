package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TargetDir is the directory, below that of the logs, that holds how far targets have got.
const TargetDir = "targets"

// cursor is the last record of a log that a target has got. The zero value stands before everything.
type cursor struct {
	chain string
	position
	offset int64 // where the record's line begins in its file; 0 when that is not known
}

// cursorText is a cursor on disk.
type cursorText struct {
	Format int    `json:"format"`
	Target string `json:"target"`
	Log    string `json:"log"`
	Chain  string `json:"chain"`
	Seq    uint64 `json:"seq"`
	Hash   string `json:"hash"`
	Offset int64  `json:"offset"`
}

// cursorBytesMax bounds a file that holds a cursor.
const cursorBytesMax = 4096

// errCursor says that a file holds no cursor that can be used.
var errCursor = errors.New("is no cursor")

// cursorPath names the file of a target's cursor in a log. Names of targets have no dot.
func cursorPath(dir, target, log string) string {
	return filepath.Join(dir, TargetDir, target+"."+log+".cursor")
}

// format gives a cursor as a file: a line of JSON, and a line with its SHA-256.
func (c *cursor) format(target, log string) []byte {
	text, err := json.Marshal(cursorText{1, target, log, c.chain, c.seq, c.hash.String(), c.offset})
	if err != nil {
		panic(err) // there is nothing in it that JSON has no place for
	}
	sum := sha256.Sum256(text)
	return fmt.Appendf(nil, "%s\n%x\n", text, sum)
}

// parseCursor reads what format gives, of the same target and log.
func parseCursor(file []byte, target, log string) (c cursor, err error) {
	text, sum, ok := bytes.Cut(file, []byte{'\n'})
	want := sha256.Sum256(text)
	if !ok || string(sum) != hex.EncodeToString(want[:])+"\n" {
		return c, errCursor
	}
	var t cursorText
	if err := json.Unmarshal(text, &t); err != nil || t.Format != 1 || t.Target != target || t.Log != log || t.Offset < 0 {
		return c, errCursor
	}
	c = cursor{chain: t.Chain, offset: t.Offset}
	c.seq = t.Seq
	if c.hash, ok = parseHash(t.Hash); !ok || !bytes.Equal(c.format(target, log), file) {
		return cursor{}, errCursor
	}
	return c, nil
}

// readCursor reads the cursor of a target: fs.ErrNotExist when there is none, errCursor when it cannot be used.
func readCursor(dir, target, log string) (cursor, error) {
	path := cursorPath(dir, target, log)
	info, err := os.Stat(path)
	if err != nil {
		return cursor{}, err
	}
	if info.Size() > cursorBytesMax {
		return cursor{}, errCursor
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return cursor{}, err
	}
	return parseCursor(text, target, log)
}

// write replaces the cursor on stable storage: it is the old one or this one, whatever happens.
func (c *cursor) write(dir, target, log string) error {
	path := cursorPath(dir, target, log)
	err := writeWhole(path, c.format(target, log))
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		err = writeWhole(path, c.format(target, log))
	}
	return err
}

// ValidTargetName says whether a target may be called that.
func ValidTargetName(s string) bool {
	bare := strings.NewReplacer("-", "", "_", "").Replace(s)
	return len(s) <= 64 && safeName(bare)
}
