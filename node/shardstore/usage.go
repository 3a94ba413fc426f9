package shardstore

// Usage is what a store takes of its drive. All but FreeBytes and TotalBytes is exact at the moment
// of asking, and nothing is scanned for it.
type Usage struct {
	State        State
	Shards       uint64 // live
	LiveBytes    int64  // of their records: heads, payloads, padding
	SegmentBytes int64  // that the segments take of the disk
	DeadBytes    int64  // of them, those that wait to be given back or are lost to damage
	ControlBytes int64  // of them, those of control records
	Segments     int
	FreeBytes    int64 // of the file system, as measured within the last 64 MiB of writes or 30 s
	TotalBytes   int64 // size of the file system
	FreedBytes   int64 // given back to the file system since the store was opened
	RoomBytes    int64 // that can be put before the store is full
}

// Usage returns what the store takes of its drive.
func (s *Store) Usage() Usage {
	state, _ := s.state.get()
	u := Usage{State: state, FreeBytes: s.free.Load(), TotalBytes: s.total.Load(), RoomBytes: max(s.room.Load(), 0), FreedBytes: s.freed.Load()}
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	for _, g := range s.stats {
		u.Segments++
		u.Shards += uint64(g.shards)
		u.LiveBytes += int64(g.live) * pageSize
		u.SegmentBytes += g.allocated()
		u.ControlBytes += int64(g.control) * pageSize
	}
	u.DeadBytes = u.SegmentBytes - u.LiveBytes - u.ControlBytes - int64(u.Segments)*pageSize
	return u
}
