package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"

	"shoal/node"
	"shoal/node/api"
)

// fullReport says what a full backup holds.
type fullReport struct {
	report
	Cluster string `json:"cluster"`
	Created string `json:"created"`
	Groups  int    `json:"groups"`
}

// backupFull writes keys and metadata to a file that must not exist yet, as they come.
func (a *adminCommand) backupFull(ctx context.Context, path, passphraseFile string) error {
	passphrase, err := a.env.passphrase(ctx, passphraseFile, true)
	if err != nil {
		return err
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	keys, err := fetch[api.Backup](ctx, client, http.MethodPost, "/admin/v1/backup", nil)
	if err != nil {
		return err
	}
	resp, err := client.send(ctx, http.MethodGet, "/admin/v1/backup/metadata", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another file", path)
	}
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	full, err := node.SealFullBackup(w, &keys, passphrase, resp.Body)
	if err == nil {
		err = errors.Join(w.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path) // half a backup is none
		return fmt.Errorf("write the backup %s: %w", path, err)
	}
	return a.toldFull(path, full, "holds")
}

func (a *adminCommand) restoreFull(path, passphrase, data string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer f.Close()
	full, err := node.RestoreFullBackup(f, passphrase, data)
	if err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	return a.toldFull(data, full, "has")
}

func (a *adminCommand) toldFull(path string, b *node.FullBackup, holds string) error {
	r := fullReport{report: report{Path: path, PeerID: b.PeerID}, Cluster: b.Cluster, Created: when(b.Created), Groups: b.Groups}
	for i := range b.Files {
		r.Files = append(r.Files, b.Files[i].Name)
	}
	return show(a, r, func(w *tabwriter.Writer, r fullReport) {
		row(w, fmt.Sprintf("%s %s the keys of %s and the metadata of store %s as of %s: %d groups", r.Path, holds, r.PeerID, r.Cluster, r.Created, r.Groups))
		if holds == "has" {
			row(w, "What was written since is not in it. Other nodes must forget their metadata before they start: shoal admin recover --discard --all.")
			row(w, "Start this node with its drives (--drive), or with --degraded when they are lost.")
		}
	})
}

// isFullBackup looks at the first bytes of a file.
func isFullBackup(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var begin [4]byte
	n, err := io.ReadFull(f, begin[:])
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return node.IsFullBackup(begin[:n]), nil
}
