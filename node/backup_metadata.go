package node

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/p2p"
)

// The metadata of a backup: magic, format and number of groups, and then each group's number and state. The system group is the last, so
// that whatever the others refer to, a bucket or a key-encryption key, is in it.
const (
	metadataMagic  = "SHMD"
	metadataFormat = 1
	groupsMax      = 1 << 16
)

// methodState streams a group's state to another node, for a backup.
const methodState p2p.Method = 51 | p2p.MethodBulk

var _ api.MetadataBackups = (*Store)(nil)

// BackupMetadata implements api.MetadataBackups.
func (s *Store) BackupMetadata(ctx context.Context, w io.Writer) error {
	n := s.n
	if !n.backing.TryLock() {
		return &api.Error{Kind: api.SlowDown, Op: "node.BackupMetadata", Detail: "Another backup is under way."}
	}
	defer n.backing.Unlock()
	groups := n.groups()
	groups = append(slices.Clone(groups[1:]), consensus.SystemGroup)
	head := append([]byte(metadataMagic), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(head[4:], metadataFormat)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(groups)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, g := range groups {
		if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, uint32(g))); err != nil {
			return err
		}
		if err := n.exportGroup(ctx, g, w); err != nil {
			return fmt.Errorf("back up group %d: %w", g, err)
		}
	}
	return nil
}

// exportGroup writes the state of a group: from the replica here, or else from another node's. One that has begun cannot be taken over
// by another.
func (n *Node) exportGroup(ctx context.Context, g consensus.GroupID, w io.Writer) error {
	counted := &countingWriter{w: w}
	err := n.host.ExportState(ctx, g, counted)
	if err == nil {
		return nil
	}
	errs := []error{err}
	for _, id := range n.net.Dir.Nodes() {
		if counted.n > 0 || ctx.Err() != nil {
			break
		}
		if id == n.ID() {
			continue
		}
		if err = n.fetchState(ctx, id, g, counted); err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("from node %s: %w", id.Short(), err))
	}
	return errors.Join(errs...)
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Answers that precede a streamed state.
const (
	stateFollows = 1
	stateNotHere = 2
)

// fetchState streams a group's state from another node, and checks it on the way.
func (n *Node) fetchState(ctx context.Context, from p2p.NodeID, g consensus.GroupID, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := n.net.Host.OpenStream(ctx, from, methodState)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Write(binary.LittleEndian.AppendUint32(nil, uint32(g))); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(s, answer[:]); err != nil {
		return err
	}
	if answer[0] != stateFollows {
		return consensus.ErrNoReplica
	}
	r := bufio.NewReaderSize(io.TeeReader(s, w), consensus.StreamBuffer)
	if _, err := consensus.CheckState(r); err != nil {
		return err
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: bytes follow its end", consensus.ErrBadSnapshot)
	}
	return nil
}

// serveState answers another node's fetchState.
func (n *Node) serveState(ctx context.Context, from p2p.Peer, s p2p.Stream) {
	var group [4]byte
	if _, err := io.ReadFull(s, group[:]); err != nil {
		return
	}
	g := consensus.GroupID(binary.LittleEndian.Uint32(group[:]))
	w := &answering{w: s}
	err := n.host.ExportState(ctx, g, w)
	if err != nil && !w.begun {
		_, err = s.Write([]byte{stateNotHere})
	}
	if err == nil {
		err = s.CloseWrite()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, s) // until the other side has read all and closes: closing first could cut what is on its way
	}
	if err != nil && ctx.Err() == nil {
		n.cfg.Logger.Warn("send the state of a group", "node_id", from.ID, "group", g, "err", err)
	}
}

// answering says that a state follows before its first byte.
type answering struct {
	w     io.Writer
	begun bool
}

func (a *answering) Write(b []byte) (int, error) {
	if !a.begun {
		if _, err := a.w.Write([]byte{stateFollows}); err != nil {
			return 0, err
		}
		a.begun = true
	}
	return a.w.Write(b)
}

// readMetadata reads the metadata of a backup to its end; group takes each state off r.
func readMetadata(r *bufio.Reader, group func(g consensus.GroupID, r *bufio.Reader) error) (groups int, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:4]) != metadataMagic {
		return 0, fmt.Errorf("this is no metadata of a store: %w", errors.Join(err, consensus.ErrBadSnapshot))
	}
	if v := binary.LittleEndian.Uint32(head[4:]); v != metadataFormat {
		return 0, fmt.Errorf("the metadata has format %d, this release reads %d", v, metadataFormat)
	}
	count := binary.LittleEndian.Uint32(head[8:])
	if count == 0 || count > groupsMax {
		return 0, fmt.Errorf("%w: %d groups", consensus.ErrBadSnapshot, count)
	}
	for i := range count {
		var id [4]byte
		if _, err := io.ReadFull(r, id[:]); err != nil {
			return 0, fmt.Errorf("%w: it ends after %d of %d groups", consensus.ErrBadSnapshot, i, count)
		}
		// All from 1 on, and the system group last.
		want := (i + 1) % count
		if g := binary.LittleEndian.Uint32(id[:]); g != want {
			return 0, fmt.Errorf("%w: group %d where %d belongs", consensus.ErrBadSnapshot, g, want)
		}
		if err := group(consensus.GroupID(want), r); err != nil {
			return 0, fmt.Errorf("group %d: %w", want, err)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return 0, fmt.Errorf("what follows the last group: %w", errors.Join(err, consensus.ErrBadSnapshot))
	}
	return int(count), nil
}
