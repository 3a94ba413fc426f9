package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"shoal/node/shardstore"
)

// drivesMax bounds the drives of a node.
const drivesMax = 256

// locate finds each drive of the description among the directories. An empty directory that is no known drive's becomes a new one.
func (d *description) locate(paths []string, degraded bool) error {
	found, free, err := d.search(paths)
	if err != nil {
		return err
	}
	var missing []string
	d.Drives = slices.DeleteFunc(d.Drives, func(dd describedDrive) bool {
		_, ok := found[dd.ID]
		return !ok && dd.New && !slices.Contains(free, dd.Path) // it was added, has never been made, and is not asked for any more
	})
	for i := range d.Drives {
		dd := &d.Drives[i]
		p, ok := found[dd.ID]
		switch {
		case ok:
			dd.Path = p
		case !dd.New && !degraded:
			return missingDrive(dd.Path)
		case !dd.New:
			missing = append(missing, dd.Path)
		}
	}
	for _, p := range free {
		if slices.ContainsFunc(d.Drives, func(dd describedDrive) bool { return dd.Path == p }) {
			continue // where a drive is missing
		}
		if len(missing) > 0 {
			return fmt.Errorf("the drive %s cannot be added while %s is missing: start without --degraded, or say first that it is gone for good (shoal admin drive remove %s)", p, missing[0], missing[0])
		}
		if err := d.add(p); err != nil {
			return err
		}
	}
	return nil
}

// search looks which directory is which drive. free are those that are no drive.
func (d *description) search(paths []string) (found map[hexID]string, free []string, err error) {
	found = make(map[hexID]string)
	for _, p := range paths {
		cluster, id, err := shardstore.ReadDrive(shardstore.OS(), p)
		if errors.Is(err, shardstore.ErrMissingDrive) || errors.Is(err, fs.ErrNotExist) {
			free = append(free, p)
			continue
		}
		if i := slices.IndexFunc(d.Drives, func(dd describedDrive) bool { return dd.Path == p }); err != nil && i >= 0 {
			found[d.Drives[i].ID] = p // its description is damaged: opening it mends that from the segments, or refuses
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("the drive %s cannot be read: %w", p, err)
		}
		if hexID(cluster) != d.Cluster {
			return nil, nil, fmt.Errorf("the drive %s belongs to another store: take it off the command line, or give an empty directory", p)
		}
		if !slices.ContainsFunc(d.Drives, func(dd describedDrive) bool { return dd.ID == hexID(id) }) {
			return nil, nil, fmt.Errorf("the drive %s is not one of this node's, or was removed from it: take it off the command line, or empty it to add it as a new one", p)
		}
		found[hexID(id)] = p
	}
	return found, free, nil
}

// add describes a new drive in a directory that must be empty or not there yet.
func (d *description) add(path string) error {
	if len(d.Drives) >= drivesMax {
		return fmt.Errorf("the drive %s is one too many: a node has %d at most", path, drivesMax)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the drive %s is missing (%v): mount it or make the directory", path, err)
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("the drive %s cannot be read: %w", path, err)
	}
	for _, e := range list {
		if e.Name() != "lost+found" {
			return fmt.Errorf("the drive %s would be a new one, and holds %s: give an empty directory", path, e.Name())
		}
	}
	dd := describedDrive{Path: path, New: true}
	rand.Read(dd.ID[:])
	d.Drives = append(d.Drives, dd)
	return nil
}

// missingDrive says what to do without a drive.
func missingDrive(path string) error {
	what := "there is no such directory"
	if _, err := os.Stat(path); err == nil {
		what = "its directory holds no drive"
	}
	return fmt.Errorf("the drive %s is missing, %s: mount it and start again, or start with --degraded to run on the others. If it is gone for good, or was replaced by an empty one, "+
		"say so with shoal admin drive remove --stopped --data DIR %s and start again: what it held is made again from the others", path, what, path)
}
