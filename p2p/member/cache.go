package member

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// The cache file: 4 bytes magic, format, length of the body, body, CRC-32C of all before it; the
// numbers are 32 bits, little-endian. The body is protobuf.
const (
	cacheMagic   = "SHMC"
	cacheFormat  = 1
	cacheSizeMax = 64 << 20
	cacheHead    = 12
)

// ErrCacheDamaged: the cache file does not match its checksum or its format. It is only a cache:
// the caller may go on with what it holds (nothing) and let the cluster fill it again.
var ErrCacheDamaged = errors.New("members cache is damaged")

// Cache keeps a table and the revocations in one file, for the next start.
type Cache struct {
	path  string
	trust *Trust

	mu sync.Mutex // held while the file is written
}

// OpenTable reads the cache at path into a table and into trust, and keeps every later revocation
// there at once. A missing file is an empty table. With ErrCacheDamaged the table is usable too,
// and the damaged file has been set aside under the name path + ".damaged".
// log is told when a revocation could not be written. It belongs before trust is used.
func OpenTable(path string, trust *Trust, log *slog.Logger) (*Table, error) {
	t := NewTable()
	t.store = &Cache{path: path, trust: trust}
	if left, _ := filepath.Glob(path + ".tmp-*"); len(left) > 0 {
		for _, tmp := range left {
			os.Remove(tmp)
		}
	}
	err := t.load()
	if errors.Is(err, ErrCacheDamaged) {
		if rerr := os.Rename(path, path+".damaged"); rerr != nil {
			return nil, errors.Join(err, rerr)
		}
	} else if err != nil {
		return nil, fmt.Errorf("read members cache: %w", err)
	}
	trust.veto = func(c Credential) error {
		if r := t.Decide(c); r.Decision == No {
			return r.Reason
		}
		return nil
	}
	trust.OnRevoke(func(v Revocation) {
		t.mu.Lock()
		if m, ok := t.rows[v.Peer]; ok && m.Serial <= v.Serial {
			m.State = StateLeft
			t.rows[v.Peer] = m
		}
		t.mu.Unlock()
		if err := t.Save(); err != nil {
			log.Error("revocation not kept on disk", "node_id", v.Peer, "err", err)
		}
	})
	return t, err
}

func (t *Table) load() error {
	path := t.store.path
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o022 != 0 {
		return &LooseModeError{Path: path, Mode: st.Mode()}
	}
	if st.Size() > cacheSizeMax {
		return fmt.Errorf("%w: %d bytes", ErrCacheDamaged, st.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	epoch, rows, revs, cluster, err := decodeCache(b)
	if err != nil {
		return err
	}
	if cluster != t.store.trust.Cluster().ID {
		return fmt.Errorf("%s: %w", path, ErrOtherCluster)
	}
	for _, m := range rows {
		t.rows[m.Peer] = m
	}
	t.epoch = epoch
	for _, raw := range revs {
		// The file is ours, but each revocation still has to verify; one that does not is dropped.
		_, _ = t.store.trust.Revoke(raw)
	}
	return nil
}

// Save writes the table and the revocations to the cache file, atomically and synced. It does
// nothing for a table that is kept nowhere.
func (t *Table) Save() error {
	if t.store == nil {
		return nil
	}
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	t.mu.RLock()
	epoch, rows := t.epoch, t.list()
	t.mu.RUnlock()
	b := encodeCache(epoch, rows, t.store.trust.Revocations(), t.store.trust.Cluster().ID)
	if err := writeFileAtomic(t.store.path, b); err != nil {
		return fmt.Errorf("write members cache: %w", err)
	}
	return nil
}

func encodeCache(epoch uint64, rows []Member, revs [][]byte, cluster ClusterID) []byte {
	var r wire.Record
	r.Bytes(1, cluster[:])
	r.Uint(2, epoch)
	for i := range rows {
		r.Repeat(3, rows[i].encode())
	}
	for _, raw := range revs {
		r.Repeat(4, raw)
	}
	b := append([]byte(cacheMagic), make([]byte, 8)...)
	binary.LittleEndian.PutUint32(b[4:], cacheFormat)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(r)))
	b = append(b, r...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeCache(b []byte) (epoch uint64, rows []Member, revs [][]byte, cluster ClusterID, err error) {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrCacheDamaged, what) }
	if len(b) < cacheHead+4 || string(b[:4]) != cacheMagic {
		err = bad("no members cache")
		return
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != cacheFormat {
		err = bad(fmt.Sprintf("format %d, this release reads %d", v, cacheFormat))
		return
	}
	if uint64(binary.LittleEndian.Uint32(b[8:])) != uint64(len(b)-cacheHead-4) ||
		binary.LittleEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		err = bad("checksum or length")
		return
	}
	f := wire.NewFields(b[cacheHead : len(b)-4])
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(cluster[:])
		case 2:
			epoch = f.Uint()
		case 3:
			m, merr := decodeMember(f.Bytes(RecordMax))
			if merr != nil || len(rows) >= MembersMax {
				f.Fail("member: %v", merr)
			}
			rows = append(rows, m)
		case 4:
			revs = append(revs, bytes.Clone(f.Bytes(RecordMax)))
			if len(revs) > RevocationsMax {
				f.Fail("too many revocations")
			}
		}
	}
	if f.Err() != nil {
		err = bad(f.Err().Error())
	}
	return
}

func (m *Member) encode() []byte {
	var r wire.Record
	r.String(1, string(m.Peer))
	r.String(2, m.Site)
	r.Uint(3, uint64(m.Roles))
	r.Uint(4, uint64(m.State))
	r.Uint(5, m.Serial)
	r.Uint(6, m.Epoch)
	for _, a := range m.Addrs {
		r.Repeat(7, []byte(a))
	}
	return r
}

func decodeMember(b []byte) (m Member, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			m.Peer = p2p.NodeID(f.String(peerTextMax))
		case 2:
			m.Site = f.String(siteTextMax)
		case 3:
			m.Roles = p2p.Role(f.Uint32())
		case 4:
			m.State = State(f.Uint32())
		case 5:
			m.Serial = f.Uint()
		case 6:
			m.Epoch = f.Uint()
		case 7:
			m.Addrs = append(m.Addrs, f.String(addrTextMax))
			if len(m.Addrs) > AddrsMax {
				f.Fail("too many addresses")
			}
		}
	}
	return m, f.Err()
}

// writeFileAtomic replaces path by b, mode 0600: after a crash at any moment the file is the old
// one or the new one, whole.
func writeFileAtomic(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}
