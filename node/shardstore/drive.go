package shardstore

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
)

const (
	driveName    = "drive.json"
	lockName     = "lock"
	damagedName  = "index.damaged"
	driveSizeMax = pageSize
	driveKind    = "shoal shard drive"
)

// driveFile says what a directory is. It is one page: JSON and padding by spaces.
type driveFile struct {
	Kind    string `json:"kind"`
	Format  int    `json:"format"`
	Cluster string `json:"cluster"` // 32 hexadecimal digits
	Drive   string `json:"drive"`   // 32 hexadecimal digits
	CRC32C  uint32 `json:"crc32c"`  // over kind, format, cluster and drive, each followed by a line feed
}

func (d *driveFile) sum() uint32 {
	text := fmt.Sprintf("%s\n%d\n%s\n%s\n", d.Kind, d.Format, d.Cluster, d.Drive)
	return crc32.Checksum([]byte(text), castagnoli)
}

// Format makes dir the drive of a cluster, durably. Formatting again with the same names changes
// nothing, so that it can be repeated after a crash; with others it returns ErrForeignDrive.
func Format(fsys FS, dir string, cluster, drive [16]byte) error {
	err := checkDrive(fsys, dir, cluster, drive)
	if !errors.Is(err, ErrMissingDrive) {
		return err
	}
	if err := fsys.MkdirAll(path.Join(dir, segmentDir)); err != nil {
		return fmt.Errorf("format drive %s: %w", dir, err)
	}
	// The drive file comes last, so that a drive that has one has everything.
	if err := errors.Join(fsys.SyncDir(dir), fsys.SyncDir(path.Dir(path.Clean(dir)))); err != nil {
		return fmt.Errorf("format drive %s: %w", dir, err)
	}
	names, err := fsys.List(path.Join(dir, segmentDir))
	if err != nil {
		return fmt.Errorf("format drive %s: %w", dir, err)
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s has segments but no %s", ErrForeignDrive, dir, driveName)
	}
	if err := writeDriveFile(fsys, dir, newDriveFile(cluster, drive)); err != nil {
		return fmt.Errorf("format drive %s: %w", dir, err)
	}
	return nil
}

func newDriveFile(cluster, drive [16]byte) *driveFile {
	d := &driveFile{
		Kind: driveKind, Format: formatNumber,
		Cluster: hex.EncodeToString(cluster[:]), Drive: hex.EncodeToString(drive[:]),
	}
	d.CRC32C = d.sum()
	return d
}

// writeDriveFile writes the page beside its place, syncs it and renames it there.
func writeDriveFile(fsys FS, dir string, d *driveFile) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	page := alignedBytes(pageSize)
	for i := range page {
		page[i] = ' '
	}
	copy(page, text)
	page[pageSize-1] = '\n'

	tmp := path.Join(dir, driveName+".tmp")
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Open(tmp, CreateMode)
	if err != nil {
		return err
	}
	_, err = f.WritevAt([][]byte{page}, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path.Join(dir, driveName)); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// checkDrive makes sure that dir is this drive of this cluster.
func checkDrive(fsys FS, dir string, cluster, drive [16]byte) error {
	d, err := readDriveFile(fsys, dir)
	if err != nil {
		return err
	}
	switch {
	case d.Cluster != hex.EncodeToString(cluster[:]):
		return fmt.Errorf("%w: %s belongs to cluster %s, not %x", ErrForeignDrive, dir, d.Cluster, cluster)
	case d.Drive != hex.EncodeToString(drive[:]):
		return fmt.Errorf("%w: %s is drive %s, not %x", ErrForeignDrive, dir, d.Drive, drive)
	}
	return nil
}

// ReadDrive returns the names in the drive file of dir, for those who must find out which drive they
// have before them. It returns ErrMissingDrive when there is none and ErrForeignDrive when the file
// is damaged or of an unknown format.
func ReadDrive(fsys FS, dir string) (cluster, drive [16]byte, err error) {
	d, err := readDriveFile(fsys, dir)
	if err != nil {
		return cluster, drive, err
	}
	c, errC := hex.DecodeString(d.Cluster)
	v, errD := hex.DecodeString(d.Drive)
	if errC != nil || errD != nil || len(c) != 16 || len(v) != 16 {
		return cluster, drive, fmt.Errorf("%w: %s/%s does not hold names", ErrForeignDrive, dir, driveName)
	}
	return [16]byte(c), [16]byte(v), nil
}

func readDriveFile(fsys FS, dir string) (*driveFile, error) {
	f, err := fsys.Open(path.Join(dir, driveName), ReadMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrMissingDrive, dir, driveName)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, driveSizeMax)
	n, err := f.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var d driveFile
	if err := json.Unmarshal(text[:n], &d); err != nil {
		return nil, fmt.Errorf("%w: %s/%s: %v", ErrForeignDrive, dir, driveName, err)
	}
	if d.Kind != driveKind || d.Format != formatNumber || d.CRC32C != d.sum() {
		return nil, fmt.Errorf("%w: %s/%s is damaged or of another release (format %d)", ErrForeignDrive, dir, driveName, d.Format)
	}
	return &d, nil
}
