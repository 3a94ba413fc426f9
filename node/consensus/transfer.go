package consensus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// snapshotFilePrefix begins the names of files in which snapshots arrive.
const snapshotFilePrefix = "snapshot-"

// snapshotLoop streams pinned states, several at once: the core pins no more than MaxSnapshots.
func (h *Host) snapshotLoop(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		ss, ok := h.snaps.take()
		if !ok {
			return
		}
		for _, s := range ss {
			wg.Go(func() { h.sendSnapshot(ctx, s) })
		}
	}
}

// sendSnapshot streams a pinned state to a replica and tells the group how that went, whatever happens.
func (h *Host) sendSnapshot(ctx context.Context, s *outgoingSnapshot) {
	ctx, cancel := context.WithTimeout(ctx, h.c.cfg.SnapshotTimeout)
	defer cancel()
	err := errors.New("no link")
	if h.c.cfg.Link != nil {
		err = h.c.cfg.Link.SendSnapshot(ctx, s.to.Node, s.header, func(w io.Writer) error {
			bw := bufio.NewWriterSize(w, 64<<10)
			if err := exportState(s.pinned.sn, s.g.id, ctxWriter{ctx, bw}); err != nil {
				return err
			}
			return bw.Flush()
		})
	}
	if ctx.Err() == nil || err == nil {
		h.trouble.Note(err, "snapshot not delivered", string(s.to.Node), "group", s.g.id, "to", s.to.Replica, "node_id", s.to.Node)
	}
	// The pin goes before the group hears of the end: it may want the next one at once.
	s.pinned.release()
	if hd := h.handle(s.g.id); hd != nil && hd.g == s.g {
		hd.signal(signal{kind: signalSnapshotDone, replica: s.to.Replica, ok: err == nil})
	}
}

// ctxWriter fails when its context has ended. It lives as long as one call.
type ctxWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c ctxWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// ReceiveSnapshot takes a snapshot that node from sends: its header and the stream. It returns nil when the state was ingested, or was not
// needed any more, and an error when the stream was malformed or the snapshot refused. It waits when too many are under way.
func (h *Host) ReceiveSnapshot(ctx context.Context, from NodeID, header []byte, r io.Reader) error {
	sh, err := decodeSnapshotHeader(header)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrBadSnapshot, err)
	}
	hd := h.handle(sh.group)
	if hd == nil || hd.g.self != sh.to || hd.g.dead.Load() {
		return fmt.Errorf("snapshot of group %d for replica %d: %w", sh.group, sh.to, ErrNoReplica)
	}
	if !h.gate.enter() {
		return ErrStopped
	}
	defer h.gate.leave()
	select {
	case h.receiving <- struct{}{}:
		defer func() { <-h.receiving }()
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
		return ErrStopped
	}
	prefix, err := h.snapshotPrefix(sh.group)
	if err != nil {
		return err
	}
	fs := h.c.cfg.FS
	files, err := importState(ctx, h.c.db, fs, prefix, sh, r)
	defer func() {
		for _, f := range files {
			_ = fs.Remove(f)
		}
	}()
	if err != nil {
		return err
	}
	in := &incomingSnapshot{snapshotHeader: *sh, node: from, files: files, done: make(chan error, 1)}
	hd.signal(signal{kind: signalSnapshotIn, snap: in})
	// The files are the append step's from here on: an early return must not remove them under its hands.
	select {
	case err := <-in.done:
		return err
	case <-h.done:
		files = nil
		return ErrStopped
	}
}

func (h *Host) snapshotPrefix(g GroupID) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(h.c.cfg.Rand, b[:]); err != nil {
		return "", fmt.Errorf("name snapshot files: %w", err)
	}
	name := fmt.Sprintf("%s%d-%016x", snapshotFilePrefix, g, binary.LittleEndian.Uint64(b[:]))
	return h.c.cfg.FS.PathJoin(h.c.cfg.Dir, name), nil
}

// LostPeers returns the nodes whose frames are refused because their logs lost writes that they had called durable. Their replicas have
// to be replaced.
func (h *Host) LostPeers() []NodeID { return h.peers.lost() }
