package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"shoal/node/api"
	"shoal/node/keyring"
	"shoal/node/network"
)

// backupFiles are what a backup holds of a data directory; those that a node does not have are left
// out, but for the first.
var backupFiles = []string{identityFile, rootKeyFile, clusterKeyFile, issuerKeyFile, credentialsFile, network.MembershipFile, describedFile}

// backupNeeds is how many of backupFiles every node has.
const backupNeeds = 2

// Backup implements api.Backups.
func (s *Store) Backup(context.Context) (api.Backup, error) {
	b := api.Backup{Format: api.BackupFormat, PeerID: string(s.n.ID()), Cluster: s.n.desc.Cluster.String(), Created: s.n.cfg.Now().UTC()}
	for i, name := range backupFiles {
		data, err := keyring.ReadPrivate(s.n.path(name))
		if errors.Is(err, fs.ErrNotExist) && i >= backupNeeds {
			continue
		}
		if err != nil {
			return api.Backup{}, fmt.Errorf("read %s for a backup: %w", name, err)
		}
		b.Files = append(b.Files, api.BackupFile{Name: name, Data: data})
	}
	return b, nil
}

// SealBackup seals a backup under a passphrase, as a file's content.
func SealBackup(b *api.Backup, passphrase string) ([]byte, error) {
	if err := checkBackup(b); err != nil {
		return nil, err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return keyring.SealArchive(text, passphrase)
}

// OpenBackup opens what SealBackup made.
func OpenBackup(sealed []byte, passphrase string) (*api.Backup, error) {
	text, err := keyring.OpenArchive(sealed, passphrase)
	if err != nil {
		return nil, err
	}
	b := new(api.Backup)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(b); err != nil {
		return nil, fmt.Errorf("%w: %w", keyring.ErrArchive, err)
	}
	return b, checkBackup(b)
}

// checkBackup refuses what this release does not know how to put back.
func checkBackup(b *api.Backup) error {
	if b.Format != api.BackupFormat {
		return fmt.Errorf("the backup has format %d, this release knows %d", b.Format, api.BackupFormat)
	}
	have := make(map[string]bool)
	for _, f := range b.Files {
		if !slices.Contains(backupFiles, f.Name) || have[f.Name] || len(f.Data) == 0 {
			return fmt.Errorf("the backup holds %q, which does not belong there", f.Name)
		}
		have[f.Name] = true
	}
	for _, name := range backupFiles[:backupNeeds] {
		if !have[name] {
			return fmt.Errorf("the backup holds no %s", name)
		}
	}
	return nil
}

// RestoreBackup puts the files of a backup into a data directory that has none of them, and says
// which they were. Files that are there already are never replaced.
func RestoreBackup(b *api.Backup, dir string) (names []string, err error) {
	if err := checkBackup(b); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	for _, f := range b.Files {
		if _, err := os.Lstat(filepath.Join(dir, f.Name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is %s already: move it away, or name another directory", filepath.Join(dir, f.Name))
		}
	}
	for _, f := range b.Files {
		if err := keyring.WritePrivate(filepath.Join(dir, f.Name), f.Data); err != nil {
			return names, err
		}
		names = append(names, f.Name)
	}
	return names, nil
}

var _ api.Backups = (*Store)(nil)
