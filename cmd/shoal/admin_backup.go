package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node"
	"shoal/node/api"
)

const backupMaxBytes = 32 << 20

func newBackupCommand(a *adminCommand) *cobra.Command {
	var passphrase string
	var full bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the keys of a node, sealed under a passphrase",
		Long: "Write the keys, the root credential and the description of a node to FILE, sealed under a passphrase. " +
			"Without the root key nothing that is stored can be read. With --full the metadata of the whole store is in it, too: buckets, versions, " +
			"small objects, members and settings. Shards are not.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if full {
				return a.backupFull(cmd.Context(), args[0], passphrase)
			}
			return a.backup(cmd, args[0], passphrase)
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "with the metadata of the whole store")
	bindPassphrase(cmd, &passphrase)
	return cmd
}

func bindPassphrase(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "passphrase-file", "", "`file` with the passphrase in its first line, 12 characters or more, mode 0600; without it "+passphraseVariable+" is taken, and without that it is asked for at the terminal")
}

func (a *adminCommand) backup(cmd *cobra.Command, path, passphraseFile string) error {
	passphrase, err := a.env.passphrase(cmd.Context(), passphraseFile, true)
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	b, err := fetch[api.Backup](cmd.Context(), client, http.MethodPost, "/admin/v1/backup", nil)
	if err != nil {
		return err
	}
	sealed, err := node.SealBackup(&b, passphrase)
	if err != nil {
		return err
	}
	if err := writeNew(path, sealed); err != nil {
		return err
	}
	return a.told(path, &b, "holds", nil)
}

// writeNew writes a file that must not exist yet, durably.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: name another file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func newRestoreCommand(a *adminCommand) *cobra.Command {
	var passphrase string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the keys of a backup into the data directory of a stopped node",
		Long: "Put the keys of a backup into the data directory --data of a node that does not run. It replaces nothing: files that are there already must be moved away. " +
			"A full backup makes a data directory, which must be empty or absent: the node in it has all the store's metadata as of the backup, and needs nobody else. " +
			"Run shoal admin recover --discard --all on every other node of the store before it starts again: it must not know the newer metadata that the backup replaces.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], passphrase) },
	}
	bindPassphrase(cmd, &passphrase)
	return cmd
}

func (a *adminCommand) restore(ctx context.Context, path, passphraseFile string) error {
	s, err := a.loader.load()
	if err != nil {
		return err
	}
	passphrase, err := a.env.passphrase(ctx, passphraseFile, false)
	if err != nil {
		return err
	}
	full, err := isFullBackup(path)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	if full {
		return a.restoreFull(path, passphrase, s.data)
	}
	sealed, err := readBounded(path, backupMaxBytes)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	b, err := node.OpenBackup(sealed, passphrase)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	names, err := node.RestoreBackup(b, s.data)
	if err != nil {
		return err
	}
	return a.told(s.data, b, "has", names)
}

// report says what was written.
type report struct {
	Path   string   `json:"path"`
	PeerID string   `json:"peer_id"`
	Files  []string `json:"files"`
}

// told says what a path holds of a backup now: all of it, or the files named.
func (a *adminCommand) told(path string, b *api.Backup, holds string, names []string) error {
	if names == nil {
		for i := range b.Files {
			names = append(names, b.Files[i].Name)
		}
	}
	return show(a, report{path, b.PeerID, names}, func(w *tabwriter.Writer, r report) {
		row(w, fmt.Sprintf("%s %s %s of %s", r.Path, holds, strings.Join(r.Files, ", "), r.PeerID))
	})
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is larger than %s", path, formatExact(limit))
	}
	return os.ReadFile(path)
}
