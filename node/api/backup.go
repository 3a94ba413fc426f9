package api

import (
	"context"
	"io"
	"time"
)

// Backups is offered by the store of a node's own process, and by no other: what it gives holds the
// root key, which a gateway must not have and which does not travel between peers.
type Backups interface {
	// Backup gives what a node cannot do without and nobody else can make again.
	Backup(ctx context.Context) (Backup, error)
}

// Backup is a node's secrets and description, as files of its data directory. It is a secret.
type Backup struct {
	Format  int          `json:"format"` // BackupFormat
	PeerID  string       `json:"peer_id"`
	Cluster string       `json:"cluster"`
	Created time.Time    `json:"created"`
	Files   []BackupFile `json:"files"`
}

// BackupFormat is that of this release.
const BackupFormat = 1

// String keeps the content out of logs.
func (b Backup) String() string { return "backup of " + b.PeerID }

// GoString keeps the content out of logs.
func (b Backup) GoString() string { return b.String() }

// BackupFile is one file. It prints itself without its content.
type BackupFile struct {
	Name string `json:"name"` // within the data directory, without folders
	Data []byte `json:"data"` // in JSON base64
}

// String hides the content.
func (f BackupFile) String() string { return "file " + f.Name }

// GoString hides the content.
func (f BackupFile) GoString() string { return f.String() }

// MetadataBackups is offered where Backups is. What it gives is no secret of its own: whatever is secret in it is sealed under the root key.
type MetadataBackups interface {
	// BackupMetadata writes the state of every metadata group, each as of one moment; docs/formats/backup.md has the layout. After an
	// error what was written is not whole, and is recognised as such.
	BackupMetadata(ctx context.Context, w io.Writer) error
}
