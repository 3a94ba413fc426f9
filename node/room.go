package node

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"shoal/p2p"
)

const (
	roomEvery = time.Second
	// roomBytes and roomShare are what the metadata's disk keeps free: below the lesser of the two, writes
	// that make it grow are refused. It holds what is written between two looks, and what the database
	// needs to write out its tables. Drives keep more free than that, so they are full first.
	roomBytes = 192 << 20
	roomShare = 6 // one in so many bytes
	// startBytes and startShare: the lesser must be free before a node starts. To open, the database
	// writes out what its log holds.
	startBytes = 48 << 20
	startShare = 10
	// driveRoomBytes and driveRoomShare are what a drive keeps free.
	driveRoomBytes = 256 << 20
	driveRoomShare = 5
)

// watchRoom looks how full the disk of the metadata is.
func (n *Node) watchRoom(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		t.Reset(p2p.UntilRound(time.Now(), roomEvery))
		if free, size, err := room(n.cfg.DataDir); err == nil {
			full := free < min(roomBytes, size/roomShare)
			if full != n.full.Swap(full) {
				n.cfg.Logger.Error("the disk of the metadata is nearly full: writes are refused until there is room", "full", full, "free_bytes", free)
			}
		}
	}
}

// checkRoom refuses to start where the metadata could not be opened for want of space.
func checkRoom(dir string) error {
	free, size, err := room(dir)
	if want := min(startBytes, size/startShare); err == nil && free < want {
		return fmt.Errorf("the disk of %s is full: %d MiB are free, %d MiB are needed to start; make room and start again", dir, free>>20, want>>20)
	}
	return err
}

// room gives the free bytes and the size of the file system that holds path.
func room(path string) (free, size int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
