package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"shoal/node/api"
	"shoal/node/peer"
)

// drivesMade notes that new drives are formatted: from now on they are missed when they are not there.
func (n *Node) drivesMade() error {
	added := 0
	for i := range n.desc.Drives {
		dd := &n.desc.Drives[i]
		if dd.New {
			n.cfg.Logger.Info("a drive was added", "drive_id", dd.ID.String(), "path", dd.Path)
			dd.New = false
			added++
		}
	}
	if added == 0 {
		return nil
	}
	return n.desc.write(n.cfg.DataDir)
}

// describedDrives are the drives that this node has or misses.
func (n *Node) describedDrives() []describedDrive {
	n.describing.Lock()
	defer n.describing.Unlock()
	return slices.Clone(n.desc.Drives)
}

// removeDrive forgets a drive that is missing, for good: it leaves the member table, and with that the placement. What it held is made
// again elsewhere. A crash in between is mended by the next start, which tells the member table.
func (n *Node) removeDrive(ctx context.Context, id string) error {
	const op = "node.removeDrive"
	n.describing.Lock()
	i, err := n.desc.findDrive(id)
	if err != nil {
		n.describing.Unlock()
		return api.Invalid(op, "This drive cannot be removed: "+err.Error()+".")
	}
	if n.drives[n.desc.Drives[i].id()] != nil {
		n.describing.Unlock()
		return api.Invalid(op, "The node works with this drive. Stop the node, take the drive out, start the node with --degraded, and remove the drive then.")
	}
	if len(n.desc.Drives) == 1 {
		n.describing.Unlock()
		return api.Invalid(op, "It is the only drive of the node. Stop the node, remove the drive with --stopped, and start the node with a new one.")
	}
	left := *n.desc
	left.Drives = slices.Delete(slices.Clone(n.desc.Drives), i, i+1)
	if err = left.write(n.cfg.DataDir); err == nil {
		n.desc.Drives = left.Drives
	}
	n.describing.Unlock()
	if err != nil {
		return err
	}
	if err := n.putMember(ctx); err != nil {
		return err
	}
	n.net.Poke()
	return nil
}

// findDrive finds a drive by its path, its ID or the beginning of its ID.
func (d *description) findDrive(name string) (int, error) {
	found := -1
	for i := range d.Drives {
		dd := &d.Drives[i]
		if dd.Path == name || dd.ID.String() == name {
			return i, nil
		}
		if len(name) >= api.DriveNameMin && strings.HasPrefix(dd.ID.String(), name) {
			if found >= 0 {
				return -1, errors.New("several drives' IDs begin so: give more of it")
			}
			found = i
		}
	}
	if found < 0 {
		return -1, errors.New("the node has no such drive")
	}
	return found, nil
}

// RemoveDrive makes a stopped node forget a drive for good, named by its path or ID. The next start tells the others.
func RemoveDrive(dataDir, name string) (report string, err error) {
	s, err := openStopped(dataDir, true)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	i, err := s.desc.findDrive(name)
	if err != nil {
		if abs, aerr := filepath.Abs(name); aerr == nil {
			i, err = s.desc.findDrive(abs)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", dataDir, err)
	}
	gone := s.desc.Drives[i]
	s.desc.Drives = slices.Delete(s.desc.Drives, i, i+1)
	if err := s.desc.write(dataDir); err != nil {
		return "", err
	}
	return fmt.Sprintf("forgot the drive %v at %s; %d are left", gone.ID, gone.Path, len(s.desc.Drives)), nil
}

// holdsDrive tells whether a drive is open here.
func (n *Node) holdsDrive(d peer.DriveID) bool { return n.drives[d] != nil }
