package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/chunker/erasure"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// describe makes the description of a new store, or brings that of an old one up to date with where
// the drives are now.
func describe(cfg *Config, old *description) (*description, error) {
	paths, err := drivePaths(cfg, old)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return newDescription(cfg, paths)
	}
	if cfg.Erasure != "" && cfg.Erasure != old.Erasure {
		return nil, fmt.Errorf("the store was made with erasure %s, which cannot become %s: leave --erasure out", old.Erasure, cfg.Erasure)
	}
	if !old.Ready {
		return old, nil
	}
	return old, old.locate(paths, cfg.Degraded)
}

// drivePaths gives the directories to look in, absolute: those that are given, and those of the last start.
func drivePaths(cfg *Config, old *description) ([]string, error) {
	given := cfg.Drives
	if len(given) == 0 && (old == nil || len(old.Drives) == 0) {
		given = []string{filepath.Join(cfg.DataDir, drivesDir, "0")}
		if err := os.MkdirAll(given[0], 0o700); err != nil {
			return nil, err
		}
	}
	paths := make([]string, len(given))
	for i, p := range given {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		if slices.Contains(paths, abs) {
			return nil, fmt.Errorf("the drive %s is given twice", p)
		}
		paths[i] = abs
	}
	if old != nil {
		for _, d := range old.Drives {
			if !slices.Contains(paths, d.Path) {
				paths = append(paths, d.Path)
			}
		}
	}
	return paths, nil
}

func newDescription(cfg *Config, paths []string) (*description, error) {
	profile := erasure.ProfileForDrives(len(paths))
	if cfg.Erasure != "" {
		var err error
		if profile, err = erasure.ParseProfile(cfg.Erasure); err != nil {
			return nil, err
		}
	}
	if profile.Width() > len(paths) {
		return nil, fmt.Errorf("erasure %v needs %d drives, %d are given: add --drive PATH or choose a smaller profile", profile, profile.Width(), len(paths))
	}
	d := &description{Format: descriptionFormat, Erasure: profile.String(), Partitions: cfg.Partitions, Region: cfg.Region}
	rand.Read(d.Cluster[:])
	for _, p := range paths {
		if err := os.Mkdir(p, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("the drive %s is missing (%v): mount it or make the directory", p, err)
		}
		_, _, err := shardstore.ReadDrive(shardstore.OS(), p)
		if !errors.Is(err, shardstore.ErrMissingDrive) {
			return nil, fmt.Errorf("the drive %s is already part of a store: give an empty directory, or the data directory it belongs to", p)
		}
		dd := describedDrive{Path: p}
		rand.Read(dd.ID[:])
		d.Drives = append(d.Drives, dd)
	}
	return d, nil
}

// openDrives opens the drives, and formats first those that a new store does not have yet.
func openDrives(cfg *Config, d *description) (map[peer.DriveID]*shardstore.Store, error) {
	drives := make(map[peer.DriveID]*shardstore.Store)
	for i := range d.Drives {
		dd := &d.Drives[i]
		st, err := openDrive(cfg, d, dd)
		if errors.Is(err, shardstore.ErrMissingDrive) && d.Ready && cfg.Degraded {
			cfg.Logger.Error("running without a drive", "drive_id", dd.ID.String(), "path", dd.Path)
			continue
		}
		if err != nil {
			closeDrives(drives)
			return nil, driveError(dd.Path, err)
		}
		drives[dd.id()] = st
	}
	return drives, nil
}

func openDrive(cfg *Config, d *description, dd *describedDrive) (*shardstore.Store, error) {
	if !d.Ready || dd.New {
		err := shardstore.Format(shardstore.OS(), dd.Path, d.Cluster, dd.ID)
		if err != nil && !isFormatted(d, dd) {
			return nil, err
		}
	}
	var reg prometheus.Registerer
	if cfg.Registerer != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"drive": dd.ID.String()[:8]}, cfg.Registerer)
	}
	sc := shardstore.Config{Dir: dd.Path, Cluster: d.Cluster, Drive: dd.ID, Now: cfg.Now, Logger: cfg.Logger, Metrics: reg}
	if _, size, err := room(dd.Path); err == nil {
		sc.ReserveBytes = min(driveRoomBytes, size/driveRoomShare)
	}
	return shardstore.Open(sc)
}

// isFormatted tells whether a start that did not end had formatted the drive already.
func isFormatted(d *description, dd *describedDrive) bool {
	cluster, id, err := shardstore.ReadDrive(shardstore.OS(), dd.Path)
	return err == nil && hexID(cluster) == d.Cluster && hexID(id) == dd.ID
}

func driveError(path string, err error) error {
	switch {
	case errors.Is(err, shardstore.ErrDriveLocked):
		return fmt.Errorf("the drive %s is in use by another process: stop that one first", path)
	case errors.Is(err, shardstore.ErrMissingDrive):
		return missingDrive(path)
	case errors.Is(err, shardstore.ErrForeignDrive):
		return fmt.Errorf("the drive %s is damaged or belongs to another store: %w", path, err)
	}
	return err
}

func closeDrives(drives map[peer.DriveID]*shardstore.Store) error {
	var errs []error
	for _, st := range drives {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}
