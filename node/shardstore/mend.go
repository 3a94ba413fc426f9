package shardstore

import (
	"errors"
	"fmt"
	"path"
)

// checkOrMendDrive makes sure that the directory is this drive. When the drive file itself is
// damaged and a segment says that it is, the file is written again.
func (s *Store) checkOrMendDrive() error {
	_, err := readDriveFile(s.fs, s.cfg.Dir)
	if !errors.Is(err, ErrForeignDrive) {
		return checkDrive(s.fs, s.cfg.Dir, s.cfg.Cluster, s.cfg.Drive)
	}
	nums, listErr := s.listSegments()
	if listErr != nil {
		return listErr
	}
	for _, num := range nums {
		h, ok := s.segmentHeader(num)
		if !ok {
			continue
		}
		if h.cluster != s.cfg.Cluster || h.drive != s.cfg.Drive {
			return fmt.Errorf("%w: segment %08x is of drive %x of cluster %x", ErrForeignDrive, num, h.drive, h.cluster)
		}
		s.log.Warn("drive file is damaged, writing it again as the segments say", "file", path.Join(s.cfg.Dir, driveName), "err", err)
		return writeDriveFile(s.fs, s.cfg.Dir, newDriveFile(s.cfg.Cluster, s.cfg.Drive))
	}
	return err
}

func (s *Store) segmentHeader(num uint32) (segmentHeader, bool) {
	f, err := s.fs.Open(segmentPath(s.cfg.Dir, num), ReadMode)
	if err != nil {
		return segmentHeader{}, false
	}
	defer f.Close()
	sc, err := newSegmentScan(f, num)
	if err != nil || !sc.intact {
		return segmentHeader{}, false
	}
	return sc.header, true
}
