package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }

// nodeStore is what belongs to the database as a whole: its identity, and the proof that its log still has its tail.
type nodeStore struct {
	db *pebble.DB
	fs vfs.FS
	// id is random and made with the store; boot is random and made at each opening.
	id, boot uint64
	// seq is the number of the last batch of log writes. Only the append step touches it.
	seq uint64
	// durable is the number of the last batch known to be behind an fsync.
	durable atomic.Uint64
	side    *sideFile
	// lost says why the log was found to have lost writes, if the operator accepted that.
	lost error
}

// openStore proves that the database has not lost its tail, or creates the identity of a new one. With acceptLoss, a loss
// gives the store a new identity and is kept in lost.
func openStore(db *pebble.DB, fs vfs.FS, dir string, rnd io.Reader, acceptLoss bool) (*nodeStore, error) {
	s := &nodeStore{db: db, fs: fs}
	id, known, err := getWord(db, keyStore)
	if err != nil {
		return nil, err
	}
	if s.seq, _, err = getWord(db, keySeq); err != nil {
		return nil, err
	}
	if s.boot, err = randomWord(rnd); err != nil {
		return nil, err
	}
	err = proveTail(fs, dir, id, known, s.seq)
	switch {
	case err != nil && (!errors.Is(err, ErrLogLost) || !acceptLoss):
		return nil, err
	case err != nil:
		s.lost, known = err, false
	}
	if !known {
		if id, err = randomWord(rnd); err != nil {
			return nil, err
		}
	}
	s.id = id
	return s, s.begin(dir, known)
}

// begin makes everything that was read durable, then lets the side file say so. The side file of a new identity comes first: a
// crash in between leaves a side file that claims nothing.
func (s *nodeStore) begin(dir string, known bool) (err error) {
	if !known {
		if s.side, err = createSideFile(s.fs, dir, sideRecord{Store: s.id}); err != nil {
			return err
		}
	}
	s.seq++
	b := s.db.NewBatch()
	defer b.Close()
	_ = b.Set(keyStore, putWords(s.id), nil)
	_ = b.Set(keySeq, putWords(s.seq), nil)
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write store identity: %w", err)
	}
	if known {
		if s.side, err = createSideFile(s.fs, dir, sideRecord{Store: s.id, Durable: s.seq}); err != nil {
			return err
		}
	}
	return s.synced()
}

// synced records that the last batch is behind an fsync.
func (s *nodeStore) synced() error {
	s.durable.Store(s.seq)
	return s.side.write(s.seq)
}

// proveTail returns an error that is ErrLogLost if the database is not the one the side file speaks of, or is older.
func proveTail(fs vfs.FS, dir string, id uint64, known bool, seq uint64) error {
	side, found, err := readSideFile(fs, dir)
	const help = "; restore the disk, or let this node join again with an empty directory; a store of one node can be opened by accepting the loss"
	switch {
	case err != nil:
		return err
	case !known && (!found || side.Durable == 0):
		return nil
	case !known:
		return fmt.Errorf("%w: batch %d was durable, the database is empty%s", ErrLogLost, side.Durable, help)
	case !found:
		return fmt.Errorf("%w: the file %q that proves the log's end is missing%s", ErrLogLost, fs.PathJoin(dir, sideFileName), help)
	case side.Store != id:
		return fmt.Errorf("%w: the side file belongs to store %016x, the database is store %016x%s", ErrLogLost, side.Store, id, help)
	case side.Durable > seq:
		return fmt.Errorf("%w: batch %d was durable, the database ends at batch %d%s", ErrLogLost, side.Durable, seq, help)
	}
	return nil
}

// frameHeader is what every frame says about this store.
func (s *nodeStore) frameHeader() frameHeader {
	return frameHeader{Store: s.id, Boot: s.boot, Durable: s.durable.Load()}
}

func (s *nodeStore) close() error { return s.side.close() }

func randomWord(rnd io.Reader) (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(rnd, b[:]); err != nil {
			return 0, fmt.Errorf("read random bytes: %w", err)
		}
		if w := binary.LittleEndian.Uint64(b[:]); w != 0 {
			return w, nil
		}
	}
}

func getWord(r pebble.Reader, key []byte) (w uint64, found bool, err error) {
	v, found, err := getCopy(r, key)
	if found {
		err = getWords(v, string(key), &w)
	}
	return w, found && err == nil, err
}

// getCopy reads a key; found is false if it is absent.
func getCopy(r pebble.Reader, key []byte) (v []byte, found bool, err error) {
	p, c, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read key %q: %w", key, err)
	}
	v = append(v, p...)
	return v, true, c.Close()
}
