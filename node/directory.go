package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"shoal/node/keyring"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/member"
)

// Files of the data directory.
const (
	identityFile    = "identity.key"
	rootKeyFile     = "root.key"
	clusterKeyFile  = "cluster.key"
	issuerKeyFile   = "issuer.key"
	credentialsFile = "root.credentials"
	rootRecovery    = "root.recover"
	groupRecovery   = "groups.recovered"
	describedFile   = "node.json"
	membersFile     = "members.cache"
	startsFile      = "starts"
	lockFile        = "lock"
	metaDir         = "meta"
	drivesDir       = "drives"
)

// description is node.json: what this data directory is part of. It is written before what it
// describes, and read before anything else.
type description struct {
	Format     int              `json:"format"`
	Cluster    hexID            `json:"cluster"`
	Erasure    string           `json:"erasure"`
	Partitions int              `json:"partitions"`
	Region     string           `json:"region"`
	Drives     []describedDrive `json:"drives"`
	// Peer is the ID of the identity that the directory was made with.
	Peer p2p.NodeID `json:"peer,omitempty"`
	// Joined says that the store was there before this node.
	Joined bool `json:"joined,omitempty"`
	// Ready says that everything described exists; before that, a start makes what is missing.
	Ready bool `json:"ready"`
}

type describedDrive struct {
	ID   hexID  `json:"id"`
	Path string `json:"path"` // where it was at the last start
	// New says that it was added and may not be formatted yet.
	New bool `json:"new,omitempty"`
}

const descriptionFormat = 1

// hexID is 16 bytes, in JSON as text.
type hexID [16]byte

func (h hexID) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h hexID) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return fmt.Errorf("%q is not an ID of 32 hexadecimal digits", text)
	}
	copy(h[:], b)
	return nil
}

func (d *describedDrive) id() peer.DriveID { return peer.DriveID(d.ID) }

// readDescription gives nil when the directory was never used.
func readDescription(dir string) (*description, error) {
	path := filepath.Join(dir, describedFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checkUnused(dir)
	}
	if err != nil {
		return nil, err
	}
	d := new(description)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("%s is damaged (%v): restore it from your backup", path, err)
	}
	switch {
	case d.Format != descriptionFormat:
		return nil, fmt.Errorf("%s has format %d, this release knows %d: start the release that wrote it", path, d.Format, descriptionFormat)
	case d.Cluster == hexID{} || len(d.Drives) == 0 && !d.Ready || d.Partitions < 1:
		return nil, fmt.Errorf("%s is damaged: restore it from your backup", path)
	}
	return d, nil
}

// checkUnused makes sure that a directory without description holds no metadata: it would be
// overwritten by those of a new store.
func checkUnused(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, network.MembershipFile)); err == nil {
		return nil // a node that had begun to join
	}
	for _, name := range []string{metaDir, rootKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s has a %s but no %s: restore it from your backup, or give an empty directory", dir, name, describedFile)
		}
	}
	return nil
}

// join makes the description that of a member of a store that exists.
func (d *description) join(cluster member.ClusterID, a *peer.BootstrapAnswer) {
	d.Joined, d.Cluster, d.Partitions, d.Region = true, hexID(cluster), int(a.GetPartitions()), a.GetRegion()
}

func (d *description) write(dir string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return keyring.WritePrivate(filepath.Join(dir, describedFile), append(text, '\n'))
}

// claim makes the directory that of a peer. With the identity of another, damaged or taken from
// elsewhere, it would be a stranger to its own store: that is refused.
func (d *description) claim(dir string, self p2p.NodeID) error {
	switch d.Peer {
	case self:
		return nil
	case "":
		d.Peer = self
		return d.write(dir)
	}
	return fmt.Errorf("%s is the identity of %s, but the directory is that of %s: restore the key from your backup",
		filepath.Join(dir, identityFile), self, d.Peer)
}
