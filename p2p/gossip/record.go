package gossip

import (
	"errors"
	"fmt"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	recordFormat = 1
	// RecordMax bounds an encoded Record, in bytes.
	RecordMax = 16 << 10
	// DrivesMax bounds the drives of one node.
	DrivesMax = 128

	addrMax  = 8
	textMax  = 256
	shortMax = 64
)

// DriveState is a drive's condition as its node sees it. The numbers travel.
type DriveState uint32

const (
	DriveHealthy  DriveState = 0
	DriveSlow     DriveState = 1
	DriveFull     DriveState = 2
	DriveReadOnly DriveState = 3
	DriveGone     DriveState = 4
)

func (s DriveState) String() string {
	switch s {
	case DriveHealthy:
		return "healthy"
	case DriveSlow:
		return "slow"
	case DriveFull:
		return "full"
	case DriveReadOnly:
		return "read-only"
	case DriveGone:
		return "gone"
	}
	return fmt.Sprintf("state(%d)", uint32(s))
}

// Drive is one drive of a node.
type Drive struct {
	ID       [16]byte
	Capacity uint64 // bytes
	Used     uint64 // bytes
	State    DriveState
}

// Record is what a node says of itself. Of two records of one node the newer is the one with the
// higher (Incarnation, Version).
type Record struct {
	Peer        p2p.NodeID
	Incarnation uint64 // rises with each start of the node
	Version     uint64 // rises with each change
	Site        string
	Roles       p2p.Role
	Release     string
	Level       uint32   // of commands and formats, up to which the member understands them
	Addrs       []string // multiaddrs, at most 8
	Drives      []Drive
	Load        uint32 // thousandths of what the node can do; above 1000 it sheds work
	Draining    bool
	Epochs      p2p.Epochs
}

// Newer reports whether r replaces old.
func (r *Record) Newer(old *Record) bool {
	if r.Incarnation != old.Incarnation {
		return r.Incarnation > old.Incarnation
	}
	return r.Version > old.Version
}

// Free is the space left on drives that take writes, in bytes.
func (r *Record) Free() uint64 {
	var free uint64
	for _, d := range r.Drives {
		if d.State <= DriveSlow && d.Capacity > d.Used {
			free += d.Capacity - d.Used
		}
	}
	return free
}

// ErrRecord is wrapped by every error of Decode.
var ErrRecord = errors.New("gossip: bad record")

// Encode returns the bytes that travel.
func (r *Record) Encode() []byte {
	var w wire.Record
	w.Uint(1, recordFormat)
	w.String(2, string(r.Peer))
	w.Uint(3, r.Incarnation)
	w.Uint(4, r.Version)
	w.String(5, r.Site)
	w.Uint(6, uint64(r.Roles))
	w.String(7, r.Release)
	for _, a := range r.Addrs {
		w.Repeat(8, []byte(a))
	}
	for _, d := range r.Drives {
		var dw wire.Record
		dw.Bytes(1, d.ID[:])
		dw.Uint(2, d.Capacity)
		dw.Uint(3, d.Used)
		dw.Uint(4, uint64(d.State))
		w.Repeat(9, dw)
	}
	w.Uint(10, uint64(r.Load))
	if r.Draining {
		w.Uint(11, 1)
	}
	w.Uint(12, r.Epochs.Members)
	w.Uint(13, r.Epochs.Layout)
	w.Uint(14, r.Epochs.IAM)
	w.Uint(15, uint64(r.Level))
	return w
}

// Decode reads what Encode wrote. Fields of later releases are skipped.
func Decode(b []byte) (*Record, error) {
	if len(b) > RecordMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrRecord, len(b))
	}
	r := &Record{}
	format := uint64(0)
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			format = f.Uint()
		case 2:
			r.Peer = p2p.NodeID(f.String(textMax))
		case 3:
			r.Incarnation = f.Uint()
		case 4:
			r.Version = f.Uint()
		case 5:
			r.Site = f.String(shortMax)
		case 6:
			r.Roles = p2p.Role(f.Uint32())
		case 7:
			r.Release = f.String(shortMax)
		case 8:
			r.Addrs = append(r.Addrs, f.String(textMax))
			if len(r.Addrs) > addrMax {
				f.Fail("more than %d addresses", addrMax)
			}
		case 9:
			d, err := decodeDrive(f.Bytes(RecordMax))
			if err != nil || len(r.Drives) >= DrivesMax {
				f.Fail("drives: %v", err)
			}
			r.Drives = append(r.Drives, d)
		case 10:
			r.Load = f.Uint32()
		case 11:
			r.Draining = f.Uint() != 0
		case 12:
			r.Epochs.Members = f.Uint()
		case 13:
			r.Epochs.Layout = f.Uint()
		case 14:
			r.Epochs.IAM = f.Uint()
		case 15:
			r.Level = f.Uint32()
		}
	}
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if format != recordFormat || r.Peer == "" {
		return nil, fmt.Errorf("%w: format %d of peer %q", ErrRecord, format, r.Peer)
	}
	return r, nil
}

func decodeDrive(b []byte) (d Drive, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(d.ID[:])
		case 2:
			d.Capacity = f.Uint()
		case 3:
			d.Used = f.Uint()
		case 4:
			d.State = DriveState(f.Uint32())
		}
	}
	return d, f.Err()
}
