package node

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/keyring"
	"shoal/node/network"
	"shoal/p2p/transport"
)

// FullBackup says what a full backup holds: the keys of a node, and the metadata of the store.
type FullBackup struct {
	api.Backup
	Groups  int
	Records int // keys of the metadata
}

// IsFullBackup tells by its first bytes whether a file is a full backup.
func IsFullBackup(begin []byte) bool { return keyring.IsLongArchive(begin) }

// SealFullBackup writes keys and metadata, as Store.BackupMetadata gives them, to w, sealed under a passphrase. It checks the metadata on the way.
func SealFullBackup(w io.Writer, keys *api.Backup, passphrase string, metadata io.Reader) (*FullBackup, error) {
	if err := checkBackup(keys); err != nil {
		return nil, err
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	if len(text) > keyring.ArchiveMax {
		return nil, fmt.Errorf("the keys take %d bytes", len(text))
	}
	a, err := keyring.NewArchiveWriter(w, passphrase)
	if err != nil {
		return nil, err
	}
	if _, err := a.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)); err != nil {
		return nil, err
	}
	full := &FullBackup{Backup: *keys}
	r := bufio.NewReaderSize(io.TeeReader(metadata, a), consensus.StreamBuffer)
	full.Groups, err = readMetadata(r, func(_ consensus.GroupID, r *bufio.Reader) error {
		n, err := consensus.CheckState(r)
		full.Records += n
		return err
	})
	if err != nil {
		return nil, err
	}
	return full, a.Close()
}

// RestoreFullBackup makes a data directory out of a full backup. The directory must be empty or absent; one in which it failed is of no use, and no
// node starts in it. The node is the one whose keys the backup holds; it has every group, and is the only voter of each.
func RestoreFullBackup(file io.Reader, passphrase, dir string) (_ *FullBackup, err error) {
	if empty, err := isEmptyDir(dir); err != nil || !empty {
		return nil, errors.Join(err, fmt.Errorf("the data directory %s is not empty: name another, or move it away", dir))
	}
	plain, err := keyring.NewArchiveReader(file, passphrase)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(plain, consensus.StreamBuffer)
	full, err := readKeys(r)
	if err != nil {
		return nil, err
	}
	desc := new(description)
	for _, f := range full.Files {
		if f.Name == describedFile {
			err = json.Unmarshal(f.Data, desc)
		}
	}
	if err != nil || !desc.Ready || desc.Cluster.String() != full.Cluster {
		return nil, fmt.Errorf("the backup holds no description of a node that was ready: %w", errors.Join(err, keyring.ErrArchive))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	// Metadata without a description, and a description without the membership that it speaks of: no node starts on either. So these
	// come last, in this order.
	last := []string{describedFile, network.MembershipFile}
	if err := os.Mkdir(filepath.Join(dir, metaDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the metadata: %w", err)
	}
	if err := writeBackupFiles(full, dir, func(name string) bool { return !slices.Contains(last, name) }); err != nil {
		return nil, err
	}
	if err := restoreMetadata(r, full, dir); err != nil {
		return nil, err
	}
	if full.Groups != desc.Partitions+1 {
		return nil, fmt.Errorf("the backup holds %d groups, the store has %d", full.Groups, desc.Partitions+1)
	}
	for _, name := range last {
		if err := writeBackupFiles(full, dir, func(n string) bool { return n == name }); err != nil {
			return nil, err
		}
	}
	return full, nil
}

func readKeys(r *bufio.Reader) (*FullBackup, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > keyring.ArchiveMax {
		return nil, fmt.Errorf("%w: keys of %d bytes", keyring.ErrArchive, n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	full := new(FullBackup)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&full.Backup); err != nil {
		return nil, fmt.Errorf("%w: %w", keyring.ErrArchive, err)
	}
	return full, checkBackup(&full.Backup)
}

func writeBackupFiles(b *FullBackup, dir string, want func(name string) bool) error {
	for _, f := range b.Files {
		if want(f.Name) {
			if err := keyring.WritePrivate(filepath.Join(dir, f.Name), f.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreMetadata fills a new database.
func restoreMetadata(r *bufio.Reader, full *FullBackup, dir string) (err error) {
	id, err := transport.LoadOrCreateIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return secretError(err)
	}
	if string(id.NodeID()) != full.PeerID {
		return fmt.Errorf("%w: the identity is that of %s, not of %s", keyring.ErrArchive, id.NodeID(), full.PeerID)
	}
	db, err := pebble.Open(filepath.Join(dir, metaDir), consensus.PebbleOptions(consensus.PebbleConfig{MemTableBytes: memTableBytes}))
	if err != nil {
		return fmt.Errorf("make the metadata: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	re, err := consensus.BeginRestore(consensus.Config{
		DB: db, FS: vfs.Default, Dir: filepath.Join(dir, metaDir+".side"), Self: consensus.NodeID(id.NodeID()),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, re.Close()) }()
	full.Groups, err = readMetadata(r, re.Group)
	return err
}
